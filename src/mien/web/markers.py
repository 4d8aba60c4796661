"""Markers: times of a session or a video that a person notes something about."""

import math
import re

import sqlalchemy as sa
from flask import Response, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, ValidationError

from mien.web import security
from mien.web.api import noun, returns
from mien.web.errors import ProblemError
from mien.web.recordings import StoredRecording, require_recording
from mien.web.schemas import ID, DeletedDocument, MarkerBody, MarkerDocument, MarkersDocument
from mien.web.services import services
from mien.web.store.database import markers, new_id, serialize
from mien.web.words import clock, message

_MOST = 200
# The pattern of the field for the time, too.
_CLOCK = re.compile(
    r"(\d{1,3}:[0-5]?\d:|\d{1,5}:)[0-5]?\d(\.\d{1,4})?|\d{1,6}(\.\d{1,4})?", re.ASCII
)

pages, blueprint = noun("markers", "Marked times of sessions and videos.", "/recordings")


class _RecordingPath(BaseModel):
    recording_id: str = Field(pattern=ID, description="A session's id, or a video job's.")


class _MarkerPath(_RecordingPath):
    marker_id: str = Field(pattern=ID)


@pages.post("/recordings/<recording_id>/markers")
@security.limited(security.ANALYZE_LIMIT)
def _change(recording_id: str) -> ResponseReturnValue:
    """Add, change or delete a marker; the answer is the page, or its markers for a script."""
    recording = require_recording(recording_id)
    action, marker_id = request.form.get("action"), request.form.get("id", "")
    if action == "delete":
        _remove(recording, marker_id)
    elif action == "add":
        _insert(recording, _body_of_form())
    elif action == "change":
        _update(recording, marker_id, _body_of_form())
    else:
        raise ProblemError(400, "bad_request", "Expected the action add, change or delete.")
    if request.args.get("part"):
        return render_template("_markers.html", recording=recording)
    return redirect(recording.address() + "#markers", 303)


@blueprint.get(
    "/<recording_id>/markers",
    summary="The markers of a session or a video",
    responses=returns(MarkersDocument, 404),
)
def _list_all(path: _RecordingPath) -> Response:
    return jsonify({"markers": require_recording(path.recording_id).markers()})


@blueprint.post(
    "/<recording_id>/markers",
    summary="Mark a time",
    description=f"At most {_MOST} of a recording. They are in its tables of events, and "
    "deleted with it.",
    responses=returns(MarkerDocument, 404, 409, status=201),
)
@security.limited(security.ANALYZE_LIMIT)
def _add(path: _RecordingPath, body: MarkerBody) -> tuple[Response, int]:
    marker_id = _insert(require_recording(path.recording_id), body)
    return jsonify({"id": marker_id, "at_s": body.at_s, "text": body.text.strip()}), 201


@blueprint.put(
    "/<recording_id>/markers/<marker_id>",
    summary="Change a marker",
    responses=returns(MarkerDocument, 404),
)
def _replace(path: _MarkerPath, body: MarkerBody) -> Response:
    _update(require_recording(path.recording_id), path.marker_id, body)
    return jsonify({"id": path.marker_id, "at_s": body.at_s, "text": body.text.strip()})


@blueprint.delete(
    "/<recording_id>/markers/<marker_id>",
    summary="Delete a marker",
    responses=returns(DeletedDocument, 404),
)
def _delete(path: _MarkerPath) -> Response:
    if not _remove(require_recording(path.recording_id), path.marker_id):
        raise _no_marker()
    return jsonify({"deleted": 1})


def _insert(recording: StoredRecording, body: MarkerBody) -> str:
    _check_time(recording, body)
    marker_id = new_id()
    count = sa.select(sa.func.count()).where(recording.has(markers))
    with services().database.begin() as connection:
        serialize(connection, recording.id)
        if connection.execute(count).scalar_one() >= _MOST:
            raise ProblemError(
                409, "enough_markers", f"Expected at most {_MOST} markers. Delete some first."
            )
        values = {"id": marker_id, "at_s": body.at_s, "text": body.text.strip()}
        connection.execute(
            sa.insert(markers).values({f"{recording.kind}_id": recording.id, **values})
        )
    return marker_id


def _update(recording: StoredRecording, marker_id: str, body: MarkerBody) -> None:
    _check_time(recording, body)
    change = sa.update(markers).where(recording.has(markers), markers.c.id == marker_id)
    if not services().database.execute(change.values(at_s=body.at_s, text=body.text.strip())):
        raise _no_marker()


def _check_time(recording: StoredRecording, body: MarkerBody) -> None:
    """Refuse a time after the end, up to the tenth of a second that the pages show."""
    end_s = math.ceil(round(10 * recording.end_s(), 3)) / 10
    if body.at_s > end_s:
        text = "Expected a time up to %(end)s, the end of the recording."
        raise ProblemError(422, "invalid", _said(text) % {"end": clock(end_s, 1)})


def _said(text: str) -> str:
    """A text for a program, or in the language of the page."""
    return text if request.path.startswith("/api/") else message(text)


def _remove(recording: StoredRecording, marker_id: str) -> int:
    delete = sa.delete(markers).where(recording.has(markers), markers.c.id == marker_id)
    return services().database.execute(delete)


def _no_marker() -> ProblemError:
    return ProblemError(404, "not_found", "There is no such marker, or it was deleted.")


def _body_of_form() -> MarkerBody:
    """The time as a clock shows it or in seconds, and the text."""
    at = request.form.get("at", "").strip()
    at_s = 0.0
    for part in at.split(":") if _CLOCK.fullmatch(at) else ("nan",):
        at_s = 60 * at_s + float(part)
    try:
        return MarkerBody(at_s=round(at_s, 4), text=request.form.get("text", ""))
    except ValidationError:
        text = "Expected a time such as 1:02.5 and a note of 1 to 200 characters."
        raise ProblemError(422, "invalid", _said(text)) from None
