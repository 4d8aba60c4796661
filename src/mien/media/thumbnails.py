"""Pictures of faces: a thumbnail of each track at its clearest moment, and all crops."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from mien.media.images import write_image
from mien.media.sources import Frame
from mien.tracking import Event
from mien.types import Face, FrameResult, Image

_SIDE = 96
_MARGIN = 0.25
# A new picture must be this much better, so that few frames are encoded.
_BETTER = 1.2


class ThumbnailSink:
    """A sink that keeps the best picture of each track so far as ``TRACK_ID.jpg``.

    Args:
        folder: of the pictures.
        resumed: whether to keep those of an earlier run.
    """

    def __init__(self, folder: Path, *, resumed: bool = False) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._merits: dict[int, float] = {}
        for picture in folder.glob("*.jpg"):
            if not resumed:
                picture.unlink()
            elif picture.stem.isdecimal():
                self._merits[int(picture.stem)] = math.inf

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "track_ended":
                self._merits.pop(event.track_id or 0, None)
        for face in result.faces:
            merit = _merit(face)
            if face.track_id and merit > _BETTER * self._merits.get(face.track_id, 0.0):
                self._merits[face.track_id] = merit
                _save(frame.image, face, self._folder / f"{face.track_id}.jpg")

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        pass


def _merit(face: Face) -> float:
    """Large, sharp, turned to the camera, without quality warnings."""
    quality = face.quality
    if quality is None:
        return face.score
    facing = face.signals.facing if face.signals and face.signals.facing is not None else 0.5
    size = min(quality.size_px, _SIDE * 1.5)
    sharpness = min(1.0, 0.3 + (quality.sharpness or 0.0))
    return float(size * max(0.1, facing) * 0.3 ** len(quality.reasons) * sharpness)


def _save(image: Image, face: Face, path: Path) -> None:
    crop = PillowImage.fromarray(_square(image, face))
    crop.thumbnail((_SIDE, _SIDE))
    unfinished = path.with_suffix(".partial")
    write_image(unfinished, np.asarray(crop), quality=80)
    unfinished.replace(path)


def _square(image: Image, face: Face) -> Image:
    """The square around a face's box with a margin, as far as it is in the image."""
    box = face.box
    side = max(box.width, box.height) * (1 + 2 * _MARGIN)
    x, y = box.center
    height, width = image.shape[:2]
    x_min, x_max = max(0, int(x - side / 2)), min(width, int(x + side / 2) + 1)
    y_min, y_max = max(0, int(y - side / 2)), min(height, int(y + side / 2) + 1)
    if x_max <= x_min or y_max <= y_min:
        x_min, y_min, x_max, y_max = 0, 0, width, height
    return np.ascontiguousarray(image[y_min:y_max, x_min:x_max])


class CropSink:
    """A sink that writes every face of every frame as ``TRACK_ID/FRAME_INDEX.jpg``.

    A crop is the square around the box with a quarter of its side as margin, in the resolution of
    the frame.

    Args:
        folder: of the pictures.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        for face in result.faces:
            if face.track_id is not None:
                folder = self._folder / f"{face.track_id}"
                folder.mkdir(exist_ok=True)
                crop = _square(frame.image, face)
                write_image(folder / f"{frame.index:06}.jpg", crop, quality=95)

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        pass
