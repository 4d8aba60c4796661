"""What a recording shows of each track over time, in memory that does not grow with its length."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from mien.labels import Expression
from mien.recording import RecordedFrame
from mien.tracking import SamplingInterval
from mien.types import Face

_MAX_BINS = 600
"""A timeline is about this many pixels wide; finer bins would not be seen."""
_MAX_TRACKS = 200
"""Of more tracks the shortest are counted but not kept."""

_FIRST_BIN_S = 0.1


@dataclass(slots=True)
class Bin:
    """What a track showed in one stretch of time, as sums over its frames.

    `movements` has action units, and ``gaze yaw`` and ``gaze pitch``, `moving` their frames.
    """

    frames: int = 0
    not_visible: int = 0
    uncertain: int = 0
    probabilities: dict[str, float] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    movements: dict[str, float] = field(default_factory=dict)
    moving: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, face: Face) -> "Bin":
        """The bin of one frame."""
        scores, state = face.expression, face.track.state if face.track else "clear"
        movements = dict(face.action_units or {})
        if face.gaze is not None:
            movements |= {"gaze yaw": face.gaze.yaw_deg, "gaze pitch": face.gaze.pitch_deg}
        return cls(
            frames=1,
            not_visible=int(state == "not visible"),
            uncertain=int(state == "uncertain"),
            probabilities=scores.as_dict() if scores else {},
            labels=Counter([scores.label.value] if scores else ()),
            movements=movements,
            moving=Counter([*movements]),
        )

    def merge(self, other: "Bin") -> None:
        self.frames += other.frames
        self.not_visible += other.not_visible
        self.uncertain += other.uncertain
        for label, total in other.probabilities.items():
            self.probabilities[label] = self.probabilities.get(label, 0.0) + total
        self.labels.update(other.labels)
        self.moving.update(other.moving)
        for name, total in other.movements.items():
            self.movements[name] = self.movements.get(name, 0.0) + total

    def mean(self, movement: str) -> float | None:
        """The mean of a movement, by its name; None where it was not measured."""
        frames = self.moving[movement]
        return self.movements[movement] / frames if frames else None

    @property
    def label(self) -> str | None:
        """The label of most frames."""
        return self.labels.most_common(1)[0][0] if self.labels else None

    @property
    def state(self) -> str:
        """``"clear"``, ``"uncertain"`` or ``"not visible"``."""
        if 2 * self.not_visible > self.frames:
            return "not visible"
        return "uncertain" if 2 * self.uncertain > self.frames else "clear"


@dataclass(slots=True)
class TrackHistory:
    """One track of a recording.

    Attributes:
        first_s, last_s: when it was first and last seen.
        frames: in how many it was seen.
        bins: by their number since the start of the stream; a gap has none.
        summary: its row of the table of tracks.
        transitions: how often its label went from one to another.
    """

    first_s: float
    last_s: float
    frames: int = 0
    bins: dict[int, Bin] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def visible_s(self) -> float:
        """Seconds in view."""
        return float(self.summary.get("visible_s", self.last_s - self.first_s))

    @property
    def shares(self) -> dict[str, float]:
        """The share of the readable time of each expression, the largest first."""
        shares = {
            label.value: float(share)
            for label in Expression
            if (share := self.summary.get(f"share_{label.value}"))
        }
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def runs(self) -> Iterator[tuple[int, list[Bin]]]:
        """Neighboring bins, gap after gap: the number of the first, and the bins."""
        start, run = 0, list[Bin]()
        for number in sorted(self.bins):
            if run and number != start + len(run):
                yield start, run
                run = []
            if not run:
                start = number
            run.append(self.bins[number])
        if run:
            yield start, run

    def gaps(self) -> list[tuple[int, int]]:
        """The numbers of the first bin of each gap and of the first one after it."""
        return [(a + 1, b) for a, b in pairwise(sorted(self.bins)) if b > a + 1]

    def halve(self) -> None:
        """Join each two neighboring bins, for bins of twice the width."""
        joined: dict[int, Bin] = {}
        for number, found in self.bins.items():
            if number // 2 in joined:
                joined[number // 2].merge(found)
            else:
                joined[number // 2] = found
        self.bins = joined


class History:
    """The tracks of a recording, and the times of its frames.

    Attributes:
        tracks: by track_id.
        labels: of the expression model, in its order.
        width_s: of the bins; it doubles whenever the recording has outgrown them.
        first_s, end_s: times of the first and of the last frame.
        frames: number of frames.
        left_out: number of tracks that are not kept.
    """

    def __init__(self) -> None:
        self.tracks: dict[int, TrackHistory] = {}
        self.labels: tuple[str, ...] = ()
        self.width_s = _FIRST_BIN_S
        self.first_s = self.end_s = 0.0
        self.frames = self.left_out = 0
        self._sampling = SamplingInterval()
        self._before_s = self._now_s = -1.0

    @classmethod
    def of(cls, frames: Iterable[RecordedFrame]) -> "History":
        """The history of a recording."""
        history = cls()
        for frame in frames:
            history.add(frame)
        return history

    def add(self, frame: RecordedFrame) -> None:
        """Add the next frame."""
        timestamp_s = frame.result.timestamp_s or 0.0
        self._sampling.update(timestamp_s)
        self._before_s, self._now_s = self._now_s, timestamp_s
        if not self.frames:
            self.first_s = timestamp_s
        self.frames += 1
        self.end_s = max(self.end_s, timestamp_s)
        while self.end_s / self.width_s >= _MAX_BINS:
            self.width_s *= 2
            for track in self.tracks.values():
                track.halve()
        for face in frame.result.faces:
            if face.track_id is not None:
                self._add_face(face.track_id, face, timestamp_s)
        for event in frame.all_events:
            self._add_event(event.kind, event.track_id, event.details)

    def _add_face(self, track_id: int, face: Face, timestamp_s: float) -> None:
        if face.expression is not None and not {*face.expression.labels} <= {*self.labels}:
            self.labels += tuple(
                label.value for label in face.expression.labels if label not in self.labels
            )
        track = self.tracks.get(track_id)
        if track is None:
            track = self.tracks[track_id] = TrackHistory(timestamp_s, timestamp_s)
            self._limit_tracks()
        # A face in two analyzed frames in a row was there between them.
        longest_s = self._sampling.longest_step_s()
        stays = track.last_s >= self._before_s and timestamp_s - track.last_s <= longest_s
        first = self._number(track.last_s if stays else timestamp_s)
        last = self._number(timestamp_s)
        track.last_s = timestamp_s
        track.frames += 1
        for number in range(min(first + 1, last), last + 1):
            track.bins.setdefault(number, Bin()).merge(Bin.of(face))

    def _add_event(self, kind: str, track_id: int | None, details: Mapping[str, Any]) -> None:
        track = self.tracks.get(track_id or 0)
        if track is None:
            return
        if kind == "track_ended":
            track.summary = details
        elif kind == "expression" and details["before"]:
            track.transitions[details["before"], details["expression"]] += 1

    def _number(self, timestamp_s: float) -> int:
        # A time on a border belongs to the bin that it begins, whatever its last digit.
        return int(timestamp_s / self.width_s + 1e-6)

    def _limit_tracks(self) -> None:
        over = [key for key, track in self.tracks.items() if track.summary]
        if len(self.tracks) > _MAX_TRACKS and over:
            shortest = min(over, key=lambda k: self.tracks[k].last_s - self.tracks[k].first_s)
            del self.tracks[shortest]
            self.left_out += 1

    def longest(self) -> Sequence[tuple[int, TrackHistory]]:
        """The tracks with their IDs, the longest in view first."""
        return sorted(self.tracks.items(), key=lambda item: -item[1].visible_s)
