"""Long videos in segments that are analyzed apart, and stitched so that their tracks go on.

A segment begins :data:`_OVERLAP_S` before its share of the video, at a key frame, so that tracks,
smoothing and the search for faces are under way where its share begins. In the overlap, the tracks
of both segments are the same faces in the same frames, which tells which track goes on as which.
All statistics and events are then computed over the whole video, as in one piece.
"""

import json
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien import geometry
from mien.cluster import storage
from mien.errors import InputError, VideoReadError
from mien.media.clips import Clip
from mien.media.clock import find_key_frame
from mien.media.sources import Selection
from mien.media.video import VideoSource
from mien.recording import FRAMES_FILE, LineFile, RecordedFrame, Recording, frame_document
from mien.tables import write_tables
from mien.tracking import Event, StreamStatistics
from mien.types import Box, Face, FrameResult

SEGMENT_S = 600.0
_OVERLAP_S = 10.0
"""Tracks end after two seconds without their face; smoothing forgets within a few."""
_MIN_IOU = 0.5
_FEWEST_BYTES_PER_S = 5_000
"""Videos with less are hardly seen."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment of a video, or all of them together.

    Attributes:
        number: from 0; `count` for the step that stitches them.
        count: of the segments.
        seconds: length of a segment.
    """

    number: int
    count: int
    seconds: float

    @property
    def is_join(self) -> bool:
        return self.number == self.count

    @property
    def start_s(self) -> float:
        """From where its frames count."""
        return self.number * self.seconds

    def clip(
        self,
        name: str,
        path: Path,
        fps: float,
        on_packet: Callable[[], None] = lambda: None,
    ) -> tuple[Clip, Selection]:
        """What of the video is analyzed for the segment, with the overlap.

        Args:
            name: of the video.
            path: of the file.
            fps: at most this number of frames per second are analyzed; 0: all.
            on_packet: called while a key frame is searched.
        """
        start_s = max(0.0, self.start_s - _OVERLAP_S)
        if fps:
            # The same frames are selected as in one piece.
            start_s = math.floor(start_s * fps) / fps
        entry = find_key_frame(path, start_s, on_packet) if start_s else None
        end_s = None if self.number == self.count - 1 else self.start_s + self.seconds
        return Clip(name, path, entry=entry), Selection(max_fps=fps, start_s=start_s, end_s=end_s)


def split(address: str, seconds: float) -> tuple[Piece, ...]:
    """The segments of a video and the step that stitches them; none for one that is short.

    Raises:
        InputError: its storage does not answer.
    """
    if storage.is_local(address):
        try:
            duration_s = VideoSource(storage.local_path(address)).info.duration_s
        except VideoReadError:
            return ()
    else:
        duration_s = _remote_duration_s(address, seconds)
    count = math.ceil((duration_s or 0.0) / seconds - 0.5)
    if count < 2:
        return ()
    return tuple(Piece(number, count, seconds) for number in range(count + 1))


def _remote_duration_s(address: str, seconds: float) -> float | None:
    """The length that the header of a remote video says; None for small files and unknown ones.

    Only parts of the file are read, which servers of ``https://`` need not offer.
    """
    if storage.is_web(address):
        return None
    import av

    opened, path = storage.filesystem(address)
    try:
        with opened.open_input_file(path) as file:
            if file.size() < seconds * _FEWEST_BYTES_PER_S:
                return None
            with av.open(file) as container:
                return container.duration / av.time_base if container.duration else None
    except (FileNotFoundError, av.FFmpegError):
        return None
    except OSError as error:
        raise InputError(f"{address}: {storage.reason_of(error)}") from None


def stitch(segments: Sequence[tuple[float, Path]], folder: Path) -> int:
    """Write the recording and the tables of a whole video.

    Args:
        segments: from where the frames of each count, and the folder of its recording; in order.
        folder: for the result.

    Returns:
        The number of frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = Recording(segments[0][1]).state()
    file, frames = LineFile(folder / FRAMES_FILE), 0
    try:
        for result, events, closing in _stitched(segments):
            document = frame_document(result, events)
            if closing:
                document["closing_events"] = [event.to_dict() for event in closing]
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
            frames += 1
    finally:
        file.close()
    replace(state, status="complete", error=None, frames=frames, plan={}).write(folder)
    write_tables(Recording(folder), folder)
    return frames


def _stitched(segments: Sequence[tuple[float, Path]]) -> Iterator[RecordedFrame]:
    tracks = _Tracks()
    last: RecordedFrame | None = None
    for start_s, folder in segments:
        overlap: list[RecordedFrame] = []
        entered = False
        for frame in Recording(folder).frames():
            if (frame.result.timestamp_s or 0.0) < start_s - 1e-6:
                overlap.append(frame)
                continue
            if last is not None:
                yield last
            lost = () if entered else tracks.enter(overlap)
            entered = True
            last = tracks.take_over(frame, lost)
    if last is not None:
        ends = tracks.statistics.end(tracks.statistics.track_ids)
        yield last._replace(closing_events=tuple(ends))


class _Tracks:
    """The tracks of a whole video, and which those of the segment at hand are."""

    def __init__(self) -> None:
        self.statistics = StreamStatistics()
        self._numbers: dict[int, int] = {}
        self._highest = 0
        self._recent: deque[FrameResult] = deque()

    def enter(self, overlap: Sequence[RecordedFrame]) -> list[int]:
        """Begin a segment; return the tracks that do not go on in it."""
        mine = {result.timestamp_s: _boxes(result) for result in self._recent}
        votes: Counter[tuple[int, int]] = Counter()
        for frame in overlap:
            for number, box in mine.get(frame.result.timestamp_s, {}).items():
                for other, other_box in _boxes(frame.result).items():
                    overlaps = geometry.box_iou([box.to_array()], [other_box.to_array()])
                    votes[number, other] += int(overlaps[0, 0] >= _MIN_IOU)
        over = {e.track_id for f in overlap for e in f.events if e.kind == "track_ended"}
        left = set(self.statistics.track_ids)
        self._numbers = {}
        for (number, other), count in votes.most_common():
            if count and number in left and other not in over and other not in self._numbers:
                self._numbers[other] = number
                left.remove(number)
        return sorted(left)

    def take_over(self, frame: RecordedFrame, lost: Sequence[int]) -> RecordedFrame:
        """A frame of the segment with the tracks, statistics and events of the whole video."""
        result, timestamp_s = frame.result, frame.result.timestamp_s or 0.0
        self.statistics.begin_frame(timestamp_s)
        events: list[Event] = [event for event in frame.events if event.kind == "scene_cut"]
        gone = [event.track_id or 0 for event in frame.events if event.kind == "track_ended"]
        ended = [self._numbers.get(number) for number in gone]
        events += self.statistics.end([*lost, *ended])
        faces: list[Face] = []
        for face in result.faces:
            if face.track_id is not None:
                if face.track_id not in self._numbers:
                    self._highest += 1
                    self._numbers[face.track_id] = self._highest
                state = face.track.state if face.track else "clear"
                numbered = replace(face, track_id=self._numbers[face.track_id])
                statistics, more = self.statistics.update(numbered, state, timestamp_s)
                events += more
                face = replace(numbered, track=statistics)  # noqa: PLW2901
            faces.append(face)
        faces.sort(key=lambda face: face.track_id or 0)
        result = replace(result, faces=tuple(faces))
        self._recent.append(result)
        while (self._recent[0].timestamp_s or 0.0) < timestamp_s - _OVERLAP_S - 1:
            self._recent.popleft()
        return RecordedFrame(result, tuple(events))


def _boxes(result: FrameResult) -> dict[int, Box]:
    return {face.track_id: face.box for face in result.faces if face.track_id is not None}
