"""Sums for each trial of an experiment: shares of expressions and means, for each track."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.labels import Expression
from mien.recording import RecordedFrame
from mien.tables.columns import TRIALS
from mien.tables.csv_files import csv_line, read_rows
from mien.tracking import SamplingInterval
from mien.tracking.eyes import MAX_YAW_DEG
from mien.tracking.statistics import shows_lids
from mien.types import Face

_WARNINGS = 5
_OWN_COLUMNS = ("trial", "onset_s", "offset_s", "duration_s", "clip")


@dataclass(frozen=True, slots=True)
class Trial:
    """A stretch of a recording.

    Attributes:
        name: of the trial.
        onset_s, offset_s: start (inclusive) and end (exclusive) in seconds; an infinite end is the
            end of the recording.
        clip: the only clip that it belongs to; empty for every clip.
        columns: what else its table says, for example a condition.
    """

    name: str
    onset_s: float
    offset_s: float = math.inf
    clip: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


def read_trials(path: Path) -> list[Trial]:
    """Read trials from a CSV file.

    Columns are ``trial``, ``onset_s``, and optionally ``offset_s`` or ``duration_s`` and ``clip``;
    others are copied to the result. A trial without an end lasts until the next one of its clip.

    Raises:
        InputError: not such a table.
    """
    rows = read_rows(path, required=("trial", "onset_s"))
    for name in rows[0][1] if rows else ():
        if name in TRIALS and name not in _OWN_COLUMNS:
            raise InputError(
                f"expected other columns than those of trials.csv in {path}, got {name!r}: "
                "rename the column"
            )
    found = [_trial(row, f"line {number} of {path}") for number, row in rows]
    found.sort(key=lambda trial: (trial.clip, trial.onset_s))
    ended = []
    for trial, after in zip(found, [*found[1:], None], strict=True):
        if trial.offset_s == math.inf and after is not None and after.clip == trial.clip:
            ended.append(replace(trial, offset_s=after.onset_s))
        else:
            ended.append(trial)
    return ended


def _trial(row: Mapping[str, str], where: str) -> Trial:
    onset_s = _seconds(row["onset_s"], "onset_s", where)
    offset_s = math.inf
    if row.get("offset_s"):
        offset_s = _seconds(row["offset_s"], "offset_s", where)
    elif row.get("duration_s"):
        offset_s = onset_s + _seconds(row["duration_s"], "duration_s", where)
    if offset_s <= onset_s:
        raise InputError(
            f"expected the end after the onset in {where}, got {onset_s:g} to {offset_s:g} s"
        )
    columns = {name: value for name, value in row.items() if name not in _OWN_COLUMNS}
    return Trial(row["trial"], onset_s, offset_s, row.get("clip", ""), columns)


def _seconds(text: str, name: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        hint = ": write a point before the decimals" if "," in text else ""
        raise InputError(f"expected {name} in seconds in {where}, got {text!r}{hint}")
    return value


def trials_outside(
    trials: Iterable[Trial], start_s: float, end_s: float, *, time_offset_s: float = 0.0
) -> tuple[str, ...]:
    """Warnings for trials of which the analyzed frames show a part or nothing.

    Args:
        trials: of one recording, on the clock of the study.
        start_s, end_s: of the analyzed part in the time of the file.
        time_offset_s: when the file starts on that clock.
    """
    start_s, end_s = start_s + time_offset_s, end_s + time_offset_s
    found = []
    for trial in trials:
        begins, ends = trial.onset_s < start_s, math.inf > trial.offset_s > end_s
        if trial.onset_s >= end_s or trial.offset_s <= start_s:
            share = "lies outside of"
        elif begins or ends:
            share = "reaches beyond"
        else:
            continue
        end = "the end" if trial.offset_s == math.inf else f"{trial.offset_s:g} s"
        found.append(
            f"trial {trial.name} ({trial.onset_s:g} s to {end}) {share} the analyzed "
            f"{start_s:.2f} to {end_s:.2f} s: its sums are over what was analyzed; check the "
            "trials and --time-offset"
        )
    if len(found) > _WARNINGS:
        found[_WARNINGS:] = [f"{len(found) - _WARNINGS} more trials like these"]
    return tuple(found)


def trial_lines(
    frames: Iterable[RecordedFrame], trials: Sequence[Trial], *, time_offset_s: float = 0.0
) -> Iterator[str]:
    """The table of trials as lines of CSV, the header first: a row for each trial and track.

    Args:
        frames: of a recording.
        trials: of it, on the clock of the study.
        time_offset_s: when the file starts on that clock.
    """
    extra = list(dict.fromkeys(name for trial in trials for name in trial.columns))
    yield csv_line((*TRIALS, *extra))
    windows = [_Window(trial, time_offset_s) for trial in trials]
    end_s = _fill(frames, windows)
    for window in windows:
        trial = window.trial
        offset_s = min(trial.offset_s, max(trial.onset_s, end_s + time_offset_s))
        head = {"trial": trial.name, "onset_s": trial.onset_s, "offset_s": round(offset_s, 4)}
        head["frames"] = window.frames
        for row in [sums.row() for _, sums in sorted(window.tracks.items())] or [{}]:
            cells = {**head, **row, **trial.columns}
            yield csv_line(cells.get(name) for name in (*TRIALS, *extra))


class _Window:
    """A trial in the time of the file, with the sums of its tracks."""

    def __init__(self, trial: Trial, time_offset_s: float) -> None:
        self.trial = trial
        self.start_s = trial.onset_s - time_offset_s
        self.end_s = trial.offset_s - time_offset_s
        self.frames = 0
        self.tracks: dict[int, _Sums] = {}

    def overlap_s(self, start_s: float, end_s: float) -> float:
        return max(0.0, min(end_s, self.end_s) - max(start_s, self.start_s))

    def sums(self, track_id: int) -> "_Sums":
        if track_id not in self.tracks:
            self.tracks[track_id] = _Sums(track_id)
        return self.tracks[track_id]


def _fill(frames: Iterable[RecordedFrame], windows: Sequence[_Window]) -> float:
    """Add the frames to the windows, and return the time of the last one."""
    waiting = sorted(windows, key=lambda window: -window.start_s)
    active: list[_Window] = []
    last_s: dict[int, float] = {}
    sampling, now = SamplingInterval(), 0.0
    for frame in frames:
        before, now = now, frame.result.timestamp_s or 0.0
        sampling.update(now)
        while waiting and waiting[-1].start_s <= now:
            active.append(waiting.pop())
        longest_s = sampling.longest_step_s()
        active = [window for window in active if window.end_s > min(before, now - longest_s)]
        inside = [window for window in active if now < window.end_s]
        for window in inside:
            window.frames += 1
        for face in frame.result.faces:
            if face.track_id is None:
                continue
            since_s = last_s.get(face.track_id, now)
            since_s = now if now - since_s > longest_s else since_s
            last_s[face.track_id] = now
            for window in active:
                elapsed = window.overlap_s(since_s, now)
                if elapsed or now < window.end_s:
                    window.sums(face.track_id).add(face, elapsed, shown=now < window.end_s)
        for event in frame.events:
            if event.track_id is not None and event.kind in ("blink", "yawn"):
                for window in inside:
                    window.sums(event.track_id).events[event.kind] += 1
    return now


class _Sums:
    """The sums of one track in one trial."""

    def __init__(self, track_id: int) -> None:
        self.events: defaultdict[str, int] = defaultdict(int)
        self._track_id = track_id
        self._frames = 0
        self._visible_s = self._hidden_s = self._uncertain_s = self._affect_s = 0.0
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._probabilities: defaultdict[str, float] = defaultdict(float)
        self._valence = self._arousal = 0.0
        self._counted: set[str] = set()

    def add(self, face: Face, elapsed: float, *, shown: bool) -> None:
        """Add the time until a frame that shows the face, and the frame if it is in the trial."""
        self._frames += shown
        self._visible_s += elapsed
        if face.track is not None and shown and shows_lids(face):
            turned = face.quality is not None and abs(face.quality.yaw_deg or 0.0) > MAX_YAW_DEG
            counts = {"blink": None if turned else face.track.blinks, "yawn": face.track.yawns}
            self._counted |= {kind for kind, count in counts.items() if count is not None}
        if face.expression is None:
            return
        state = face.track.state if face.track else "clear"
        if state == "not visible":
            self._hidden_s += elapsed
            return
        self._seconds[face.expression.label.value] += elapsed
        self._uncertain_s += elapsed if state == "uncertain" else 0.0
        for label in face.expression.labels:
            self._probabilities[label.value] += elapsed * face.expression[label]
        if face.affect is not None:
            self._affect_s += elapsed
            self._valence += elapsed * face.affect.valence
            self._arousal += elapsed * face.affect.arousal

    def row(self) -> dict[str, Any]:
        readable_s = sum(self._seconds.values())
        row: dict[str, Any] = {
            "track_id": self._track_id,
            "frames_with_face": self._frames,
            "visible_s": round(self._visible_s, 4),
            "share_uncertain": _ratio(self._uncertain_s, readable_s),
            "share_not_visible": _ratio(self._hidden_s, readable_s + self._hidden_s),
            "mean_valence": _ratio(self._valence, self._affect_s),
            "mean_arousal": _ratio(self._arousal, self._affect_s),
        }
        for label in Expression:
            # A model without a label cannot tell that it was not there.
            if label.value in self._probabilities:
                row[f"share_{label.value}"] = _ratio(self._seconds[label.value], readable_s)
                row[f"mean_p_{label.value}"] = _ratio(self._probabilities[label.value], readable_s)
        return row | {f"{kind}s": self.events[kind] for kind in self._counted}


def _ratio(amount: float, of: float) -> float | None:
    return round(amount / of, 4) if of > 0 else None
