"""The table of events, as annotation programs such as ELAN and BORIS import it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mien.recording import RecordedFrame
from mien.tables.columns import EVENT_COLUMNS
from mien.tables.csv_files import csv_line
from mien.tracking import Event, SamplingInterval

# Intervals of these come from the frames themselves, so that none overlaps a gap.
_FROM_FRAMES = ("track_started", "track_ended", "expression", "episode")
_VALUES = ("expression", "reason", "state", "text")
_TIMES = ("start_s", "end_s", "duration_s")
_SHORTEST_S = 0.04


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
        events = (*frame.events, *frame.closing_events)
        found += [_interval(event) for event in events if event.kind not in _FROM_FRAMES]
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
    yield csv_line(EVENT_COLUMNS)
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
