"""The contract of frame sources, the selection of frames, and sources for arrays."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy.typing as npt

from mien import imaging
from mien.errors import NoFrameError, valid_text
from mien.types import Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a stream.

    Attributes:
        image: ``(H, W, 3)`` RGB uint8, upright.
        timestamp_s: presentation time in seconds since the start of the stream.
        index: frame number in the stream, from 0; skipped frames are counted.
    """

    image: Image
    timestamp_s: float
    index: int


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Properties of a source, known before frames are read.

    Attributes:
        name: shown in results.
        size_wh: width and height of the upright frames; None if not known yet.
        frame_rate: mean frames per second, if known.
        duration_s: duration in seconds, if known; None for a camera.
        live: whether frames arrive in real time and are dropped if not read in time.
    """

    name: str
    size_wh: tuple[int, int] | None = None
    frame_rate: float | None = None
    duration_s: float | None = None
    live: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", valid_text(self.name))


@runtime_checkable
class Source(Protocol):
    """Yields the frames of one stream. Can be implemented by users.

    One that may wait long for a frame, as for a lost camera, also has a method ``stop()``, which
    another thread calls to end the waiting.

    Attributes:
        info: properties of the source.
    """

    info: SourceInfo

    def frames(self) -> Iterator[Frame]:
        """The frames in order, with increasing timestamps.

        Called once, in a separate thread; closing the iterator releases its resources.

        Raises:
            VideoReadError: the file is not a readable video.
            CameraError: the camera cannot be opened.
        """
        ...


def stop_of(source: Source) -> Callable[[], None]:
    """What ends the waiting of a source in its thread; nothing for most."""
    stop = getattr(source, "stop", None)
    return stop if callable(stop) else lambda: None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames of a video to use.

    Attributes:
        every: use every Nth frame, at least 1.
        max_fps: maximum frames per second; 0 for no limit.
        start_s, end_s: use frames from this time (inclusive) to that time (exclusive).
    """

    every: int = 1
    max_fps: float = 0.0
    start_s: float = 0.0
    end_s: float | None = None

    def selector(self) -> "_Selector":
        """A function of index and timestamp that says, frame by frame, which to use."""
        return _Selector(self)

    def is_over(self, timestamp_s: float) -> bool:
        return self.end_s is not None and timestamp_s >= self.end_s

    def nothing_in(self, name: str, last_s: float) -> NoFrameError:
        """The error where no frame was used.

        Args:
            name: of the video.
            last_s: time of the last frame that was read.
        """
        if self.start_s > last_s:
            return NoFrameError(
                f"expected a start before the end of {name}, got {self.start_s:g} s, but its last "
                f"frame is at {last_s:.2f} s"
            )
        until = "the end" if self.end_s is None else f"before {self.end_s:g} s"
        return NoFrameError(
            f"expected a frame to analyze from {self.start_s:g} s to {until} in {name}, but there "
            "is none"
        )


class _Selector:
    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._due_s = selection.start_s

    def __call__(self, index: int, timestamp_s: float) -> bool:
        selection = self._selection
        if timestamp_s < selection.start_s or index % selection.every:
            return False
        if not selection.max_fps:
            return True
        period_s = 1 / selection.max_fps
        # A tenth of a period of tolerance keeps 30 frames per second 30 when they jitter.
        if timestamp_s < self._due_s - 0.1 * period_s:
            return False
        self._due_s = max(self._due_s + period_s, timestamp_s + 0.5 * period_s)
        return True


@dataclass(slots=True)
class ArraySource:
    """Frames from arrays.

    Args:
        images: pairs of an image, in any form :func:`mien.imaging.as_rgb` accepts, and its time in
            seconds.
        info: properties of the source.
    """

    images: Iterable[tuple[npt.ArrayLike, float]]
    info: SourceInfo = field(default_factory=lambda: SourceInfo("frames"))

    def frames(self) -> Iterator[Frame]:
        for index, (image, timestamp_s) in enumerate(self.images):
            yield Frame(imaging.as_rgb(image), timestamp_s, index)


class PacedSource:
    """Plays a video at its own speed, like a camera.

    Args:
        source: the video.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        info = source.info
        self.info = SourceInfo(info.name, info.size_wh, info.frame_rate, info.duration_s, live=True)

    def frames(self) -> Iterator[Frame]:
        started = time.monotonic()
        for frame in self._source.frames():
            early_s = frame.timestamp_s - (time.monotonic() - started)
            if early_s > 0:
                time.sleep(early_s)
            yield frame
