"""Links with which others see the timelines of a session or a video, until they expire."""

import base64
import hmac

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
from mien.web.store import shares as store

_LIMIT = "60/minute"

blueprint = Blueprint("shares", __name__)


def links(recording: StoredRecording) -> list[dict[str, str]]:
    """The links to a recording, for its owner."""
    return [
        {**share, "url": url_for("shares.shared", token=_token(share["id"]), _external=True)}
        for share in store.list_shares(services().database, recording.kind, recording.id)
    ]


@blueprint.post("/recordings/<recording_id>/shares")
@security.limited(_LIMIT)
def change(recording_id: str) -> ResponseReturnValue:
    """Make or revoke a link to a recording of the visitor."""
    recording = require_recording(recording_id)
    config, database = services().config, services().database
    if not recording.is_own:
        raise ProblemError(404, "not_found", "There is no such recording of yours.")
    match request.form.get("action"):
        case "share" if config.share_days:
            if not store.add_share(database, recording.kind, recording.id, days=config.share_days):
                raise ProblemError(
                    409, "enough_links", f"Expected at most {store.MOST} links. Revoke one first."
                )
        case "revoke":
            share_id = request.form.get("id", "")
            store.delete_share(database, recording.kind, recording.id, share_id)
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
    found = store.find_share(services().database, share_id) if known else None
    if found is None or not services().config.share_days:
        raise ProblemError(404, "not_found", "This link has expired, or was revoked.")
    recording = StoredRecording(*found)
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


def _token(share_id: str) -> str:
    """The link's last part: the id, which the database has, and a signature, which it has not."""
    key = str(current_app.config["SECRET_KEY"]).encode()
    mark = hmac.new(key, b"share " + share_id.encode(), "sha256").digest()
    return share_id + base64.urlsafe_b64encode(mark)[:22].decode("ascii")
