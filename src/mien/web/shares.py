"""Links with which others see the timelines of a session or a video."""

import hmac
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from mien.web import security
from mien.web.errors import ProblemError
from mien.web.recordings import StoredRecording, require_recording
from mien.web.services import services
from mien.web.store.database import iso, jobs, new_id, now, serialize, sessions, shares

_LIMIT = "60/minute"
_MOST_LINKS = 10

pages = Blueprint("shares", __name__)


def links(recording: StoredRecording) -> list[dict[str, Any]]:
    """The links to a recording, for its owner."""
    valid = sa.select(shares).where(*_valid(recording))
    rows = services().database.rows(valid.order_by(shares.c.created_at.desc(), shares.c.id))
    return [
        {
            "id": row["id"],
            "expires_at": iso(row["expires_at"]),
            "url": url_for("shares.shared", token=_token(row["id"]), _external=True),
        }
        for row in rows
    ]


@pages.post("/recordings/<recording_id>/shares")
@security.limited(_LIMIT)
def _change(recording_id: str) -> ResponseReturnValue:
    """Make or revoke a link to a recording of the visitor."""
    recording = require_recording(recording_id)
    config = services().config
    if not recording.is_own:
        raise ProblemError(404, "not_found", "There is no such recording of yours.")
    match request.form.get("action"):
        case "share" if config.share_days:
            _add(recording, config.share_days)
        case "revoke":
            one = shares.c.id == request.form.get("id", "")
            services().database.execute(sa.delete(shares).where(recording.has(shares), one))
        case "share":
            raise ProblemError(403, "no_links", "This server makes no links for others.")
        case _:
            raise ProblemError(400, "bad_request", "Expected the action share or revoke.")
    return redirect(recording.address() + "#share", 303)


@pages.get("/shared/<token>")
@security.limited(_LIMIT)
def _shared(token: str) -> Response:
    """The timelines, replay, events and markers of a recording, without pictures and forms."""
    recording = _require_shared(token)
    view = recording.view()
    for person in view["people"] if view else ():
        person.pop("picture", None)
    response = make_response(
        render_template("shared.html", recording=recording, shown=view, token=token)
    )
    return _hidden(response)


@pages.get("/shared/<token>/replay.json")
@security.limited(_LIMIT)
def _shared_replay(token: str) -> Response:
    """What the page of a link replays."""
    return _hidden(_require_shared(token).replay())


def _hidden(response: Response) -> Response:
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _require_shared(token: str) -> StoredRecording:
    share_id = token[:22]
    known = hmac.compare_digest(token.encode(), _token(share_id).encode())
    recording = _find(share_id) if known and services().config.share_days else None
    if recording is None:
        raise ProblemError(404, "not_found", "This link has expired, or was revoked.")
    return recording


def _add(recording: StoredRecording, days: int) -> None:
    moment = now()
    count = sa.select(sa.func.count()).where(*_valid(recording))
    with services().database.begin() as connection:
        serialize(connection, recording.id)
        if connection.execute(count).scalar_one() >= _MOST_LINKS:
            raise ProblemError(
                409, "enough_links", f"Expected at most {_MOST_LINKS} links. Revoke one first."
            )
        times = {"created_at": moment, "expires_at": moment + timedelta(days=days)}
        values = {"id": new_id(), f"{recording.kind}_id": recording.id, **times}
        connection.execute(sa.insert(shares).values(values))


def _find(share_id: str) -> StoredRecording | None:
    """What a link shows; None if it expired."""
    name = sa.func.coalesce(sessions.c.name, jobs.c.name).label("name")
    query = (
        sa.select(shares.c.session_id, shares.c.job_id, name)
        .outerjoin(sessions, sessions.c.id == shares.c.session_id)
        .outerjoin(jobs, jobs.c.id == shares.c.job_id)
        .where(shares.c.id == share_id, shares.c.expires_at > now())
    )
    for row in services().database.rows(query):
        if row["session_id"]:
            return StoredRecording("session", row["session_id"], row["name"])
        return StoredRecording("job", row["job_id"], row["name"])
    return None


def _valid(recording: StoredRecording) -> tuple[sa.ColumnElement[bool], ...]:
    return recording.has(shares), shares.c.expires_at > now()


def _token(share_id: str) -> str:
    """The link's last part: the id, which the database has, and a signature, which it has not."""
    return share_id + security.keyed_mark("share", share_id)
