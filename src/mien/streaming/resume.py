"""Going on where an earlier run of a video was stopped."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.errors import SettingError
from mien.labels import Expression
from mien.media.joining import count_frames, end_of_parts_s, parts_in, start_of_part_s
from mien.media.sinks import CsvSink, JsonLinesSink
from mien.media.sources import Frame
from mien.report import ReportSink
from mien.streaming.face_stream import FaceStream
from mien.tracking import Event, Moment, TrackTimeline
from mien.tracking.statistics import mean_of, shows_lids
from mien.types import Box, FrameResult

PROGRESS_FILE = "run.json"
_SAVE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run came.

    Attributes:
        frames: analyzed so far.
        frame_index, timestamp_s: of the last one.
        complete: whether the video's end was reached.
        plan: what was asked for; a resumed run must ask for the same.
    """

    frames: int
    frame_index: int
    timestamp_s: float
    complete: bool
    plan: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Progress | None":
        """The progress that stands in a folder, or None."""
        try:
            document = json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
            return cls(
                int(document["frames"]),
                int(document["frame_index"]),
                float(document["timestamp_s"]),
                document["status"] == "complete",
                dict(document["plan"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, folder: Path, status: str) -> None:
        document = {
            "schema_version": 1,
            "status": status,
            "frames": self.frames,
            "frame_index": self.frame_index,
            "timestamp_s": self.timestamp_s,
            "plan": self.plan,
        }
        unfinished = folder / f"{PROGRESS_FILE}.partial"
        unfinished.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(folder / PROGRESS_FILE)

    def check_plan(self, plan: dict[str, Any]) -> None:
        """Raise SettingError unless a run asks for what this one asked for."""
        differing = sorted(
            key for key in {*plan, *self.plan} if plan.get(key) != self.plan.get(key)
        )
        if differing:
            raise SettingError(
                "expected the same video and options as in the run that is resumed, but these "
                f"differ: {', '.join(differing)}; leave out --resume to begin anew"
            )


class ProgressSink:
    """Writes down once a second how far the run came, after the tables are safe up to there."""

    def __init__(
        self,
        folder: Path,
        plan: dict[str, Any],
        tables: Sequence[CsvSink | JsonLinesSink],
        earlier: Progress | None,
    ) -> None:
        self._folder = folder
        self._tables = tables
        self.progress = Progress(
            earlier.frames if earlier else 0,
            earlier.frame_index if earlier else -1,
            earlier.timestamp_s if earlier else -1.0,
            complete=False,
            plan=plan,
        )
        self._saved_s = self.progress.timestamp_s
        self._save("running")

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        self._advance(frame)
        if frame.timestamp_s - self._saved_s >= _SAVE_EVERY_S:
            self._save("running")

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        self._save("complete" if complete else "partial")

    def _advance(self, frame: Frame) -> None:
        before = self.progress
        self.progress = Progress(
            before.frames + 1, frame.index, frame.timestamp_s, complete=False, plan=before.plan
        )

    def _save(self, status: str) -> None:
        for table in self._tables:
            table.flush()
        self.progress.write(self._folder, status)
        self._saved_s = self.progress.timestamp_s


def cut_to_safe(folder: Path, progress: Progress) -> Progress:
    """The progress up to which everything that an earlier run wrote is whole.

    Of a run that was killed, the pictures may end before the tables do.
    """
    parts = parts_in(folder)
    until_s = end_of_parts_s(parts) if parts else progress.timestamp_s
    if until_s >= progress.timestamp_s:
        return progress
    return replace(progress, timestamp_s=until_s, frames=count_frames(parts, until_s))


def truncate_tables(folder: Path, until_s: float) -> None:
    """Drop the rows after a time, and a torn last line, from the tables of faces."""
    _keep_lines(folder / "faces.csv", lambda line: _csv_time(line) <= until_s, header=True)
    _keep_lines(
        folder / "faces.jsonl", lambda line: float(json.loads(line)["timestamp_s"]) <= until_s
    )


def _csv_time(line: str) -> float:
    return float(line.split(",", 2)[1])


def _keep_lines(path: Path, wanted: Callable[[str], bool], *, header: bool = False) -> None:
    unfinished = path.with_suffix(".partial")
    with (
        path.open(encoding="utf-8", newline="\n") as old,
        unfinished.open("w", encoding="utf-8", newline="\n") as new,
    ):
        for number, line in enumerate(old):
            if line.endswith("\n") and ((header and number == 0) or wanted(line)):
                new.write(line)
    unfinished.replace(path)


def replay(
    folder: Path,
    labels: Sequence[Expression],
    follower: FaceStream,
    report: ReportSink,
    *,
    progress: Progress,
    until_s: float,
) -> Iterator[list[Event]]:
    """Bring a stream and a report to where an earlier run stopped, out of its table of faces.

    What happened then happens again: the events are given in groups, in order. The smoothing
    starts anew; a track that was in view goes on under its number.
    """
    for part in parts_in(folder)[:1]:
        report.count_frame(start_of_part_s(part), frames=0)
    timelines: dict[int, TrackTimeline] = {}
    boxes: dict[int, Box] = {}
    with (folder / "faces.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            track_id, moment = int(row["track_id"]), _moment(row)
            events: list[Event] = []
            if track_id not in timelines:
                timelines[track_id] = TrackTimeline(track_id, moment.timestamp_s)
                events.append(Event("track_started", moment.timestamp_s, track_id))
            events += timelines[track_id].update(moment)[1]
            boxes[track_id] = Box(*(float(row[name]) for name in _BOX))
            report.count_frame(moment.timestamp_s, frames=0)
            report.add(
                track_id,
                moment.timestamp_s,
                row["expression"] or None,
                [float(row[f"p_{label.value}"]) for label in labels] if row["expression"] else [],
                row["state"],
            )
            report.replay(events)
            yield events
    report.count_frame(until_s, frames=progress.frames)
    for track_id, timeline in timelines.items():
        in_view = timeline.last_s >= until_s - follower.settings.max_gap_s
        follower.restore(timeline, boxes[track_id] if in_view else None)
        if not in_view:
            events = timeline.finish()
            events.append(Event("track_ended", timeline.last_s, track_id, timeline.summary()))
            report.replay(events)
            yield events


_BOX = ("x_min", "y_min", "x_max", "y_max")


def _moment(row: dict[str, str]) -> Moment:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    expression = Expression(row["expression"]) if row["expression"] else None
    fine = shows_lids(number("size_px") or 0.0, row["reasons"])
    return Moment(
        timestamp_s=float(row["timestamp_s"]),
        expression=expression,
        probability=(number(f"p_{expression.value}") or 0.0) if expression else 0.0,
        state=row["state"],  # type: ignore[arg-type]
        eye_opening=mean_of(number("eye_opening_left"), number("eye_opening_right"))
        if fine
        else None,
        mouth_opening=number("mouth_opening") if fine else None,
        facing=number("facing"),
        yaw_deg=number("yaw_deg"),
        valence=number("valence"),
        arousal=number("arousal"),
    )
