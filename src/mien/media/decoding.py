"""Decoding images with Pillow: whole or truncated, of any mode, upright."""

import contextlib
import io
import os
import struct
from typing import IO

import cv2
import numpy as np
from PIL import ExifTags, ImageFile, JpegImagePlugin
from PIL import Image as PillowImage

from mien import imaging
from mien.errors import ImageReadError
from mien.media import tiff
from mien.media.formats import open_as
from mien.types import Image

# Pixels are converted in bands of about this many, to bound memory.
_BAND_PIXELS = 1 << 20
_END_OF_JPEG = b"\xff\xd9"
DARK_LEVEL = 16
"""A picture of 16 bits that is darker than this holds numbers of fewer bits."""

TURNS = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
"""The inverse of each EXIF orientation (CIPA DC-008, 4.6.4); 1 is upright."""


def check_size(width: int, height: int, max_megapixels: float) -> None:
    if width < 1 or height < 1:
        raise ImageReadError(f"expected an image with at least one pixel, got {width}×{height}")
    if width * height > max_megapixels * 1e6:
        raise ImageReadError(
            f"expected an image of at most {max_megapixels:g} megapixels, got {width}×{height}; "
            "if you trust it, raise the setting max_megapixels"
        )


def read_picture(
    name: str,
    stream: IO[bytes],
    max_megapixels: float,
    warnings: list[str],
    *,
    page: int = 0,
    orientation: int = 1,
) -> Image:
    """Read an image with Pillow.

    Args:
        name: the format.
        stream: seekable; the image is at its beginning.
        max_megapixels: see :func:`read_image`.
        warnings: is extended.
        page: its number in the file.
        orientation: where the image has none of its own.
    """
    stream.seek(0)
    with open_as(name, stream) as picture:
        if page:
            picture.seek(page)
        check_size(*picture.size, max_megapixels)
        whole: PillowImage.Image = picture
        try:
            picture.load()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost any
            whole = _as_far_as_it_goes(name, stream, picture, error, warnings)
        else:
            if name == "jpeg" and _ends_in_zeros(stream):
                zeros = OSError("the file ends in zeros")
                whole = _as_far_as_it_goes(name, stream, picture, zeros, warnings)
        pixels = pixels_of(whole, warnings, orientation=orientation)
        if name != "tiff":
            _add_frames(name, stream, picture, warnings)
    if name == "png" and pixels.max() < DARK_LEVEL:
        pixels = _brighter_png(stream, pixels, warnings)
    return pixels


def _ends_in_zeros(stream: IO[bytes]) -> bool:
    """Whether the end of a file was reserved and never written, as by interrupted downloads."""
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - 256))
    end = stream.read(256)
    if any(end):
        return False
    stream.seek(0)
    return not stream.read().rstrip(b"\0").endswith(_END_OF_JPEG)


def _as_far_as_it_goes(
    name: str,
    stream: IO[bytes],
    picture: ImageFile.ImageFile,
    error: Exception,
    warnings: list[str],
) -> PillowImage.Image:
    """The part of a damaged or truncated image that can be decoded.

    Raises:
        Exception: `error`, if nothing can be decoded.
    """
    if name == "jpeg":
        # With its end marker, libjpeg fills what is missing with gray.
        stream.seek(0)
        content = stream.read().rstrip(b"\0")
        picture = JpegImagePlugin.JpegImageFile(io.BytesIO(content + _END_OF_JPEG))
        try:
            picture.load()
        except Exception:  # noqa: BLE001
            raise error from None
    if getattr(picture, "_im", None) is None:
        raise error
    # What was decoded before the error is there; without tiles, nothing is decoded again.
    picture.tile = []
    share = _share_read(np.asarray(picture.convert("RGB")))
    if share == 0:
        raise error
    part = f"about {share:.0%} of the picture was" if share < 0.99 else "all rows were"
    detail = ", with less detail" if picture.info.get("progressive") else ""
    rest = "; faces in the rest are missing" if share < 0.5 else ""
    warnings.append(f"the file is truncated or damaged: {part} read{detail}{rest}")
    return picture


def _share_read(image: Image) -> float:
    """The share of rows that are not filled with the color of the upper or lower edge."""
    missing = ((image == corner).all(axis=(1, 2)).mean() for corner in (image[0, 0], image[-1, -1]))
    return 1 - float(max(missing))


def _add_frames(
    name: str, stream: IO[bytes], picture: ImageFile.ImageFile, warnings: list[str]
) -> None:
    """Warn of further frames, which are not read."""
    count = 1
    with contextlib.suppress(Exception):
        if name == "jpeg":
            count = _frames_of_mpo(stream, picture)
        else:
            count = getattr(picture, "n_frames", 1)
    if count > 1:
        warnings.append(f"the first of {count} frames was read")


def _frames_of_mpo(stream: IO[bytes], picture: ImageFile.ImageFile) -> int:
    """The number of pictures of equal size; phones add gain maps and previews in other sizes."""
    entries = picture._getmp() if "mp" in picture.info else None  # type: ignore[attr-defined]
    if not entries or not 1 < entries[0xB001] <= 64:
        return 1
    count = 1
    for entry in entries[0xB002][1:]:
        stream.seek(picture.info["mpoffset"] + entry["DataOffset"])
        content = stream.read(entry["Size"])
        with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as other:
            count += other.size == picture.size
    return count


def _brighter_png(stream: IO[bytes], pixels: Image, warnings: list[str]) -> Image:
    """The picture of a PNG file with 16 bits of which only the lower ones are used."""
    stream.seek(0)
    content = stream.read()
    if content[24] != 16:
        return pixels
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != pixels.shape[:2]:
        return pixels
    if values.ndim == 3:
        values = values[:, :, 2::-1]
    return imaging.as_rgb(tiff.to_levels(values, warnings))


def pixels_of(picture: PillowImage.Image, warnings: list[str], *, orientation: int = 1) -> Image:
    """The upright pixels of a Pillow image."""
    turn = TURNS.get(_orientation(picture, orientation))
    if turn is not None:
        picture = picture.transpose(turn)
    if picture.mode.startswith("I;16"):
        return imaging.as_rgb(tiff.to_levels(np.asarray(picture).astype(np.uint16), warnings))
    if picture.mode in ("I", "F"):
        return imaging.as_rgb(tiff.to_levels(np.asarray(picture), warnings))
    width, height = picture.size
    rows = max(1, _BAND_PIXELS // width)
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        band = picture if rows >= height else picture.crop((0, top, width, bottom))
        image[top:bottom] = _band_as_rgb(band)
    return image


def _orientation(picture: PillowImage.Image, default: int) -> int:
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
