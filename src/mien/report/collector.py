"""Gathers, while a stream runs, what its report will show."""

from collections.abc import Sequence
from pathlib import Path

from mien.labels import Expression
from mien.media.sources import Frame
from mien.report.bins import BinClock
from mien.report.page import render_report
from mien.report.records import Recording, ReportFacts, TrackRecord
from mien.report.thumbnails import Thumbnail
from mien.tracking import Event
from mien.types import FrameResult

MAX_TRACKS = 200
"""Of more tracks the shortest are counted but not drawn."""

_MAX_STEP_S = 1.0


class ReportSink:
    """A sink that writes one self-contained HTML page at the end.

    Args:
        path: of the page.
        facts: what is known of the recording and of how it was analyzed.
        labels: of the expression model.
        thumbnails: whether the page shows a small picture of each track.
        video: what the page plays: a file that exists when the sink is closed.
        trimmed: whether that video begins with the first analyzed frame.
    """

    def __init__(
        self,
        path: Path,
        facts: ReportFacts,
        labels: Sequence[Expression],
        *,
        thumbnails: bool = True,
        video: Path | None = None,
        trimmed: bool = False,
    ) -> None:
        self._path = path
        self._facts = facts
        self._labels = tuple(labels)
        self._thumbnails = thumbnails
        self._video = video
        self._trimmed = trimmed
        self._first_s: float | None = None
        self._before_s = self._now_s = -1.0
        self._clock = BinClock()
        self._tracks: dict[int, TrackRecord] = {}
        self._left_out = 0
        self._frames = 0

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        self.replay(events)
        self.count_frame(frame.timestamp_s)
        for face in result.faces:
            if face.track_id is None:
                continue
            scores = face.expression
            self.add(
                face.track_id,
                frame.timestamp_s,
                scores.label.value if scores else None,
                scores.probabilities.tolist() if scores else [],
                face.track.state if face.track else "clear",
            )
            record = self._tracks.get(face.track_id)
            if self._thumbnails and record is not None:
                record.thumbnail = record.thumbnail or Thumbnail()
                record.thumbnail.offer(frame.image, face)

    def count_frame(self, timestamp_s: float, *, frames: int = 1) -> None:
        """Take in that a frame, or so many up to now, were analyzed."""
        self._frames += frames
        self._first_s = timestamp_s if self._first_s is None else self._first_s
        if timestamp_s > self._now_s:
            self._before_s, self._now_s = self._now_s, timestamp_s
        if self._clock.advance(timestamp_s):
            for record in self._tracks.values():
                record.bins.halve()

    def add(
        self,
        track_id: int,
        timestamp_s: float,
        label: str | None,
        probabilities: Sequence[float],
        state: str,
    ) -> None:
        """Take in one face in one frame."""
        record = self._tracks.get(track_id)
        if record is None:
            record = self._tracks[track_id] = TrackRecord(timestamp_s, timestamp_s)
            self._limit_tracks()
        # Between two frames that both show the face it is taken to have been there.
        stays = record.last_s >= self._before_s and timestamp_s - record.last_s <= _MAX_STEP_S
        start_s = record.last_s if stays else timestamp_s
        record.last_s = timestamp_s
        last = self._clock.number(timestamp_s)
        for number in range(min(self._clock.number(start_s) + 1, last), last + 1):
            record.bins.add(number, label, probabilities, state)

    def replay(self, events: Sequence[Event]) -> None:
        """Take in what happened."""
        for event in events:
            record = self._tracks.get(event.track_id or 0)
            if record is None:
                continue
            if event.kind == "track_ended":
                record.summary = event.details
            elif event.kind == "expression" and event.details["before"]:
                change = event.details["before"], event.details["expression"]
                record.transitions[change] = record.transitions.get(change, 0) + 1

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        self.replay(events)
        recording = Recording(
            facts=self._facts,
            tracks=self._tracks,
            labels=tuple(label.value for label in self._labels),
            width_s=self._clock.width_s,
            end_s=self._clock.end_s,
            frames=self._frames,
            left_out=self._left_out,
            complete=complete,
            video_start_s=(self._first_s or 0.0) if self._trimmed else 0.0,
        )
        video = self._video if self._video and self._video.is_file() else None
        page = render_report(recording, video=video, folder=self._path.parent)
        unfinished = self._path.with_suffix(".partial")
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(self._path)

    def _limit_tracks(self) -> None:
        if len(self._tracks) <= MAX_TRACKS:
            return
        over = [key for key, record in self._tracks.items() if record.summary]
        if over:
            lengths = {key: self._tracks[key].last_s - self._tracks[key].first_s for key in over}
            del self._tracks[min(lengths, key=lengths.__getitem__)]
            self._left_out += 1
