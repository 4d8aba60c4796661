"""Increasing times from a video file's timestamps, and where it can be entered in its middle."""

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")

# FFmpeg, too, takes a longer step for a discontinuity (its dts_delta_threshold).
_MAX_STEP_S = 10.0


class Clock:
    """Turns the timestamps of a file into times that increase from 0.

    Times are kept as they are, with variable frame rates, as long as they increase. Where they
    go back for good, or start over, time goes on from the last frame with the mean frame rate; the
    same where they jump ahead in a format whose recordings may be joined (MPEG transport streams).
    A single wrong, repeated or missing timestamp moves one frame only.

    Args:
        frame_rate: mean frames per second.
        jumps: whether a step of more than 10 seconds is a discontinuity and not a pause.

    Attributes:
        warnings: what was corrected.
    """

    def __init__(self, frame_rate: float, *, jumps: bool = False) -> None:
        self._period_s = 1 / frame_rate
        self._max_step_s = _MAX_STEP_S if jumps else float("inf")
        self._offset_s: float | None = None
        self._last_s = -self._period_s
        self._restarts = self._wrong = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        found = []
        if self._restarts:
            found.append(
                "timestamps that jump or start over, where times continue with the mean frame "
                f"rate: {self._restarts}"
            )
        if self._wrong:
            found.append(
                "timestamps that are missing, repeated or out of order, and were estimated from "
                f"the frame rate: {self._wrong}"
            )
        return tuple(found)

    def enter(self, timestamp_s: float, offset_s: float) -> None:
        """Begin at a later frame than the first one.

        Args:
            timestamp_s: of the frame that comes next.
            offset_s: time of the first frame in the file's own time.
        """
        self._offset_s, self._last_s = offset_s, timestamp_s - self._period_s

    def times(self, frames: Iterable[tuple[_T, float | None]]) -> Iterator[tuple[_T, float]]:
        """The frames with their times in seconds, rounded to a microsecond.

        Args:
            frames: each with its timestamp in seconds; None where it is missing.
        """
        ended: Iterator[tuple[_T | None, float | None]] = itertools.chain(frames, [(None, None)])
        for (frame, seconds), (_, following) in itertools.pairwise(ended):
            assert frame is not None
            # Rounded so that tables contain exactly the time that was used.
            self._last_s = round(self._next(seconds, following), 6)
            yield frame, self._last_s

    def _next(self, seconds: float | None, following: float | None) -> float:
        expected = self._last_s + self._period_s
        if self._offset_s is None:
            if seconds is not None:
                self._offset_s = seconds - expected
            else:
                self._wrong += 1
            return expected
        if seconds is not None and self._fits(seconds, following):
            return seconds - self._offset_s
        if following is not None and self._is_later(following - self._offset_s):
            # The next frame is on time: between it and the last one.
            self._wrong += 1
            return self._last_s + min(
                self._period_s, (following - self._offset_s - self._last_s) / 2
            )
        if seconds is None:
            self._wrong += 1
        else:
            backward_s = self._last_s - (seconds - self._offset_s)
            if -1e-6 <= backward_s < self._period_s:
                self._wrong += 1
            else:
                self._restarts += 1
            self._offset_s = seconds - expected
        return expected

    def _is_later(self, now: float) -> bool:
        # A microsecond is the precision of times.
        return 1e-6 < now - self._last_s < self._max_step_s

    def _fits(self, seconds: float, following: float | None) -> bool:
        """Whether a timestamp is later than the last time, and not an outlier."""
        assert self._offset_s is not None
        now = seconds - self._offset_s
        if not self._is_later(now):
            return False
        # A leap ahead from which the next frame comes back was wrong.
        is_leap = now > self._last_s + max(1.0, 10 * self._period_s)
        return not (is_leap and following is not None and following < seconds)


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame at which decoding can begin.

    Attributes:
        index: number of the frame in the video, from 0.
        timestamp_s: as :class:`mien.media.video.VideoSource` has it.
        pts: of the frame, in the time base of its stream.
        offset_s: time of the first frame in the file's own time.
    """

    index: int
    timestamp_s: float
    pts: int
    offset_s: float


def find_key_frame(
    path: Path, before_s: float, on_packet: Callable[[], None] = lambda: None
) -> KeyFrame | None:
    """The last key frame at or before a time. Reads the file without decoding it.

    Args:
        path: of the video.
        before_s: the time.
        on_packet: called for each packet that is read.

    Returns:
        None where the video must be read from its beginning, for numbers and times to be right:
        its timestamps are missing, repeated or joined, an edit list leaves out frames, or packets
        and frames do not match.

    Raises:
        VideoReadError: not a readable video.
        MissingExtraError: PyAV is not installed.
    """
    from mien.media.video import open_container, require_av, video_stream

    times: list[tuple[int, bool]] = []
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None or stream.time_base is None or _jumps(container):
            return None
        try:
            for packet in container.demux(stream):
                on_packet()
                if not packet.size:
                    continue
                if packet.pts is None or packet.is_discard or packet.is_corrupt:
                    return None
                if not _has_its_frame(packet, stream.codec_context.name):
                    return None
                times.append((packet.pts, bool(packet.is_keyframe)))
        except require_av().FFmpegError:
            return None
        declared, base = stream.frames, float(stream.time_base)
    times.sort()
    increasing = all(a[0] < b[0] for a, b in itertools.pairwise(times))
    if not times or not increasing or (declared and declared != len(times)):
        return None
    first = times[0][0]
    found = None
    for index, (pts, is_key) in enumerate(times):
        timestamp_s = round(pts * base - first * base, 6)
        if timestamp_s > before_s:
            break
        if is_key:
            found = KeyFrame(index, timestamp_s, pts, first * base)
    return found


def _has_its_frame(packet: Any, codec: str) -> bool:
    """Whether a packet holds one frame that is shown."""
    if codec == "mpeg4":
        return bool(packet.size > _EMPTY_MPEG4_BYTES)
    # The bit of VP8 that says whether a frame is shown (RFC 6386, 9.1).
    return codec != "vp8" or bool(bytes(packet)[0] & 0x10)


# A frame that repeats the one before it, or stands for one in an earlier packet.
_EMPTY_MPEG4_BYTES = 16


def _jumps(container: Any) -> bool:
    from mien.media.video import DISCONTINUOUS

    return bool(container.format.flags & DISCONTINUOUS)


class Reordering:
    """The timestamps of frames in the order of showing, where a file has only that of decoding.

    AVI has one number for each frame, and H.264 in MXF often too; FFmpeg adds a constant to it.
    Where frames depend on later ones, the decoder returns them in another order than their
    packets: the earliest time of the packets so far is that of the next frame.

    Args:
        is_possible: False where the format has times of showing.
    """

    def __init__(self, *, is_possible: bool) -> None:
        self._is_possible = is_possible
        self._waiting: list[int] = []
        self._delays: set[int] = set()

    @property
    def _is_needed(self) -> bool:
        return self._is_possible and len(self._delays) < 2

    def note(self, shown: int | None, decoded: int | None) -> None:
        """Take the times of a packet that was decoded, in ticks."""
        if not self._is_needed or decoded is None:
            return
        time = decoded if shown is None else shown
        self._delays.add(time - decoded)
        heapq.heappush(self._waiting, time)

    def next(self, shown: int | None) -> int | None:
        """The time of the next frame; `shown` where packets have times of both kinds."""
        earliest = heapq.heappop(self._waiting) if self._waiting else None
        return earliest if self._is_needed and earliest is not None else shown


# Frames of MPEG-4 in one packet with the one before them have times that are up to two late.
_LOOKAHEAD = 3


def with_times_in_order(frames: Iterator[Any]) -> Iterator[Any]:
    """Frames in the order of showing, whose timestamps may be swapped with those of following ones.

    Packed MPEG-4 (Xvid, DivX) has a frame and the following one that it depends on in one packet,
    and an empty packet later: FFmpeg gives them the times of their packets.

    Args:
        frames: of a decoder.
    """
    last, waiting = -math.inf, list[Any]()
    for frame in itertools.chain(frames, itertools.repeat(None, _LOOKAHEAD)):
        if frame is not None:
            waiting.append(frame)
        if not waiting or (frame is not None and len(waiting) <= _LOOKAHEAD):
            continue
        first = waiting.pop(0)
        if first.pts is not None and first.pts >= last:
            # One that is further ahead is wrong, and moves no other frame.
            least = max(last, first.pts - _LOOKAHEAD * _period([first, *waiting]))
            early = [f for f in waiting if f.pts is not None and least <= f.pts < first.pts]
            if early:
                other = min(early, key=lambda f: f.pts)
                first.pts, other.pts = other.pts, first.pts
        last = last if first.pts is None else first.pts
        yield first


def _period(frames: Iterable[Any]) -> float:
    """The smallest distance of their timestamps."""
    times = sorted({frame.pts for frame in frames if frame.pts is not None})
    return min((b - a for a, b in itertools.pairwise(times)), default=0)
