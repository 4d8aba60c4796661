"""The server's own camera: one capture thread, however many look on."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, render_template

from mien import drawing
from mien.errors import MienError
from mien.media.camera import CameraSource
from mien.media.sources import Frame, Source
from mien.media.video import VideoSource
from mien.streaming import FaceStream
from mien.streaming.background import newest_in_background
from mien.web.errors import ProblemError
from mien.web.inference import BusyError, Engine
from mien.web.pictures import encode_jpeg

log = logging.getLogger("mien.web")
blueprint = Blueprint("camera", __name__, url_prefix="/camera")
# Each viewer holds two of the server's threads: one for the picture, one for the results.
_MAX_CONNECTIONS = 12
_LINGER_S = 5.0
_RETRY_S = 3.0
_KEEP_ALIVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Shot:
    """The newest picture, annotated, and what was found in it.

    Attributes:
        number: grows with each shot.
        jpeg: the annotated picture; empty while the camera is away.
        event: name and data of the server-sent event.
    """

    number: int
    jpeg: bytes
    event: tuple[str, str]


class CameraHub:
    """Opens the camera for the first viewer, and closes it after the last.

    Args:
        camera: a number, an address, or the path of a video, which is played again and again.
        engine: does the inference.
    """

    def __init__(self, camera: str, engine: Engine) -> None:
        self._source_of = _source_maker(camera)
        self._engine = engine
        self._changed = threading.Condition()
        self._shot = Shot(0, b"", ("away", json.dumps({"message": "The camera is starting…"})))
        self._viewers = 0
        self._left_at = 0.0
        self._thread: threading.Thread | None = None

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Look on.

        Raises:
            ProblemError: too many do already.
        """
        with self._changed:
            if self._viewers >= _MAX_CONNECTIONS:
                raise ProblemError(
                    503, "full", "Too many look at this camera already.", retry_after_s=10
                )
            self._viewers += 1
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._capture, name="mien-camera", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1
                self._left_at = time.monotonic()

    def shots(self) -> Iterator[Shot]:
        """The newest shot, again and again; a slow viewer misses some, and delays nobody."""
        shot = None
        while True:
            with self._changed:
                if self._shot is shot:
                    self._changed.wait(_KEEP_ALIVE_S)
                shot = self._shot
            yield shot

    def _capture(self) -> None:
        while self._is_wanted():
            try:
                with closing(newest_in_background(self._source_of().frames())) as frames:
                    self._watch(frames)
            except (MienError, OSError) as error:
                log.warning("camera: %s", error)
                self._publish(b"", "away", {"message": str(error)})
                time.sleep(_RETRY_S)

    def _watch(self, frames: Iterator[Frame]) -> None:
        faces = FaceStream(self._engine.pipeline)
        for frame in frames:
            if not self._is_wanted():
                return
            try:
                with self._engine.gate.admitted():
                    result = faces.update(frame.image, frame.timestamp_s, frame_index=frame.index)
            except BusyError:
                continue
            picture = encode_jpeg(drawing.annotate(frame.image, result), quality=80)
            self._publish(picture, "result", result.to_dict())

    def _is_wanted(self) -> bool:
        return self._viewers > 0 or time.monotonic() - self._left_at < _LINGER_S

    def _publish(self, jpeg: bytes, event: str, document: dict[str, object]) -> None:
        with self._changed:
            data = json.dumps(document, separators=(",", ":"))
            self._shot = Shot(self._shot.number + 1, jpeg, (event, data))
            self._changed.notify_all()


class _LoopedVideo:
    """A video as if it were a camera: in its own time, and from the start again at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.info = VideoSource(path).info

    def frames(self) -> Iterator[Frame]:
        started, offset_s, index = time.monotonic(), 0.0, 0
        while True:
            last_s = 0.0
            for frame in VideoSource(self._path).frames():
                last_s = frame.timestamp_s
                due_s = started + offset_s + last_s - time.monotonic()
                if due_s > 0:
                    time.sleep(due_s)
                yield Frame(frame.image, offset_s + last_s, index)
                index += 1
            offset_s += last_s + 1 / (self.info.frame_rate or 25.0)


def _source_maker(camera: str) -> Callable[[], Source]:
    if camera.isdecimal():
        return lambda: CameraSource(int(camera))
    if "://" in camera:
        return lambda: CameraSource(camera)
    return lambda: _LoopedVideo(Path(camera))


def init_app(app: Flask, camera: str, engine: Engine) -> None:
    """Add the camera page, where there is a camera."""
    if camera:
        app.extensions["mien.camera"] = CameraHub(camera, engine)
        app.register_blueprint(blueprint)


@blueprint.get("")
def page() -> str:
    """What the server's camera sees."""
    return render_template("camera.html")


@blueprint.get("/stream")
def stream() -> Response:
    """The annotated picture as MJPEG."""
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
def events() -> Response:
    """What is seen, as server-sent events."""
    hub = _hub()

    def lines() -> Iterator[str]:
        yield "retry: 2000\n\n"
        with hub.viewer():
            for shot in hub.shots():
                event, data = shot.event
                yield f"event: {event}\nid: {shot.number}\ndata: {data}\n\n"

    response = Response(lines(), mimetype="text/event-stream")
    # nginx would hold the events back.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _hub() -> CameraHub:
    hub: CameraHub = current_app.extensions["mien.camera"]
    return hub
