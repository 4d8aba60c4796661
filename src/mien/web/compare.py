"""People of sessions and videos side by side, on one time axis."""

import re
from typing import Any

from flask import Blueprint, render_template, request

from mien.recording import read_frames
from mien.report import History, compare
from mien.web import security
from mien.web.recordings import StoredRecording, list_recordings, require_recording
from mien.web.security import owner

_MOST = 4
# In the choices.
_MOST_LISTED = 100
_PERSON = re.compile(r"[0-9]{1,9}")

blueprint = Blueprint("compare", __name__)


@blueprint.get("/compare")
@security.limited(security.ANALYZE_LIMIT)
def page() -> str:
    """Up to four people, each given as ``side=RECORDING`` or ``side=RECORDING.PERSON``."""
    chosen = [side for side in request.args.getlist("side") if side][:_MOST]
    recordings: dict[str, StoredRecording] = {}
    people: dict[str, list[int]] = {}
    sides: list[tuple[StoredRecording, int, History]] = []
    for side in chosen:
        recording_id, _, person = side.partition(".")
        if recording_id not in recordings:
            recordings[recording_id] = require_recording(recording_id)
        found = recordings[recording_id]
        # Each side has a history of its own, whose axis is changed.
        history = History.of(read_frames(found.documents()))
        people[recording_id] = [
            track_id
            for track_id, track in history.longest()
            if any(one.labels for one in track.bins.values())
        ]
        if people[recording_id]:
            track_id = int(person) if _PERSON.fullmatch(person) else 0
            known = track_id in people[recording_id]
            sides.append((found, track_id if known else people[recording_id][0], history))
    charts, differences = compare([(track_id, history) for _, track_id, history in sides])
    for recording in list_recordings(owner(), _MOST_LISTED):
        recordings.setdefault(recording.id, recording)
    return render_template(
        "compare.html",
        sides=list(zip((recording for recording, _, _ in sides), charts, strict=True)),
        differences=differences,
        choices=_choices(recordings, people),
    )


def _choices(
    recordings: dict[str, StoredRecording], people: dict[str, list[int]]
) -> list[dict[str, Any]]:
    """The people of the recordings that are shown, and the other recordings."""
    found: list[dict[str, Any]] = []
    for recording_id, recording in recordings.items():
        for track_id in people.get(recording_id, [None]):
            value = recording_id if track_id is None else f"{recording_id}.{track_id}"
            found.append({"value": value, "name": recording.name, "person": track_id})
    return found
