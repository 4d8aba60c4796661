"""One small picture of each track, of the moment when its face could be seen best."""

import base64
import io

import numpy as np
from PIL import Image as PillowImage

from mien.types import Face, Image

_SIDE = 96
_MARGIN = 0.25
# A new picture must be this much better, so that few frames are encoded.
_BETTER = 1.2


class Thumbnail:
    """Keeps the best picture of a track so far, as JPEG."""

    def __init__(self) -> None:
        self._jpeg: bytes | None = None
        self._merit = 0.0

    def offer(self, image: Image, face: Face) -> None:
        """Look at a frame that shows the face."""
        merit = _merit(face)
        if merit > self._merit * _BETTER:
            self._jpeg, self._merit = _encode(image, face), merit

    @property
    def data_uri(self) -> str | None:
        if self._jpeg is None:
            return None
        return "data:image/jpeg;base64," + base64.b64encode(self._jpeg).decode()


def _merit(face: Face) -> float:
    """Large, sharp, turned to the camera, without doubts."""
    quality = face.quality
    if quality is None:
        return face.score
    facing = face.signals.facing if face.signals and face.signals.facing is not None else 0.5
    doubts = 0.3 ** len(quality.reasons)
    size = min(quality.size_px, _SIDE * 1.5)
    return float(size * max(0.1, facing) * doubts * min(1.0, 0.3 + (quality.sharpness or 0.0)))


def _encode(image: Image, face: Face) -> bytes:
    box = face.box
    side = max(box.width, box.height) * (1 + 2 * _MARGIN)
    x, y = box.center
    height, width = image.shape[:2]
    x_min, x_max = max(0, int(x - side / 2)), min(width, int(x + side / 2) + 1)
    y_min, y_max = max(0, int(y - side / 2)), min(height, int(y + side / 2) + 1)
    if x_max <= x_min or y_max <= y_min:
        x_min, y_min, x_max, y_max = 0, 0, width, height
    crop = PillowImage.fromarray(np.ascontiguousarray(image[y_min:y_max, x_min:x_max]))
    crop.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    crop.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
