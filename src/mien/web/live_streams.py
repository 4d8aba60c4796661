"""The open live streams: tracks of their own, one inference engine for all."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from mien.media.images import read_image
from mien.streaming import FaceStream
from mien.types import FrameResult
from mien.web.inference import InferenceEngine
from mien.web.store.sessions import Recording

# A stream over plain HTTP has no connection whose end could be noticed.
_IDLE_TIMEOUT_S = 20.0
_MAX_FRAME_MEGAPIXELS = 4


class FullError(Exception):
    """The maximum number of live streams is open."""


class LiveStream:
    """A visitor's live stream, with its own tracks and smoothing.

    Attributes:
        id: cannot be guessed.
        owner: the visitor who opened it; empty for a program without a cookie.
        connected: whether the end of a connection will close it; otherwise it is closed when it is
            idle.
        recording: stores the results, while the visitor records.
    """

    def __init__(
        self, inference: InferenceEngine, owner: str, *, connected: bool, sign: str = ""
    ) -> None:
        self.id = sign + secrets.token_urlsafe(16)[len(sign) :]
        self.owner = owner
        self.connected = connected
        self.recording: Recording | None = None
        self.last_used = time.monotonic()
        self._inference = inference
        self._faces = FaceStream(inference.pipeline)
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._frame_index = 0

    def analyze(self, data: bytes) -> FrameResult:
        """Analyze the next frame; its time is that of its arrival.

        Args:
            data: a JPEG or another image file.

        Raises:
            BusyError: the server has no capacity; the frame was not analyzed.
            ImageReadError: the bytes are not a readable image.
        """
        arrived = time.monotonic()
        self.last_used = arrived
        with self._lock, self._inference.gate.admitted():
            image = read_image(data, max_megapixels=_MAX_FRAME_MEGAPIXELS)
            result = self._faces.update(image, arrived - self._started)
            result = replace(result, frame_index=self._frame_index)
            self._frame_index += 1
        if self.recording is not None:
            self.recording.add(result)
        return result

    def close(self) -> None:
        """End the stream and its recording."""
        if self.recording is not None:
            self.recording.finish()
            self.recording = None


class LiveStreams:
    """Opens live streams up to a limit, and closes idle ones.

    Args:
        inference: shared by all streams.
        capacity: the maximum number of open streams.
        on_change: called with the number of open streams.

    Attributes:
        sign: begins the ids of the streams; tells the process where several serve.
    """

    def __init__(
        self,
        inference: InferenceEngine,
        capacity: int,
        *,
        on_change: Callable[[int], None] = lambda n: None,
    ) -> None:
        self.capacity = capacity
        self.sign = ""
        self._inference = inference
        self._on_change = on_change
        self._streams: dict[str, LiveStream] = {}
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """The number of open streams."""
        return len(self._streams)

    def open(self, owner: str, *, connected: bool) -> LiveStream:
        """Open a stream; see :class:`LiveStream`.

        Raises:
            FullError: the maximum number of streams is open.
        """
        self._close_idle()
        with self._lock:
            if len(self._streams) >= self.capacity:
                raise FullError
            stream = LiveStream(self._inference, owner, connected=connected, sign=self.sign)
            self._streams[stream.id] = stream
        self._on_change(self.count)
        return stream

    def find(self, stream_id: str, visitor: str) -> LiveStream | None:
        """An open stream that belongs to the visitor, or to no one; it is not idle then."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.owner not in {"", visitor}:
            return None
        stream.last_used = time.monotonic()
        return stream

    def close(self, stream_id: str) -> None:
        """Close a stream, if it is open."""
        with self._lock:
            stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.close()
            self._on_change(self.count)

    def close_all(self) -> None:
        """Close every stream and open no more, as when the server shuts down."""
        self.capacity = 0
        for stream_id in list(self._streams):
            self.close(stream_id)

    def _close_idle(self) -> None:
        before = time.monotonic() - _IDLE_TIMEOUT_S
        for stream in list(self._streams.values()):
            if not stream.connected and stream.last_used < before:
                self.close(stream.id)
