"""Pictures for pages: encoded in memory, never written down."""

import base64
import io

from PIL import Image as PillowImage

from mien import imaging
from mien.types import Box, Image


def encode_jpeg(image: Image, *, quality: int = 85) -> bytes:
    """``(H, W, 3)`` RGB uint8 as JPEG."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def data_url(image: Image, *, longest_px: int) -> str:
    """The image, made smaller where it is larger, as an address that holds it whole."""
    scale = longest_px / max(image.shape[:2])
    if scale < 1:
        height, width = image.shape[:2]
        image = imaging.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image)).decode("ascii")


def thumbnail(image: Image, box: Box, *, side_px: int = 112) -> str:
    """A face cut out with a little of what surrounds it, as an address that holds it whole."""
    half = 0.65 * max(box.width, box.height)
    x, y = box.center
    square = Box(x - half, y - half, x + half, y + half)
    return data_url(imaging.crop_box(image, square, (side_px, side_px)).image, longest_px=side_px)
