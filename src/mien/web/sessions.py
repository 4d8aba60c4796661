"""Recorded sessions: their pages and the API below ``/api/v1/sessions``."""

import json
import re
import zipfile
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

from flask import (
    Response,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from mien.recording import read_frames
from mien.report import person_charts
from mien.tables import face_lines
from mien.tables.write import EVENT_TABLE_FILE
from mien.web.api import attachment, noun, returns
from mien.web.errors import ProblemError
from mien.web.recordings import require_recording
from mien.web.schemas import (
    ID,
    DeletedDocument,
    RenameBody,
    SessionDocument,
    SessionFramesDocument,
    SessionsDocument,
)
from mien.web.security import owner
from mien.web.services import services
from mien.web.store.database import one_line

# Sessions on a page of the list.
_PAGE = 20
# People of a thumbnail, its height for each, and the frames that it is drawn from.
_LANES, _LANE_PX, _SAMPLES = 3, 126, 150
_THUMBNAIL_STYLE = (
    ".lane{height:118px}.ground,.not-visible{fill:#888}.ground{opacity:.25}.uncertain{opacity:.4}"
)

pages, blueprint = noun("sessions", "Recorded sessions.", "/sessions")


class _SessionPath(BaseModel):
    session_id: str = Field(pattern=ID)


@pages.get("/sessions")
def _sessions() -> str:
    """A page of the visitor's sessions."""
    words = request.args.get("q", "").strip()[:120]
    page = min(max(1, request.args.get("page", 1, type=int)), 100_000)
    # One more than is shown says whether there is another page.
    found = _visitors_sessions(words=words, offset=(page - 1) * _PAGE, limit=_PAGE + 1)
    return render_template(
        "sessions.html",
        sessions=found[:_PAGE],
        words=words,
        page=page,
        has_more=len(found) > _PAGE,
        recording=services().session_store.is_recording(owner()),
    )


@pages.post("/sessions")
def _change_several() -> ResponseReturnValue:
    """Compare, export or delete the chosen sessions of the visitor, or delete all."""
    chosen = request.form.getlist("id")
    match request.form.get("action"):
        case "compare" if chosen:
            return redirect(url_for("recordings.page", side=chosen), 303)
        case "export" if chosen:
            return redirect(url_for("sessions_pages.export", id=chosen), 303)
        case "delete-selected":
            for document in [_require_session(one) for one in chosen]:
                services().session_store.delete(document["id"])
        case "delete-all" if owner():
            services().session_store.delete_all(owner())
        case "compare" | "export" | "delete-all":
            pass
        case _:
            raise ProblemError(
                400, "bad_request", "Expected the action compare, export, delete-selected or "
                "delete-all.",
            )  # fmt: skip
    return redirect(url_for("sessions_pages.sessions"), 303)


@pages.get("/sessions/export")
def _export() -> ResponseReturnValue:
    """The tables of the chosen sessions in a ZIP archive."""
    chosen = [_require_session(one) for one in request.args.getlist("id")[:_PAGE]]
    if not chosen:
        return redirect(url_for("sessions_pages.sessions"))
    with SpooledTemporaryFile(max_size=8 << 20) as archive:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
            for number, document in enumerate(chosen, start=1):
                name = re.sub(r"[^\w.-]+", "-", document["name"]).strip("-.") or "session"
                frames = services().session_store.read_frames(document["id"])
                with target.open(f"{number:02}-{name}.csv", "w") as table:
                    for line in face_lines(frames):
                        table.write(line.encode())
        archive.seek(0)
        return Response(
            archive.read(),
            mimetype="application/zip",
            headers={"Content-Disposition": 'attachment; filename="sessions.zip"'},
        )


@pages.get("/sessions/<session_id>")
def _session_page(session_id: str) -> str:
    """A session: a timeline for each person."""
    recorded = _require_session(session_id)
    found = require_recording(session_id)
    return render_template("session.html", recorded=recorded, shown=found.view(), recording=found)


@pages.get("/sessions/<session_id>/thumbnail.svg")
def _thumbnail(session_id: str) -> Response:
    """The timelines of the people longest in view, from evenly spaced results."""
    _require_session(session_id)
    frames = services().session_store.sample_frames(session_id, _SAMPLES)
    lanes = [person.timeline for person in person_charts(read_frames(frames))[:_LANES]]
    parts = "".join(
        f'<svg y="{number * _LANE_PX}" height="118">{lane}</svg>'
        for number, lane in enumerate(lanes)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" preserveAspectRatio="none" '
        f'viewBox="0 0 1000 {max(1, len(lanes)) * _LANE_PX}">'
        f"<style>{_THUMBNAIL_STYLE}</style>{parts}</svg>"
    )
    response = Response(svg, mimetype="image/svg+xml")
    # The page names the number of frames in the address, so that a longer one is asked for again.
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response


@pages.post("/sessions/<session_id>")
def _change(session_id: str) -> ResponseReturnValue:
    """Rename or delete a session."""
    _require_session(session_id)
    action = request.form.get("action")
    if action == "delete":
        services().session_store.delete(session_id)
        return redirect(url_for("sessions_pages.sessions"), 303)
    if action == "rename":
        _set_name(session_id, request.form.get("name", ""))
        return redirect(url_for("sessions_pages.session_page", session_id=session_id), 303)
    raise ProblemError(400, "bad_request", "Expected the action rename or delete.")


@blueprint.get("", summary="The visitor's sessions", responses=returns(SessionsDocument))
def _list_sessions() -> Response:
    return jsonify({"sessions": _visitors_sessions()})


@blueprint.delete(
    "", summary="Delete all of the visitor's sessions", responses=returns(DeletedDocument)
)
def _delete_all() -> Response:
    count = services().session_store.delete_all(owner()) if owner() else 0
    return jsonify({"deleted": count})


@blueprint.get("/<session_id>", summary="A session", responses=returns(SessionDocument, 404))
def _session(path: _SessionPath) -> Response:
    return jsonify(_require_session(path.session_id))


@blueprint.patch(
    "/<session_id>", summary="Rename a session", responses=returns(SessionDocument, 404, 413)
)
def _rename(path: _SessionPath, body: RenameBody) -> Response:
    _require_session(path.session_id)
    _set_name(path.session_id, body.name)
    return jsonify(_require_session(path.session_id))


@blueprint.delete(
    "/<session_id>", summary="Delete a session", responses=returns(DeletedDocument, 404)
)
def _delete(path: _SessionPath) -> Response:
    _require_session(path.session_id)
    services().session_store.delete(path.session_id)
    return jsonify({"deleted": 1})


@blueprint.get(
    "/<session_id>/frames",
    summary="A session's results as JSON",
    responses=returns(SessionFramesDocument, 404),
)
def _frames_json(path: _SessionPath) -> Response:
    document = _require_session(path.session_id)

    def parts() -> Iterator[str]:
        marked = json.dumps(require_recording(path.session_id).markers())
        yield f'{{"session":{json.dumps(document)},"markers":{marked},"frames":['
        for index, frame in enumerate(services().session_store.read_frames(path.session_id)):
            yield ("," if index else "") + json.dumps(frame, separators=(",", ":"))
        yield "]}"

    return Response(stream_with_context(parts()), mimetype="application/json")


@blueprint.get(
    "/<session_id>/frames.csv",
    summary="A session's results as a table",
    responses=returns({"content": {"text/csv": {}}}, 404),
)
def _frames_csv(path: _SessionPath) -> Response:
    """One row per frame and face, with the columns of `mien video`'s table."""
    _require_session(path.session_id)
    frames = services().session_store.read_frames(path.session_id)
    return attachment(face_lines(frames), "session.csv")


@blueprint.get(
    "/<session_id>/events.csv",
    summary="A session's events and markers as a table",
    responses=returns({"content": {"text/csv": {}}}, 404),
)
def _events_csv(path: _SessionPath) -> Response:
    """When each person was in view and showed which expression, with the columns of events.csv."""
    _require_session(path.session_id)
    lines = require_recording(path.session_id).event_file(EVENT_TABLE_FILE)
    assert lines is not None
    return attachment(lines, "events.csv")


def _set_name(session_id: str, text: str) -> None:
    name = one_line(text, 120)
    if not name:
        raise ProblemError(422, "invalid", "Expected a name of 1 to 120 characters.")
    services().session_store.rename(session_id, name)


def _visitors_sessions(**choice: Any) -> list[dict[str, Any]]:
    return services().session_store.of_owner(owner(), **choice) if owner() else []


def _require_session(session_id: str) -> dict[str, Any]:
    """A session that the visitor may see; raises ProblemError 404 if there is none."""
    document = services().session_store.find(session_id, g.visitor.id)
    if document is None:
        raise ProblemError(404, "not_found", "There is no such session, or it was deleted.")
    return document
