"""Which cameras are connected. Looking for them opens none of them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2

from mien.errors import CameraError

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
