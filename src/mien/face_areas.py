"""The area of a face in an image: blurred, or as a picture of its own."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.types import Box, FrameResult, Image

# So few blocks across a face identify no one, to people or to face recognition.
_BLUR_BLOCKS = 6


def blur_faces(image: npt.ArrayLike, result: FrameResult) -> Image:
    """Make every detected face unrecognizable by reducing it to a few smoothed blocks.

    Faces that were not detected are not blurred: check the image before you share it.

    Returns:
        ``(H, W, 3)`` RGB uint8, a new image.

    Examples:
        >>> import mien
        >>> image = mien.read_image("photo.jpg")
        >>> blurred = mien.blur_faces(image, mien.analyze(image))
        >>> blurred.shape == image.shape
        True
    """
    canvas = imaging.as_rgb(image).copy()
    height, width = canvas.shape[:2]
    for face in result.faces:
        # Boxes cover the facial features only, but hair, ears and chin identify people, too.
        box = _grown(face.box, 0.3)
        x_min, y_min = max(0, int(box.x_min)), max(0, int(box.y_min))
        x_max, y_max = min(width, int(box.x_max) + 1), min(height, int(box.y_max) + 1)
        if x_max <= x_min or y_max <= y_min:
            continue
        part = canvas[y_min:y_max, x_min:x_max]
        blocks = imaging.resize(part, (_BLUR_BLOCKS, _BLUR_BLOCKS))
        blurred = cv2.resize(blocks, part.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        mask = np.zeros(part.shape[:2], np.uint8)
        center = (int(box.center[0]) - x_min, int(box.center[1]) - y_min)
        cv2.ellipse(mask, (center, (box.width, box.height), 0.0), 255, -1)
        part[mask > 0] = blurred[mask > 0]
    return canvas


def cut_out(image: npt.ArrayLike, box: Box, *, margin: float = 0.3) -> Image:
    """The part of an image with a face, as a picture of it; models get aligned crops instead.

    Args:
        image: the analyzed image.
        box: of the face.
        margin: added on each side, as a share of the box's width and height.

    Returns:
        ``(H, W, 3)`` RGB uint8, at least one pixel; smaller where the image ends.
    """
    pixels = imaging.as_rgb(image)
    height, width = pixels.shape[:2]
    grown = _grown(box, margin)
    x_min, y_min = (
        min(max(0, int(grown.x_min)), width - 1),
        min(max(0, int(grown.y_min)), height - 1),
    )
    x_max, y_max = max(x_min + 1, math.ceil(grown.x_max)), max(y_min + 1, math.ceil(grown.y_max))
    return np.ascontiguousarray(pixels[y_min:y_max, x_min:x_max])


def _grown(box: Box, share: float) -> Box:
    pad_x, pad_y = share * box.width, share * box.height
    return Box(box.x_min - pad_x, box.y_min - pad_y, box.x_max + pad_x, box.y_max + pad_y)
