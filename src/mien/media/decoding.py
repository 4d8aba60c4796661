"""Decoding images with Pillow: whole or truncated, of any mode, upright."""

import contextlib
import io
import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageFile, JpegImagePlugin

from mien import imaging
from mien.errors import ImageReadError, InputError
from mien.imaging import LargeImage
from mien.media.facts import add_frames, focal_length_of
from mien.media.formats import open_as
from mien.media.jpeg import END_OF_JPEG, WatchedJpeg, readable_part
from mien.media.lzw import gif_damage
from mien.media.pixels import (
    PART_MODES,
    PillowParts,
    clear_share,
    has_profile,
    is_large,
    orientation_of,
    pixels_of,
    say_clear_share,
    to_levels,
    upright,
)
from mien.media.png_bands import PngBands, is_damaged, lacks_rows, whole_passes
from mien.media.tone_mapping import HEAD_OF_COLORS, tone_of
from mien.media.unwritten import KINDS, completed, written_bytes
from mien.media.unwritten import is_damaged as is_damaged_kind
from mien.types import Box, Image

# A damaged length may announce gigabytes, of which a decoder would read all.
_MAX_MISSING_SHARE, _MAX_MISSING_BYTES = 256, 2**25
DARK_LEVEL = 16
"""A picture of 16 bits that is darker than this holds numbers of fewer bits."""


@dataclass(slots=True)
class Reading:
    """How an image is read, and collects its warnings.

    Attributes:
        max_megapixels: larger images are refused.
        in_parts: whether a large image is decoded in parts.
        warnings: is extended.
        read: is set to the upright part that the file has, if it is truncated.
        focal_length: is set to the camera's, in longer sides of the image, if the file has it.
    """

    max_megapixels: float
    in_parts: bool
    warnings: list[str] = field(default_factory=list)
    read: Box | None = None
    focal_length: float | None = None


def check_size(width: int, height: int, max_megapixels: float) -> None:
    if width < 1 or height < 1:
        raise ImageReadError(f"expected an image with at least one pixel, got {width}×{height}")
    if width * height > max_megapixels * 1e6:
        raise ImageReadError(
            f"expected an image of at most {max_megapixels:g} megapixels, got {width}×{height}; "
            "if you trust it, raise the setting max_megapixels"
        )


def read_picture(
    name: str, stream: IO[bytes], reading: Reading, *, page: int = 0, orientation: int = 1
) -> Image | LargeImage:
    """Read an image with Pillow.

    Args:
        name: the format.
        stream: seekable; the image is at its beginning.
        reading: its warnings are extended.
        page: its number in the file.
        orientation: where the image has none of its own.
    """
    stream.seek(0)
    try:
        return _read_picture(name, stream, reading, page, orientation)
    except InputError:
        raise
    except Exception:
        if name not in KINDS:
            raise
        # These decoders return nothing of a damaged file: what comes before the damage is read.
        stream.seek(0)
        content = stream.read()
        for eighths in (7, 6, 4, 2):
            del reading.warnings[:]
            before = io.BytesIO(content[: len(content) * eighths // 8])
            try:
                return _read_picture(name, before, reading, page, orientation)
            except (InputError, MemoryError):
                raise
            except Exception:  # noqa: BLE001 - Pillow's decoders raise almost any
                pass
        raise


def _read_picture(
    name: str, stream: IO[bytes], reading: Reading, page: int, orientation: int
) -> Image | LargeImage:
    head = stream.read(HEAD_OF_COLORS)
    stream.seek(0)
    stream, part = _completed(name, stream, reading) if name in KINDS else (stream, None)
    with open_as(name, stream) as picture:
        if page:
            picture.seek(page)
        check_size(*picture.size, reading.max_megapixels)
        reading.focal_length = focal_length_of(picture)
        tone = tone_of(name, head, picture.info)
        plain = tone is None and not has_profile(picture)
        if name == "png" and is_large(*picture.size) and plain:
            with contextlib.suppress(Exception):  # special ones are decoded as a whole
                return _png_in_bands(stream, reading)
        whole = _loaded(name, stream, picture, reading)
        if part:
            reading.read = _upright_part(whole, part, orientation)
        whole = _with_true_transparency(name, head, whole)
        low = name == "png" and head[24] == 16 and _has_low_levels(whole)
        if not low:
            _add_transparency(whole, reading.warnings)
        pixels: Image | LargeImage
        in_parts = reading.in_parts and is_large(*whole.size) and tone is None
        if low:
            turn = orientation_of(whole, orientation)
            pixels = upright(_png_of_low_levels(stream, whole, reading.warnings), turn)
        elif in_parts and whole.mode in PART_MODES:
            pixels = PillowParts(whole, orientation_of(whole, orientation))
        else:
            pixels = pixels_of(whole, reading.warnings, orientation=orientation)
            pixels = pixels if tone is None else tone(pixels)
        if name != "tiff":
            add_frames(name, stream, picture, reading.warnings)
    return pixels


def _png_in_bands(stream: IO[bytes], reading: Reading) -> Image | LargeImage:
    stream.seek(0)
    content = stream.read()
    bands = PngBands(content)
    pixels: Image | LargeImage = bands
    if reading.in_parts:
        bands.prepare()
    else:
        pixels = bands.whole()
    say_clear_share(bands.clear_share, reading.warnings)
    _say_damage(content, reading.warnings)
    return pixels


def _completed(
    name: str, stream: IO[bytes], reading: Reading
) -> tuple[IO[bytes], tuple[int, int, int, int] | None]:
    """The file with something for its missing end, and the part of the picture that it has."""
    content = stream.read()
    stream.seek(0)
    missing = written_bytes(name, content)
    if missing is None:
        if is_damaged_kind(name, content):
            reading.warnings.append(DAMAGED)
        return stream, None
    limit = reading.max_megapixels
    if missing[1] > len(content) + min(_MAX_MISSING_SHARE * len(content), _MAX_MISSING_BYTES):
        return stream, None  # a damaged length
    whole, part = completed(
        name, content, *missing, lambda wide, high: check_size(wide, high, limit)
    )
    left, top, right, bottom = part
    with open_as(name, io.BytesIO(whole)) as picture:
        share = (right - left) * (bottom - top) / (picture.width * picture.height)
    _say_part(share, "", reading)
    return io.BytesIO(whole), part


def _loaded(
    name: str, stream: IO[bytes], picture: ImageFile.ImageFile, reading: Reading
) -> PillowImage.Image:
    """The picture, decoded; what decoders fill in silence is reported."""
    error: Exception | None = None
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception as raised:  # noqa: BLE001 - Pillow's decoders raise almost any
        error = raised
    else:
        if isinstance(picture, WatchedJpeg):
            if picture.is_short or _ends_in_zeros(stream):
                error = OSError("the end is missing")
            elif picture.is_damaged:
                reading.warnings.append(DAMAGED)
        elif name == "png" and _ends_before_its_rows(stream, picture):
            error = OSError("rows are missing")
        elif name == "png":
            stream.seek(0)
            _say_damage(stream.read(), reading.warnings)
        elif name == "gif":
            stream.seek(0)
            if gif_damage(stream.read(), pictures=1) is not None:
                reading.warnings.append(DAMAGED)
    return picture if error is None else _as_far_as_it_goes(name, stream, picture, error, reading)


def _say_damage(content: bytes, warnings: list[str]) -> None:
    with contextlib.suppress(struct.error, ImageReadError):
        if is_damaged(content):
            warnings.append(DAMAGED)


def _ends_in_zeros(stream: IO[bytes]) -> bool:
    """Whether the end of a file was reserved and never written, as by interrupted downloads."""
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - 256))
    end = stream.read(256)
    if any(end):
        return False
    stream.seek(0)
    return not stream.read().rstrip(b"\0").endswith(END_OF_JPEG)


def _ends_before_its_rows(stream: IO[bytes], picture: ImageFile.ImageFile) -> bool:
    """Whether the last rows of a PNG file are black because it has none."""
    last = picture.crop((0, picture.height - 1, picture.width, picture.height))
    if np.asarray(last).any():
        return False
    stream.seek(0)
    try:
        return lacks_rows(stream.read())
    except (struct.error, zlib.error, ValueError, ImageReadError):
        return False


def _with_true_transparency(
    name: str, head: bytes, picture: PillowImage.Image
) -> PillowImage.Image:
    """The picture without what Pillow takes wrongly for transparency."""
    if name == "bmp" and picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (0, 0):
        # Many programs leave the fourth byte empty, and viewers ignore it then.
        return picture.convert("RGB")
    key = picture.info.get("transparency")
    if name == "png" and key is not None:
        # It stands in the file with the file's bits, and pixels have eight.
        bits = head[24]
        if picture.mode == "L" and bits < 8:
            picture.info["transparency"] = key * 255 // (2**bits - 1)
        elif picture.mode == "RGB" and bits == 16:
            picture.info["transparency"] = tuple(level >> 8 for level in key)
    return picture


def _add_transparency(picture: PillowImage.Image, warnings: list[str]) -> None:
    """Say what is seen where a picture is transparent."""
    with contextlib.suppress(Exception):
        say_clear_share(clear_share(picture), warnings)


def _as_far_as_it_goes(
    name: str, stream: IO[bytes], picture: ImageFile.ImageFile, error: Exception, reading: Reading
) -> PillowImage.Image:
    """The part of a damaged or truncated image that can be decoded.

    Raises:
        Exception: `error`, if nothing can be decoded.
    """
    if name == "jpeg":
        # With its end marker, libjpeg fills what is missing with gray.
        content = readable_part(stream)
        picture = JpegImagePlugin.JpegImageFile(io.BytesIO(content + END_OF_JPEG))
        try:
            picture.load()
        except Exception:  # noqa: BLE001 - Pillow's decoders raise almost any
            raise error from None
    if getattr(picture, "_im", None) is None:
        raise error
    # What was decoded before the error is there; without tiles, nothing is decoded again.
    picture.tile, tiles = [], picture.tile
    coarse = _coarse(name, stream, picture, tiles)
    if coarse is not None:
        reading.warnings.append(f"{_CUT}all rows were read, with less detail")
        return coarse
    missing = _missing_rows(np.asarray(picture.convert("RGB")))
    share = 1 - float(missing.mean())
    if share == 0:
        raise error
    if missing.any():
        there = np.flatnonzero(~missing)
        bottom = int(there[-1]) + 1
        reading.read = _upright_part(picture, (0, int(there[0]), picture.width, bottom))
    _say_part(share, ", with less detail" if picture.info.get("progressive") else "", reading)
    return picture


def _say_part(share: float, detail: str, reading: Reading) -> None:
    part = f"about {share:.0%} of the picture was" if share < 0.99 else "all rows were"
    rest = "; faces in the rest are missing" if share < 0.5 else ""
    reading.warnings.append(f"{_CUT}{part} read{detail}{rest}")


_CUT = "the file is truncated or damaged: "
DAMAGED = "the file is damaged: parts of the picture may be wrong"


def _coarse(
    name: str, stream: IO[bytes], picture: ImageFile.ImageFile, tiles: list[Any]
) -> PillowImage.Image | None:
    """A cut interlaced image with the pixels between those that it has; None for others.

    Raises:
        ImageReadError: not even every eighth row is there.
    """
    if name == "png" and picture.info.get("interlace"):
        stream.seek(0)
        down, right = whole_passes(stream.read())
        if not down:
            raise ImageReadError("the image is truncated: not even its first pass is there")
        rows, columns = (np.arange(n) // step * step for n, step in
                         ((picture.height, down), (picture.width, right)))  # fmt: skip
    elif name == "gif" and tiles and tiles[0][3][1]:
        order = [row for first, step in _GIF_PASSES for row in range(first, picture.height, step)]
        there = np.empty(picture.height, np.bool_)
        there[order] = ~_missing_rows(np.asarray(picture.convert("RGB"))[order])
        every = next((n for n in (1, 2, 4, 8) if there[::n].mean() > _NEARLY_ALL), 0)
        if not every:
            return None
        rows = np.arange(picture.height) // every * every
        columns = np.arange(picture.width)
    else:
        return None
    palette = picture.getpalette() if picture.mode == "P" else None
    filled = PillowImage.fromarray(np.asarray(picture)[rows][:, columns], picture.mode)
    if palette is not None:
        filled.putpalette(palette)
    filled.info = picture.info
    return filled


_NEARLY_ALL = 0.9
_GIF_PASSES = ((0, 8), (4, 8), (2, 4), (1, 2))


def _missing_rows(image: Image) -> npt.NDArray[np.bool_]:
    """The rows that are filled with the color of the upper or lower edge."""
    filled = ((image == corner).all(axis=(1, 2)) for corner in (image[0, 0], image[-1, -1]))
    return max(filled, key=np.count_nonzero)


def _upright_part(
    picture: PillowImage.Image, part: tuple[int, int, int, int], orientation: int = 1
) -> Box:
    """A part of a picture after it is turned upright."""
    left, top, right, bottom = part
    inside = np.zeros((picture.height, picture.width, 1), np.uint8)
    inside[top:bottom, left:right] = 1
    turned = upright(inside, orientation_of(picture, orientation))[:, :, 0]
    y, x = (np.flatnonzero(turned.any(axis=axis)) for axis in (1, 0))
    return Box(float(x[0]), float(y[0]), float(x[-1]) + 1, float(y[-1]) + 1)


def _has_low_levels(picture: PillowImage.Image) -> bool:
    """Whether colors or opacity of 16 bits are so low that they hold numbers of fewer bits."""
    if picture.mode not in ("RGB", "RGBA", "LA"):
        return False  # gray without alpha keeps its 16 bits
    tops = [int(np.max(band.getextrema())) for band in picture.split()]
    colors = tops[:-1] if picture.mode != "RGB" else tops
    return max(colors) < DARK_LEVEL or tops[-1] < DARK_LEVEL


def _png_of_low_levels(stream: IO[bytes], picture: PillowImage.Image, warnings: list[str]) -> Image:
    """The picture of a PNG file with 16 bits of which only the lower ones are used."""
    stream.seek(0)
    values = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    whole = values is not None and values.shape[:2] == picture.size[::-1]
    if values is None or not whole or values.dtype != np.uint16 or values.ndim != 3:
        return pixels_of(picture, warnings)
    levels = to_levels(values[:, :, 2::-1], warnings)
    if values.shape[2] == 3:
        return levels
    alpha = to_levels(values[:, :, 3:], [])
    say_clear_share(float(np.mean(alpha < 128)), warnings)
    return imaging.as_rgb(np.dstack([levels, alpha]))
