"""The pixels of a Pillow image of any mode: upright, as RGB, as a whole or in parts."""

import struct

import cv2
import numpy as np
from PIL import ExifTags
from PIL import Image as PillowImage

from mien import imaging
from mien.imaging import LargeImage
from mien.media.color_profiles import to_srgb
from mien.media.levels import say_clear_share, to_levels
from mien.types import Image

# Pixels are converted in bands of about this many, to bound memory.
_BAND_PIXELS = 1 << 20
_LARGE_PIXELS = 16_000_000
# Of a large picture, the transparency of every eighth pixel of every eighth row is looked at.
_SAMPLED = 8
PART_MODES = ("RGB", "RGBA", "L", "CMYK", "YCbCr")
"""Modes of :class:`PillowParts`."""

# The inverse of each EXIF orientation (CIPA DC-008, 4.6.4): whether rows and columns are exchanged,
# and then which are reversed.
_STEPS = {
    2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip


_UPRIGHT = (False, False, False)


def upright(pixels: Image, orientation: int) -> Image:
    """``(H, W, 3)`` pixels turned upright by their EXIF orientation."""
    transposed, upside_down, mirrored = _STEPS.get(orientation, _UPRIGHT)
    if transposed:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1])


def is_large(width: int, height: int) -> bool:
    """Whether an image is better analyzed in parts, to bound memory."""
    return width * height > _LARGE_PIXELS


def clear_share(picture: PillowImage.Image) -> float:
    """The share of pixels that are less than half opaque; of large pictures, of a sample."""
    if not picture.has_transparency_data:
        return 0.0
    width, height = picture.size
    if is_large(width, height):
        size_wh = max(1, width // _SAMPLED), max(1, height // _SAMPLED)
        picture = picture.resize(size_wh, PillowImage.Resampling.NEAREST)
    levels = picture.convert("RGBA").getchannel("A").histogram()
    return sum(levels[:128]) / max(1, sum(levels))


def pixels_of(picture: PillowImage.Image, warnings: list[str], *, orientation: int = 1) -> Image:
    """The upright pixels of a Pillow image; the orientation is used where it has none itself."""
    return _upright_rgb(picture, warnings, orientation_of(picture, orientation))


def _upright_rgb(picture: PillowImage.Image, warnings: list[str], orientation: int) -> Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        values = np.asarray(picture)
        # Pillow has no mode of 16 bits for PNM.
        deep = picture.mode not in ("I", "F") or picture.format == "PPM"
        values = values.astype(np.uint16) if deep and picture.mode != "F" else values
        clear = values == picture.info.get("transparency")  # the key of PNG
        levels = to_levels(np.where(clear, 0, values), warnings)
        say_clear_share(float(np.mean(clear)), warnings)
        return upright(imaging.as_rgb(np.where(clear, np.uint8(255), levels)), orientation)
    width, height = picture.size
    transposed, upside_down, mirrored = _STEPS.get(orientation, _UPRIGHT)
    image = np.empty((width, height, 3) if transposed else (height, width, 3), np.uint8)
    # A view of the result with the rows of the picture.
    rows = image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    rows = rows.transpose(1, 0, 2) if transposed else rows
    step = max(1, _BAND_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        band = picture if step >= height else picture.crop((0, top, width, bottom))
        rows[top:bottom] = _band_as_rgb(to_srgb(band))
    return image


def orientation_of(picture: PillowImage.Image, default: int) -> int:
    # An image with damaged metadata is still usable.
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, default)
        return value if isinstance(value, int) else default
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return default


def _band_as_rgb(band: PillowImage.Image) -> Image:
    if band.mode == "RGB" and not band.has_transparency_data:
        return np.asarray(band)
    if band.mode == "LAB":
        # Pillow's a and b are signed, those of OpenCV have an offset.
        lab = np.array(band)
        lab[:, :, 1:] ^= 128
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
    if band.mode == "La":
        band = band.convert("LA")
    if band.has_transparency_data:
        return imaging.as_rgb(np.asarray(band.convert("RGBA")))
    return np.asarray(band.convert("RGB"))


class PillowParts(LargeImage):
    """A decoded Pillow image, whose pixels are not copied as a whole.

    Args:
        picture: in one of some modes of 8 bits.
        orientation: as in EXIF.
    """

    def __init__(self, picture: PillowImage.Image, orientation: int) -> None:
        self._picture, self._orientation = picture, orientation
        self._transposed, self._upside_down, self._mirrored = _STEPS.get(orientation, _UPRIGHT)
        width, height = picture.size[::-1] if self._transposed else picture.size
        self.shape = (height, width, 3)
        self.small = _upright_rgb(picture.reduce(self.factor), [], orientation)

    def part(
        self, left: int, top: int, right: int, bottom: int, *, shrink: float = 1.0
    ) -> tuple[Image, int]:
        """See :meth:`mien.imaging.LargeImage.part`."""
        if shrink >= self.factor:
            return self.reduced_part(left, top, right, bottom)
        height, width = self.shape[:2]
        if self._mirrored:
            left, right = width - right, width - left
        if self._upside_down:
            top, bottom = height - bottom, height - top
        box = (top, left, bottom, right) if self._transposed else (left, top, right, bottom)
        pixels = _upright_rgb(self._picture.crop(box), [], 1)
        return upright(pixels, self._orientation), 1

    def close(self) -> None:
        """See :meth:`mien.imaging.LargeImage.close`."""
        super().close()
        self._picture.close()
