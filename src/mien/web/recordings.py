"""What sessions and video jobs have in common: results over time, timelines, a replay, and a page
on which people of several are side by side."""

import base64
import dataclasses
import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from flask import Blueprint, Response, g, render_template, request, stream_with_context, url_for

from mien.recording import FRAMES_FILE, THUMBNAILS_FOLDER, RecordedFrame, Recording, read_frames
from mien.report import History, compare, person_charts
from mien.tables import event_lines
from mien.tables.write import EVENT_TABLE_FILE, EVENTS_FILE, event_table_lines
from mien.tracking import Event
from mien.types import FrameResult
from mien.web import security
from mien.web.errors import ProblemError
from mien.web.security import owner
from mien.web.services import services
from mien.web.store.database import markers


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A session, or a job whose video was analyzed.

    Attributes:
        kind: which of the two.
        id, name: of the session or the job.
        is_own: whether it is the visitor's, and not one of a program without a cookie.
    """

    kind: Literal["session", "job"]
    id: str
    name: str
    is_own: bool = False

    def address(self) -> str:
        """The path of its page."""
        if self.kind == "session":
            return url_for("sessions_pages.session_page", session_id=self.id)
        return url_for("videos_pages.job", job_id=self.id)

    def markers(self) -> list[dict[str, Any]]:
        """Its markers with `id`, `at_s` and `text`, by their time."""
        found = sa.select(markers.c.id, markers.c.at_s, markers.c.text).where(self.has(markers))
        return services().database.rows(found.order_by(markers.c.at_s, markers.c.id))

    def has(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Which rows of the markers, or of the links, are its own."""
        return table.c[f"{self.kind}_id"] == self.id

    def documents(self) -> Iterator[dict[str, Any]]:
        """The frames as in ``frames.jsonl``; markers are events of the frames."""
        return _with_markers(self._frames(), self.markers())

    def event_file(self, name: str) -> Iterator[str] | None:
        """A file that has the events, line by line, with the markers; None for other files."""
        if name == FRAMES_FILE:
            return (json.dumps(one, ensure_ascii=False) + "\n" for one in self.documents())
        frames = self._marked_frames()
        if name == EVENTS_FILE:
            return event_lines(event for frame in frames for event in frame.all_events)
        return event_table_lines(frames) if name == EVENT_TABLE_FILE else None

    def _marked_frames(self) -> Iterator[RecordedFrame]:
        """The frames with the markers; one without faces where there is none to have them."""
        frames = read_frames(self.documents())
        first = next(frames, None)
        marked = () if first else tuple(map(_marker_event, self.markers()))
        yield first or RecordedFrame(FrameResult(faces=(), image_size_wh=(1, 1)), marked)
        yield from frames

    def view(self) -> dict[str, Any] | None:
        """What a page shows, see :func:`page_document`; None where there is nothing yet."""
        if self.kind == "job":
            document = services().job_store.read_page(self.id)
            return None if document is None else json.loads(document)
        people = person_charts(read_frames(self._frames()))
        return {"start_s": 0.0, "people": [asdict(one) for one in people], "events": []}

    def end_s(self) -> float:
        """The time of its last frame so far, in seconds; 0 where there is none yet."""
        if self.kind == "session":
            session = services().session_store.find(self.id, g.visitor.id)
            return session["duration_s"] if session else 0.0
        shown = self.view() or {"people": []}
        # Documents of earlier versions have it with each person only.
        ends = [one["end_s"] for one in (shown, *shown["people"]) if "end_s" in one]
        return float(max(ends, default=0.0))

    def size_wh(self) -> tuple[int, int] | None:
        """The size of its pictures; None where there are no frames yet."""
        first = next(self._frames(), None)
        return tuple(first["image_size_wh"]) if first else None

    def replay(self) -> Response:
        """Where the faces were and which labels they had, in JSON, without landmarks."""

        def parts() -> Iterator[str]:
            yield '{"frames":['
            for number, frame in enumerate(self._frames()):
                drawn = {name: frame[name] for name in ("timestamp_s", "image_size_wh")}
                drawn["faces"] = [_drawn(face) for face in frame["faces"]]
                yield ("," if number else "") + json.dumps(drawn, separators=(",", ":"))
            yield "]}"

        return Response(stream_with_context(parts()), mimetype="application/json")

    def _frames(self) -> Iterator[dict[str, Any]]:
        if self.kind == "session":
            yield from services().session_store.read_frames(self.id)
            return
        for entry in services().job_store.files(self.id, role="result"):
            if entry["name"] == FRAMES_FILE:
                yield from map(json.loads, _lines(services().job_store.read_file(entry["id"])))


def _drawn(face: Mapping[str, Any]) -> dict[str, Any]:
    found = face["expression"]
    if found is not None:
        label = found["label"]
        found = {
            "label": label,
            "uncertain": found["uncertain"],
            "probabilities": {label: found["probabilities"].get(label, 0.0)},
        }
    return {"box": face["box"], "track_id": face["track_id"], "expression": found}


def require_recording(recording_id: str) -> StoredRecording:
    """A session or a video job that the visitor may see; ProblemError 404 if there is none."""
    session = services().session_store.find(recording_id, g.visitor.id)
    if session is not None:
        own = services().session_store.is_owner(recording_id, g.visitor.id)
        return StoredRecording("session", recording_id, session["name"], own)
    job = services().job_store.find(recording_id, g.visitor.id)
    if job is None or "task" in job["options"]:
        raise ProblemError(404, "not_found", "There is no such recording, or it was deleted.")
    return StoredRecording("job", recording_id, job["name"], bool(job["owner"]))


def _list_recordings(owner: str, most: int) -> list[StoredRecording]:
    """A visitor's sessions and analyzed videos, the newest first of each."""
    if not owner:
        return []
    found = [
        StoredRecording("session", one["id"], one["name"])
        for one in services().session_store.of_owner(owner, limit=most)
    ]
    return found + [
        StoredRecording("job", row["id"], row["name"])
        for row in services().job_store.of_owner(owner)[:most]
        if row["state"] == "done" and "task" not in row["options"]
    ]


def _with_markers(
    documents: Iterable[dict[str, Any]], markers: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Documents of frames, each with the markers up to the next frame among its events."""
    waiting = deque(sorted(markers, key=lambda marker: marker["at_s"]))
    for document, following in pairwise(chain(documents, (None,))):
        assert document is not None
        until_s = following["timestamp_s"] if following else math.inf
        events = list(document.get("events", ()))
        while waiting and waiting[0]["at_s"] < until_s:
            events.append(_marker_event(waiting.popleft()).to_dict())
        yield {**document, "events": events}


def _marker_event(marker: Mapping[str, Any]) -> Event:
    return Event("marker", marker["at_s"], details={"text": marker["text"]})


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


_MAX_EVENTS = 300
# Other events say the same.
_NOT_SHOWN = {"episode", "closure"}
_WORDS = {"track_started": "comes into view", "track_ended": "leaves", "eyes_closed": "eyes closed"}


def page_document(folder: Path) -> bytes:
    """The timelines and events of a recording as JSON.

    Args:
        folder: with a recording, complete or not.
    """
    events: list[Event] = []
    first_s: list[float] = []
    end_s = 0.0

    def watched() -> Iterator[RecordedFrame]:
        nonlocal end_s
        for frame in Recording(folder).frames():
            end_s = max(end_s, frame.result.timestamp_s or 0.0)
            if not first_s:
                first_s.append(end_s)
            events.extend(event for event in frame.events if event.kind not in _NOT_SHOWN)
            yield frame

    people = [dataclasses.asdict(chart) for chart in person_charts(watched())]
    for person in people:
        picture = folder / THUMBNAILS_FOLDER / f"{person['track_id']}.jpg"
        if picture.is_file():
            data = base64.b64encode(picture.read_bytes()).decode("ascii")
            person["picture"] = f"data:image/jpeg;base64,{data}"
    document = {
        "start_s": first_s[0] if first_s else 0.0,
        "end_s": end_s,
        "people": people,
        "events": [_event(event) for event in events[:_MAX_EVENTS]],
        "more_events": max(0, len(events) - _MAX_EVENTS),
    }
    return json.dumps(document).encode()


def _event(event: Event) -> dict[str, Any]:
    shown = {"at_s": event.timestamp_s, "track_id": event.track_id}
    if event.kind == "expression":
        return {**shown, "label": str(event.details.get("expression"))}
    text = _WORDS.get(event.kind, event.kind.replace("_", " "))
    if event.kind in {"alarm", "attention"}:
        text = " ".join([text, *(str(value) for value in event.details.values())])
    return {**shown, "text": text}


_MOST = 4
# In the choices.
_MOST_LISTED = 100
_PERSON = re.compile(r"[0-9]{1,9}")

blueprint = Blueprint("recordings", __name__)


@blueprint.get("/compare")
@security.limited(security.ANALYZE_LIMIT)
def _page() -> str:
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
    for recording in _list_recordings(owner(), _MOST_LISTED):
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


@blueprint.get("/recordings/<recording_id>/replay.json")
def _replay(recording_id: str) -> Response:
    """What a session's page replays."""
    return require_recording(recording_id).replay()
