"""The server's own camera: its page and streams, one capture thread for all viewers."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response, render_template

from mien import drawing
from mien.errors import MienError
from mien.media.camera import CameraSource
from mien.media.sources import Frame, PacedSource, Source, stop_of
from mien.media.video import VideoSource
from mien.streaming import FaceStream
from mien.streaming.background import newest_in_background, start_thread
from mien.web.errors import ProblemError
from mien.web.inference import BusyError, InferenceEngine
from mien.web.photos import encode_jpeg
from mien.web.services import services

log = logging.getLogger("mien.web")
blueprint = Blueprint("camera", __name__, url_prefix="/camera")
# Each viewer occupies two of the server's threads: one for images, one for results.
_MAX_VIEWERS = 12
_LINGER_S = 5.0
_RETRY_S = 3.0
_KEEP_ALIVE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Shot:
    """The newest frame, annotated, and its results."""

    number: int
    jpeg: bytes  # empty while the camera is unavailable
    event: tuple[str, str]  # name and data of the server-sent event


class CameraHub:
    """Opens the camera for the first viewer, and closes it after the last.

    Args:
        camera: a number, an address, or the path of a video, which is played in a loop.
        inference: shared with all other requests.
    """

    def __init__(self, camera: str, inference: InferenceEngine) -> None:
        self._source_of = _source_maker(camera)
        self._inference = inference
        self._changed = threading.Condition()
        self._shot = _Shot(
            0, b"", ("unavailable", json.dumps({"message": "The camera is starting…"}))
        )
        self._viewers = 0
        self._left_at = 0.0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Count as a viewer, and start the capture thread if it does not run.

        Raises:
            ProblemError: there are too many viewers.
        """
        with self._changed:
            if self._viewers >= _MAX_VIEWERS:
                raise ProblemError(
                    503,
                    "full",
                    "This camera has too many viewers. Try again in a moment.",
                    retry_after_s=10,
                )
            self._viewers += 1
            if self._thread is None or not self._thread.is_alive():
                self._thread = start_thread(self._capture, "mien-camera", self._stop.set)
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1
                self._left_at = time.monotonic()

    def shots(self) -> Iterator[_Shot]:
        """The newest shot, whenever it changes; a slow viewer misses some and delays no one."""
        shot = None
        while True:
            with self._changed:
                if self._shot is shot:
                    self._changed.wait(_KEEP_ALIVE_S)
                shot = self._shot
            yield shot

    def _capture(self) -> None:
        while self._has_viewers() and not self._stop.is_set():
            try:
                source = self._source_of()
                found = newest_in_background(source.frames(), on_stop=stop_of(source))
                with closing(found) as frames:
                    self._analyze(frames)
            except (MienError, OSError) as error:
                log.warning("camera: %s", error)
                self._publish(b"", "unavailable", {"message": str(error)})
                self._stop.wait(_RETRY_S)

    def _analyze(self, frames: Iterator[Frame]) -> None:
        faces = FaceStream(self._inference.stream_pipeline)
        for frame in frames:
            if not self._has_viewers():
                return
            try:
                with self._inference.gate.admitted():
                    result = faces.update(frame.image, frame.timestamp_s, frame_index=frame.index)
            except BusyError:
                continue
            picture = encode_jpeg(drawing.annotate(frame.image, result), quality=80)
            self._publish(picture, "result", result.to_dict())

    def _has_viewers(self) -> bool:
        return self._viewers > 0 or time.monotonic() - self._left_at < _LINGER_S

    def _publish(self, jpeg: bytes, event: str, document: dict[str, object]) -> None:
        with self._changed:
            data = json.dumps(document, separators=(",", ":"))
            self._shot = _Shot(self._shot.number + 1, jpeg, (event, data))
            self._changed.notify_all()


class _LoopedVideo:
    """A video as a camera: played in real time and in a loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.info = VideoSource(path).info

    def frames(self) -> Iterator[Frame]:
        offset_s, index = 0.0, 0
        while True:
            last_s = 0.0
            for frame in PacedSource(VideoSource(self._path)).frames():
                last_s = frame.timestamp_s
                yield Frame(frame.image, offset_s + last_s, index)
                index += 1
            offset_s += last_s + 1 / (self.info.frame_rate or 25.0)


def _source_maker(camera: str) -> Callable[[], Source]:
    if camera.isdecimal():
        return lambda: CameraSource(int(camera))
    if "://" in camera:
        return lambda: CameraSource(camera)
    return lambda: _LoopedVideo(Path(camera))


@blueprint.get("")
def _page() -> str:
    """The camera page."""
    return render_template("camera.html")


@blueprint.get("/stream")
def _stream() -> Response:
    """The annotated frames as MJPEG."""
    hub = _hub()

    def parts() -> Iterator[bytes]:
        with hub.viewer():
            for shot in hub.shots():
                if shot.jpeg:
                    length = str(len(shot.jpeg)).encode()
                    yield b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " + length
                    yield b"\r\n\r\n" + shot.jpeg + b"\r\n"

    return Response(parts(), mimetype="multipart/x-mixed-replace; boundary=frame")


@blueprint.get("/events")
def _events() -> Response:
    """The results as server-sent events."""
    hub = _hub()

    def lines() -> Iterator[str]:
        yield "retry: 2000\n\n"
        with hub.viewer():
            for shot in hub.shots():
                event, data = shot.event
                yield f"event: {event}\nid: {shot.number}\ndata: {data}\n\n"

    response = Response(lines(), mimetype="text/event-stream")
    # nginx would buffer the events.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _hub() -> CameraHub:
    hub = services().camera
    # The routes are registered only where there is a camera.
    assert hub is not None
    return hub
