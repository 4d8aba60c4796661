"""Cameras, read with OpenCV: attached ones by number, network cameras by address."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from mien.errors import CameraError, InputError
from mien.media.opencv_log import ERRORS, opencv_log
from mien.media.sources import Frame, SourceInfo
from mien.types import Image

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 5.0
_NETWORK_TIMEOUT_MS = 5000
# OpenCV reads the hundreds of a larger number as the name of a driver; -1 ends the process.
_LAST_NUMBER = 99


class CameraSource:
    """The frames of a camera, without end until :meth:`stop`.

    A camera that is disconnected is opened again as soon as it is back. It is not opened before
    :meth:`frames` is iterated, because opening a camera switches its light on.

    Args:
        camera: number of an attached camera, from 0 to 99, or an address such as ``rtsp://…``.
        on_state: called with ``"open"``, ``"lost"`` and ``"waiting"``.
        size_wh: requested size of an attached camera, which may return another one.

    Attributes:
        info: properties of the camera; its size is not known before it is open.

    Raises:
        InputError: there is no camera of such a number.
    """

    def __init__(
        self,
        camera: int | str,
        *,
        on_state: Callable[[str], None] = lambda state: None,
        size_wh: tuple[int, int] | None = None,
    ) -> None:
        if isinstance(camera, int) and not 0 <= camera <= _LAST_NUMBER:
            raise InputError(
                f"expected the number of a camera from 0 to {_LAST_NUMBER}, got {camera}"
            )
        self._camera = camera
        self._on_state = on_state
        self._size_wh = size_wh
        self._stopped = threading.Event()
        name = f"camera {camera}" if isinstance(camera, int) else _without_password(camera)
        self.info = SourceInfo(name, size_wh, live=True)

    def frames(self) -> Iterator[Frame]:
        """Frames as they arrive, with the time since the camera was opened.

        Raises:
            CameraError: the camera cannot be opened the first time.
        """
        capture = self._open()
        if capture is None:
            advice = (
                "connect it, close other programs that use it, and check that this user may access "
                "it (on Linux, by the group `video`)"
                if isinstance(self._camera, int)
                else "check that the address is complete, with user name and password if it needs "
                "them (rtsp://USER:PASSWORD@HOST:554/PATH), that the camera is on, and that this "
                "computer reaches it; a player such as ffplay shows whether the address works"
            )
            raise CameraError(f"{self.info.name} cannot be opened: {advice}")
        started = time.monotonic()
        last_s, index = -1.0, -1
        try:
            self._on_state("open")
            while True:
                image = _read(capture)
                if image is None:
                    capture.release()
                    self._on_state("lost")
                    back = self._wait_for_camera()
                    if back is None:
                        return
                    capture = back
                    self._on_state("open")
                    continue
                index += 1
                # Two buffered frames may arrive within one tick of the clock.
                last_s = max(time.monotonic() - started, last_s + 1e-4)
                yield Frame(image, last_s, index)
        finally:
            capture.release()

    def stop(self) -> None:
        """From another thread: do not wait for a lost camera any longer; its frames end."""
        self._stopped.set()

    def _wait_for_camera(self) -> cv2.VideoCapture | None:
        wait_s = _FIRST_WAIT_S
        while not self._stopped.wait(wait_s):
            self._on_state("waiting")
            capture = self._open()
            if capture is not None:
                return capture
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        return None

    def _open(self) -> cv2.VideoCapture | None:
        with opencv_log(ERRORS):
            return self._open_quietly()

    def _open_quietly(self) -> cv2.VideoCapture | None:
        if isinstance(self._camera, int):
            capture = cv2.VideoCapture(self._camera)
        else:
            # Over TCP, lost packets do not damage frames.
            os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
            # `on_state` and CameraError report what OpenCV and FFmpeg would log at each attempt.
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
    """The address without user name and password, for results and logs."""
    scheme, separator, rest = address.partition("://")
    host = rest.rpartition("@")[2]
    return f"{scheme}{separator}{host}" if separator else address


_DEVICES = Path("/dev")
_NAMES = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """A connected camera.

    Attributes:
        index: number to open it with.
        name: name from its driver.
        permitted: whether this user may open it.
    """

    index: int
    name: str
    permitted: bool


def can_list_cameras() -> bool:
    """Whether cameras can be listed on this operating system without opening them."""
    return sys.platform.startswith("linux")


def list_cameras() -> list[CameraDevice]:
    """The connected cameras, by index. None is opened, so no camera light goes on."""
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
    """Open a camera and read one frame, which is discarded.

    Returns:
        Width and height in pixels.

    Raises:
        CameraError: the camera cannot be opened, or returns no frame.
    """
    capture = cv2.VideoCapture(index)
    try:
        if not capture.isOpened():
            raise CameraError(f"camera {index} cannot be opened: close other programs that use it")
        found, frame = capture.read()
        if not found:
            raise CameraError(f"camera {index} returns no frame: reconnect it")
        return frame.shape[1], frame.shape[0]
    finally:
        capture.release()
