"""Where frames come from: the contract of sources, and choosing one."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy.typing as npt

from mien import imaging
from mien.types import Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a stream.

    Attributes:
        image: ``(H, W, 3)`` RGB uint8, upright.
        timestamp_s: when it is shown, in seconds since the stream's begin.
        index: its number in the stream, from 0; frames that were left out are counted.
    """

    image: Image
    timestamp_s: float
    index: int


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its frames are read.

    Attributes:
        name: what results call it.
        size_wh: of the frames, upright; None where it is not known yet.
        frame_rate: mean frames per second, if known.
        duration_s: if known; None for a camera.
        live: whether frames come by themselves and are lost when nobody takes them.
    """

    name: str
    size_wh: tuple[int, int] | None = None
    frame_rate: float | None = None
    duration_s: float | None = None
    live: bool = False


@runtime_checkable
class Source(Protocol):
    """Gives the frames of one stream. Users may write their own.

    Attributes:
        info: what is known of it.
    """

    info: SourceInfo

    def frames(self) -> Iterator[Frame]:
        """The frames in order, with timestamps that grow.

        Called once, in a thread of its own; closing the iterator releases what it holds.

        Raises:
            VideoReadError: a file that is no readable video.
            CameraError: a camera that cannot be opened.
        """
        ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames of a recording are wanted.

    Attributes:
        every: each so-manieth frame, at least 1.
        max_fps: at most so many frames per second; 0 takes all.
        start_s, end_s: from this time, and before that time.
    """

    every: int = 1
    max_fps: float = 0.0
    start_s: float = 0.0
    end_s: float | None = None

    def wanted(self) -> "_Chooser":
        """A function of index and timestamp that tells, frame after frame, which to take."""
        return _Chooser(self)

    def is_over(self, timestamp_s: float) -> bool:
        return self.end_s is not None and timestamp_s >= self.end_s


class _Chooser:
    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._due_s = selection.start_s

    def __call__(self, index: int, timestamp_s: float) -> bool:
        chosen = self._selection
        if timestamp_s < chosen.start_s or index % chosen.every:
            return False
        if not chosen.max_fps:
            return True
        period_s = 1 / chosen.max_fps
        # A tenth of a period of tolerance keeps 30 frames per second 30 when they jitter.
        if timestamp_s < self._due_s - 0.1 * period_s:
            return False
        self._due_s = max(self._due_s + period_s, timestamp_s + 0.5 * period_s)
        return True


@dataclass(slots=True)
class ArraySource:
    """Frames that the caller has or makes.

    Args:
        images: pairs of a picture, as :func:`mien.imaging.as_rgb` understands it, and its time in
            seconds.
        info: what is known of them.
    """

    images: Iterable[tuple[npt.ArrayLike, float]]
    info: SourceInfo = field(default_factory=lambda: SourceInfo("frames"))

    def frames(self) -> Iterator[Frame]:
        for index, (image, timestamp_s) in enumerate(self.images):
            yield Frame(imaging.as_rgb(image), timestamp_s, index)


class PacedSource:
    """A recording played at its own speed, as if it were a camera.

    Args:
        source: the recording.
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
