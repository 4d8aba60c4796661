"""The tables of faces, frames, tracks, landmarks and events line by line, and all into a folder.

Annotation programs such as ELAN and BORIS import the table of events.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.labels import Expression, exact_label
from mien.recording import RecordedFrame, Recording
from mien.tables.columns import EVENT_TABLE, FRAMES, TRACKS
from mien.tables.csv_files import csv_line, csv_to_parquet, require_pyarrow, write_lines
from mien.tables.trials import Trial, trial_lines
from mien.tracking import Event, SamplingInterval
from mien.types import FrameResult, face_columns, face_row

FACES_FILE = "faces.csv"
FRAMES_TABLE_FILE = "frames.csv"
TRACKS_FILE = "tracks.csv"
EVENTS_FILE = "events.jsonl"
EVENT_TABLE_FILE = "events.csv"
TRIALS_FILE = "trials.csv"
_LANDMARKS_FILE = "landmarks.csv"
_PARQUET_FILE = "faces.parquet"
_LANDMARKS_PARQUET_FILE = "landmarks.parquet"

TABLE_FILES = (
    FACES_FILE,
    FRAMES_TABLE_FILE,
    TRACKS_FILE,
    EVENTS_FILE,
    EVENT_TABLE_FILE,
    TRIALS_FILE,
    _LANDMARKS_FILE,
    _PARQUET_FILE,
    _LANDMARKS_PARQUET_FILE,
)
"""Every file that :func:`write_tables` may write."""

# Intervals of these come from the frames themselves, so that none overlaps a gap.
_FROM_FRAMES = ("track_started", "track_ended", "expression", "episode")
_VALUES = ("expression", "reason", "state", "text")
_TIMES = ("start_s", "end_s", "duration_s")
_SHORTEST_S = 0.04
_LANDMARK_KEYS = ("frame_index", "timestamp_s", "track_id")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Which tables are written.

    Attributes:
        parquet: whether to write ``faces.parquet`` (and ``landmarks.parquet``) as well.
        landmarks: whether to write ``landmarks.csv``; the recording must have them.
        trials: for ``trials.csv``, of all clips or of this one; none for no such table.
        time_offset_s: when the file starts on the clock of the trials and of ``events.csv``.
    """

    parquet: bool = False
    landmarks: bool = False
    trials: tuple[Trial, ...] = ()
    time_offset_s: float = 0.0


def write_tables(recording: Recording, folder: Path, options: TableOptions | None = None) -> int:
    """Write the tables; those of an earlier call that are not wanted now are deleted.

    Args:
        recording: is read line by line, so that its length does not matter.
        folder: an existing folder; files of these names are replaced.
        options: by default faces, frames, tracks and events.

    Returns:
        The number of tracks.

    Raises:
        InputError: the recording cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    options = options or TableOptions()
    if options.parquet:
        require_pyarrow()
    state = recording.state()
    labels = [exact_label(label) for label in state.labels]
    blendshapes = "blendshapes" in state.models
    offset_s = options.time_offset_s
    events: list[Event] = []
    frames = _keeping_events(recording.frames(), events)
    lines = {
        FACES_FILE: face_lines(recording.documents(), labels or None, blendshapes=blendshapes),
        FRAMES_TABLE_FILE: _frame_lines(recording.documents()),
        # Reads the frames, and so the events of the next two.
        EVENT_TABLE_FILE: event_table_lines(frames, time_offset_s=offset_s),
        TRACKS_FILE: _track_lines(events),
        EVENTS_FILE: event_lines(events),
    }
    if options.trials:
        lines[TRIALS_FILE] = trial_lines(recording.frames(), options.trials, time_offset_s=offset_s)
    if options.landmarks:
        lines[_LANDMARKS_FILE] = _landmark_lines(recording.documents())
    counts = {name: write_lines(folder / name, made) for name, made in lines.items()}
    written = set(counts)
    if options.parquet:
        types = face_columns(labels or Expression, blendshapes=blendshapes)
        csv_to_parquet(folder / FACES_FILE, folder / _PARQUET_FILE, types)
        written.add(_PARQUET_FILE)
        if options.landmarks:
            csv_to_parquet(folder / _LANDMARKS_FILE, folder / _LANDMARKS_PARQUET_FILE, {})
            written.add(_LANDMARKS_PARQUET_FILE)
    for name in TABLE_FILES:
        if name not in written:
            (folder / name).unlink(missing_ok=True)
    return counts[TRACKS_FILE] - 1


def _keeping_events(
    frames: Iterable[RecordedFrame], events: list[Event]
) -> Iterator[RecordedFrame]:
    for frame in frames:
        events += frame.all_events
        yield frame


def face_lines(
    documents: Iterable[Mapping[str, Any]],
    labels: Iterable[Expression] | None = None,
    *,
    blendshapes: bool = False,
) -> Iterator[str]:
    """The table of faces as lines of CSV, the header first: a row for each face in each frame.

    Args:
        documents: FrameResult documents, in order.
        labels: of the expression model; None takes those of the first expression, and until then
            keeps the rows in memory.
        blendshapes: whether there are columns for them, for action units and for gaze.
    """
    columns: list[str] = []
    if labels is not None:
        columns = [*face_columns(labels, blendshapes=blendshapes)]
        yield csv_line(columns)
    waiting: list[dict[str, Any]] = []
    for result in map(FrameResult.from_dict, documents):
        for face in result.faces:
            waiting.append(face_row(result, face))
            if not columns and face.expression is not None:
                columns = [*face_columns(face.expression.labels, blendshapes=blendshapes)]
                yield csv_line(columns)
        if columns:
            yield from (csv_line(row.get(name) for name in columns) for row in waiting)
            waiting.clear()
    if not columns:
        columns = [*face_columns(Expression, blendshapes=blendshapes)]
        yield csv_line(columns)
        yield from (csv_line(row.get(name) for name in columns) for row in waiting)


def _frame_lines(documents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The table of frames as lines of CSV: a row for each analyzed frame, also without faces.

    Args:
        documents: lines of a recording, in order.
    """
    yield csv_line(FRAMES)
    for document in documents:
        states = [face["track"]["state"] for face in document["faces"] if face.get("track")]
        cut = any(event["event"] == "scene_cut" for event in document.get("events", ()))
        yield csv_line(
            (
                document["frame_index"],
                document["timestamp_s"],
                len(document["faces"]),
                *(states.count(state) for state in ("clear", "uncertain", "not visible")),
                cut,
            )
        )


def _track_lines(events: Iterable[Event]) -> Iterator[str]:
    """The table of tracks as lines of CSV, the header first, in the order in which they ended."""
    yield csv_line(TRACKS)
    for event in events:
        if event.kind == "track_ended":
            yield csv_line(event.details.get(column) for column in TRACKS)


def event_lines(events: Iterable[Event]) -> Iterator[str]:
    """One JSON object for each event but the ends of tracks, which have their own table."""
    for event in events:
        if event.kind != "track_ended":
            yield json.dumps(event.to_dict(), ensure_ascii=False) + "\n"


def _landmark_lines(documents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The table of landmarks as lines of CSV: a row for each face in each frame.

    Columns are ``lm_0_x``, ``lm_0_y``, and ``lm_0_z`` where the model has depth, for each point.
    Without a face that has landmarks there is only the beginning of the header.
    """
    columns: list[str] = []
    for document in documents:
        for face in document["faces"]:
            points = (face.get("landmarks") or {}).get("points")
            if not points:
                continue
            if not columns:
                axes = "xyz"[: len(points[0])]
                columns = [f"lm_{number}_{axis}" for number in range(len(points)) for axis in axes]
                yield csv_line((*_LANDMARK_KEYS, *columns))
            key = (document["frame_index"], document["timestamp_s"], face["track_id"])
            yield csv_line((*key, *(value for point in points for value in point)))
    if not columns:
        yield csv_line(_LANDMARK_KEYS)


@dataclass(slots=True)
class Interval:
    """Something that lasted, or that happened at a moment, where `offset_s` is None."""

    onset_s: float
    offset_s: float | None
    track_id: int | None
    behavior: str
    value: str = ""
    comment: str = ""

    @property
    def subject(self) -> str:
        return "" if self.track_id is None else f"Person {self.track_id}"

    @property
    def tier(self) -> str:
        return f"{self.subject} {self.behavior}".strip()


def intervals(
    frames: Iterable[RecordedFrame], sampling: SamplingInterval | None = None
) -> list[Interval]:
    """What happened in a recording, by onset.

    ``in_view`` and ``expression`` are the stretches in which a track was in view, and in which it
    held a label; the others are the events of the recording.

    Args:
        frames: of a recording.
        sampling: is updated by the frames.
    """
    found: list[Interval] = []
    open_: dict[tuple[int, str], Interval] = {}
    last_s: dict[int, float] = {}
    sampling = sampling or SamplingInterval()
    for frame in frames:
        now = frame.result.timestamp_s or 0.0
        sampling.update(now)
        for face in frame.result.faces:
            if face.track_id is None:
                continue
            hidden = face.track is not None and face.track.state == "not visible"
            label = "" if face.expression is None or hidden else face.expression.label.value
            before_s = last_s.get(face.track_id, now)
            is_gap = now - before_s > sampling.longest_step_s()
            for behavior, value in (("in_view", "in view"), ("expression", label)):
                key = face.track_id, behavior
                running = open_.get(key)
                if running is not None and not is_gap and running.value == value:
                    continue
                if running is not None:
                    running.offset_s = before_s if is_gap else now
                    del open_[key]
                if value:
                    open_[key] = Interval(now, None, face.track_id, behavior, value)
                    found.append(open_[key])
            last_s[face.track_id] = now
        found += [_interval(one) for one in frame.all_events if one.kind not in _FROM_FRAMES]
    for (track_id, _), running in open_.items():
        running.offset_s = last_s[track_id]
    return sorted(_with_whole_closures(found), key=lambda interval: interval.onset_s)


def _with_whole_closures(found: list[Interval]) -> list[Interval]:
    """Closures that are over in place of the events that they began."""
    whole = [one for one in found if one.behavior == "closure"]
    begun = [one for one in found if one.behavior == "eyes_closed" and not _begins(one, whole)]
    for one in whole:
        one.behavior = "eyes_closed"
    return [one for one in found if one.behavior != "eyes_closed"] + begun + whole


def _begins(one: Interval, whole: list[Interval]) -> bool:
    return any(
        one.track_id == other.track_id and abs(one.onset_s - other.onset_s) < 0.01
        for other in whole
    )


def _interval(event: Event) -> Interval:
    details = event.details
    duration_s, end_s = details.get("duration_s"), details.get("end_s")
    onset_s = details.get("start_s")
    if onset_s is None:
        onset_s = event.timestamp_s - (duration_s or 0.0)
    if end_s is None and duration_s is not None:
        end_s = onset_s + duration_s
    value = next((str(details[name]) for name in _VALUES if details.get(name)), "")
    rest = [
        f"{name}={value}"
        for name, value in details.items()
        if name not in (*_VALUES, *_TIMES) and value is not None
    ]
    offset_s = end_s if end_s is not None and end_s > onset_s else None
    return Interval(onset_s, offset_s, event.track_id, event.kind, value, " ".join(rest))


def event_table_lines(
    frames: Iterable[RecordedFrame], *, time_offset_s: float = 0.0
) -> Iterator[str]:
    """The table of events as lines of CSV, the header first.

    Args:
        frames: of a recording.
        time_offset_s: is added to all times: when the file starts on the clock of a study.
    """
    yield csv_line(EVENT_TABLE)
    sampling = SamplingInterval()
    rows = intervals(frames, sampling)
    ends_s = _elan_ends_s(rows, sampling.seconds or _SHORTEST_S)
    for found, end_s in zip(rows, ends_s, strict=True):
        offset_s = None if found.offset_s is None else found.offset_s + time_offset_s
        yield csv_line(
            (
                _rounded(found.onset_s + time_offset_s),
                _rounded(offset_s),
                _rounded(None if found.offset_s is None else found.offset_s - found.onset_s),
                found.tier,
                found.subject,
                found.behavior,
                found.value or found.behavior,
                found.comment,
                _rounded(end_s + time_offset_s),
            )
        )


def _elan_ends_s(rows: list[Interval], moment_s: float) -> list[float]:
    """The end of each row; moments last as long as given, or to the next one on their tier."""
    ends_s, next_s = [], dict[str, float]()
    for row in reversed(rows):
        end_s = row.offset_s
        if end_s is None:
            end_s = row.onset_s + moment_s
            following_s = next_s.get(row.tier, end_s)
            end_s = min(end_s, following_s) if following_s > row.onset_s else end_s
        ends_s.append(end_s)
        next_s[row.tier] = row.onset_s
    return ends_s[::-1]


def _rounded(value: float | None) -> Any:
    return None if value is None else round(value, 4)
