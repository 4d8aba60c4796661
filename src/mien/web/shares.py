"""Links with which others see the timelines of a session or a video, until they expire."""

import base64
import hmac
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from mien.web import security
from mien.web.errors import ProblemError
from mien.web.recordings import StoredRecording, require_recording
from mien.web.services import services
from mien.web.store.database import iso, new_id, now
from mien.web.store.tables import jobs, sessions, shares

_LIMIT = "60/minute"
_MOST = 10

blueprint = Blueprint("shares", __name__)


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


@blueprint.post("/recordings/<recording_id>/shares")
@security.limited(_LIMIT)
def change(recording_id: str) -> ResponseReturnValue:
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


@blueprint.get("/shared/<token>")
@security.limited(_LIMIT)
def shared(token: str) -> Response:
    """The timelines, events and markers of a recording, without pictures and forms."""
    share_id = token[:22]
    known = hmac.compare_digest(token.encode(), _token(share_id).encode())
    recording = _find(share_id) if known and services().config.share_days else None
    if recording is None:
        raise ProblemError(404, "not_found", "This link has expired, or was revoked.")
    view = recording.view()
    for person in view["people"] if view else ():
        person.pop("picture", None)
    page = render_template(
        "shared.html", name=recording.name, shown=view, markers=recording.markers()
    )
    response = make_response(page)
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _add(recording: StoredRecording, days: int) -> None:
    moment = now()
    count = sa.select(sa.func.count()).where(*_valid(recording))
    with services().database.begin() as connection:
        if connection.execute(count).scalar_one() >= _MOST:
            raise ProblemError(
                409, "enough_links", f"Expected at most {_MOST} links. Revoke one first."
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
    key = str(current_app.config["SECRET_KEY"]).encode()
    mark = hmac.new(key, b"share " + share_id.encode(), "sha256").digest()
    return share_id + base64.urlsafe_b64encode(mark)[:22].decode("ascii")
