"""The live streams that are open: who is in, how many more may come, what each of them sees."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from mien.media.images import read_image
from mien.streaming import FaceStream
from mien.types import FrameResult
from mien.web.inference import Engine
from mien.web.store.sessions import Recording

# A stream over plain HTTP has no connection whose end could be seen.
_FORGET_AFTER_S = 20.0
_MAX_FRAME_MEGAPIXELS = 4


class FullError(Exception):
    """All live places are taken."""


class LiveStream:
    """One person's live stream: tracks and smoothing of its own, inference shared with all.

    Attributes:
        id: unguessable.
        owner: the visitor who opened it; empty for a program without a cookie.
        recording: where results are kept, while the person asked for that.
    """

    def __init__(self, engine: Engine, owner: str) -> None:
        self.id = secrets.token_urlsafe(16)
        self.owner = owner
        self.recording: Recording | None = None
        self.last_used = time.monotonic()
        self._engine = engine
        self._faces = FaceStream(engine.pipeline)
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._frame_index = 0

    def analyze(self, data: bytes) -> FrameResult:
        """Analyze the next frame; its time is that of its arrival.

        Args:
            data: a JPEG, or another picture.

        Raises:
            BusyError: the server has too much to do; the frame was not analyzed.
            ImageReadError: the bytes are no picture.
        """
        arrived = time.monotonic()
        self.last_used = arrived
        with self._lock, self._engine.gate.admitted():
            image = read_image(data, max_megapixels=_MAX_FRAME_MEGAPIXELS)
            result = self._faces.update(image, arrived - self._started)
            result = replace(result, frame_index=self._frame_index)
            self._frame_index += 1
        if self.recording is not None:
            self.recording.add(result)
        return result

    def close(self) -> None:
        """End the stream, and its recording."""
        if self.recording is not None:
            self.recording.finish()
            self.recording = None


class Lobby:
    """Opens live streams up to a limit, and closes those that nobody uses any more.

    Args:
        engine: does the inference for all.
        capacity: streams at once.
        on_change: is told how many there are.
    """

    def __init__(
        self, engine: Engine, capacity: int, *, on_change: Callable[[int], None] = lambda n: None
    ) -> None:
        self.capacity = capacity
        self._engine = engine
        self._on_change = on_change
        self._streams: dict[str, LiveStream] = {}
        self._connected: set[str] = set()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def open(self, owner: str, *, connected: bool) -> LiveStream:
        """Open a stream.

        Args:
            owner: who asks.
            connected: whether a connection's end will close it; otherwise it is closed when it
                was not used for a while.

        Raises:
            FullError: there are as many as may be.
        """
        self.close_idle()
        with self._lock:
            if len(self._streams) >= self.capacity:
                raise FullError
            stream = LiveStream(self._engine, owner)
            self._streams[stream.id] = stream
            if connected:
                self._connected.add(stream.id)
        self._on_change(self.count)
        return stream

    def find(self, stream_id: str, visitor: str) -> LiveStream | None:
        """A stream that is still open and the visitor's, or nobody's."""
        stream = self._streams.get(stream_id)
        return stream if stream is not None and stream.owner in {"", visitor} else None

    def close(self, stream_id: str) -> None:
        """Close a stream; one that is closed already is none."""
        with self._lock:
            stream = self._streams.pop(stream_id, None)
            self._connected.discard(stream_id)
        if stream is not None:
            stream.close()
            self._on_change(self.count)

    def close_idle(self) -> None:
        """Close the streams without a connection that were not used for a while."""
        before = time.monotonic() - _FORGET_AFTER_S
        with self._lock:
            idle = [
                stream.id
                for stream in self._streams.values()
                if stream.id not in self._connected and stream.last_used < before
            ]
        for stream_id in idle:
            self.close(stream_id)

    def close_all(self) -> None:
        """Close every stream, and take no more: the server ends."""
        self.capacity = 0
        for stream_id in list(self._streams):
            self.close(stream_id)
