"""Cameras, by OpenCV: attached ones by number, network ones by address."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from mien.errors import CameraError
from mien.media.sources import Frame, SourceInfo
from mien.types import Image

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 5.0
_NETWORK_TIMEOUT_MS = 5000


class CameraSource:
    """The frames of a camera, for as long as it is wanted.

    A camera that goes away after it was open is waited for and opened again. Nothing is opened
    before :meth:`frames` is iterated: opening a camera switches its light on.

    Args:
        camera: the number of an attached camera, or an address such as ``rtsp://…``.
        on_state: told ``"open"``, ``"lost"`` and ``"waiting"`` as they happen.
        size_wh: what to ask an attached camera for; it may give another size.

    Attributes:
        info: its name; the size is not known before it is open.
    """

    def __init__(
        self,
        camera: int | str,
        *,
        on_state: Callable[[str], None] = lambda state: None,
        size_wh: tuple[int, int] | None = None,
    ) -> None:
        self._camera = camera
        self._on_state = on_state
        self._size_wh = size_wh
        name = f"camera {camera}" if isinstance(camera, int) else _without_password(camera)
        self.info = SourceInfo(name, size_wh, live=True)

    def frames(self) -> Iterator[Frame]:
        """Frames as they come, with the time since the first one.

        Raises:
            CameraError: it cannot be opened the first time.
        """
        capture = self._open()
        if capture is None:
            raise CameraError(
                f"{self.info.name} cannot be opened: expected a camera that is connected, is not "
                "used by another program, and that this user may use (on Linux, group `video`)"
            )
        started = time.monotonic()
        last_s, index = -1.0, -1
        try:
            self._on_state("open")
            while True:
                image = _read(capture)
                if image is None:
                    capture.release()
                    self._on_state("lost")
                    capture = self._wait_for_camera()
                    self._on_state("open")
                    continue
                index += 1
                # Two frames may leave a driver's buffer within one tick of the clock.
                last_s = max(time.monotonic() - started, last_s + 1e-4)
                yield Frame(image, last_s, index)
        finally:
            capture.release()

    def _wait_for_camera(self) -> cv2.VideoCapture:
        wait_s = _FIRST_WAIT_S
        while True:
            time.sleep(wait_s)
            self._on_state("waiting")
            capture = self._open()
            if capture is not None:
                return capture
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _open(self) -> cv2.VideoCapture | None:
        logging = cv2.utils.logging
        before = logging.getLogLevel()
        logging.setLogLevel(logging.LOG_LEVEL_ERROR)
        try:
            return self._open_quietly()
        finally:
            logging.setLogLevel(before)

    def _open_quietly(self) -> cv2.VideoCapture | None:
        if isinstance(self._camera, int):
            capture = cv2.VideoCapture(self._camera)
        else:
            # By TCP a network camera's pictures are not torn by lost packets.
            os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
            # What OpenCV and FFmpeg would say each time, `on_state` and CameraError say once.
            os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
            timeouts = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                _NETWORK_TIMEOUT_MS,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                _NETWORK_TIMEOUT_MS,
            ]
            capture = cv2.VideoCapture(self._camera, cv2.CAP_FFMPEG, timeouts)
        if not capture.isOpened():
            capture.release()
            return None
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if self._size_wh is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size_wh[1])
        return capture


def _read(capture: cv2.VideoCapture) -> Image | None:
    found, image = capture.read()
    if not found or image is None:
        return None
    code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(image, code)  # type: ignore[return-value]


def _without_password(address: str) -> str:
    """The address as it may stand in results and logs."""
    scheme, separator, rest = address.partition("://")
    host = rest.rpartition("@")[2]
    return f"{scheme}{separator}{host}" if separator else address


_DEVICES = Path("/dev")
_NAMES = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """A camera that the operating system knows.

    Attributes:
        index: the number that opens it.
        name: what its driver calls it.
        permitted: whether this user may open it.
    """

    index: int
    name: str
    permitted: bool


def can_list_cameras() -> bool:
    """Whether this operating system tells of cameras without opening them."""
    return sys.platform.startswith("linux")


def list_cameras() -> list[CameraDevice]:
    """The connected cameras, by index. None of them is opened, so no light goes on."""
    found = []
    for device in _DEVICES.glob("video*"):
        number = device.name.removeprefix("video")
        if not number.isdigit():
            continue
        label = _NAMES / device.name / "name"
        name = label.read_text(errors="replace").strip() if label.is_file() else str(device)
        found.append(CameraDevice(int(number), name, os.access(device, os.R_OK | os.W_OK)))
    return sorted(found, key=lambda camera: camera.index)


def try_camera(index: int) -> tuple[int, int]:
    """Open a camera, take one picture, and forget it.

    Returns:
        Its width and height in pixels.

    Raises:
        CameraError: it cannot be opened, or gives no picture.
    """
    capture = cv2.VideoCapture(index)
    try:
        if not capture.isOpened():
            raise CameraError(f"camera {index} cannot be opened: another program may be using it")
        taken, picture = capture.read()
        if not taken:
            raise CameraError(f"camera {index} was opened, but gives no picture")
        return picture.shape[1], picture.shape[0]
    finally:
        capture.release()
