"""Still pictures: the edge where files become RGB arrays."""

import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, ImageFile
from PIL import Image as PillowImage

from mien import imaging
from mien.config import DEFAULT_MAX_MEGAPIXELS
from mien.errors import ImageReadError, InputError
from mien.media import formats
from mien.types import Image

ImageSource = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PillowImage.Image
    | npt.NDArray[Any]
)  # fmt: skip
"""What :func:`read_image` understands."""

# Pixels are converted in bands of about this many, so that a picture is never held three times.
_BAND_PIXELS = 1 << 20
# No stored pixel takes more: four channels of 16 bits; and beside the pixels stand metadata.
_MAX_BYTES_PER_PIXEL = 8
_METADATA_BYTES = 64 << 20

_TURNS = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (CIPA DC-008, 4.6.4); 1 is upright."""


def read_image(source: ImageSource, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> Image:
    """Read a picture as an RGB array, upright.

    JPEG, PNG, WebP, the first frame of GIF, BMP, TIFF and PNM are always read, AVIF and HEIC where
    the installed libraries can. The format is told by the content and not by the name. The EXIF
    orientation is applied, transparency is laid over white, 16 bits become 8.

    A picture is always decoded at its full size, because boxes are in its own pixels.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image, or an array (see
            :func:`mien.imaging.as_rgb`).
        max_megapixels: a file that announces more pixels is refused before it is decoded, which
            bounds memory at about 7 bytes a pixel (AVIF 10, WebP 16).

    Returns:
        ``(H, W, 3)`` RGB uint8, contiguous.

    Raises:
        ImageReadError: no readable picture; the message names it.
        InputError: an array that is no image, or something else altogether.
    """
    if isinstance(source, np.ndarray):
        return imaging.as_rgb(source)
    if isinstance(source, PillowImage.Image):
        return _named("the Pillow image", _decode, source, max_megapixels)
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        with _opened(name, max_megapixels) as stream:
            return _named(name, _read_stream, stream, max_megapixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _named("the given bytes", _read_stream, io.BytesIO(source), max_megapixels)
    if hasattr(source, "read"):
        given_name = getattr(source, "name", None)
        name = given_name if isinstance(given_name, str) else "the given file"
        return _named(name, _read_stream, source, max_megapixels)
    if hasattr(source, "__array__"):
        return imaging.as_rgb(source)
    raise InputError(
        "expected a picture as a path, bytes, an open binary file, a Pillow image or an array, "
        f"got {type(source).__name__}"
    )


def _named(name: str, read: Any, source: Any, max_megapixels: float) -> Image:
    """Call a reader; whatever goes wrong becomes an ImageReadError that names the picture."""
    try:
        return read(source, max_megapixels)  # type: ignore[no-any-return]
    except InputError as error:
        raise ImageReadError(f"{name}: {error}") from error
    except MemoryError as error:
        raise ImageReadError(f"{name}: there is not enough memory to decode it") from error
    except Exception as error:
        # Damaged pictures make Pillow's decoders raise nearly anything.
        raise ImageReadError(
            f"{name}: the picture is damaged or cut short, and cannot be decoded ({error})"
        ) from error


@contextmanager
def _opened(path: str, max_megapixels: float) -> Iterator[BinaryIO]:
    try:
        stream = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        hint = "; addresses are not fetched, download it first" if "://" in path else ""
        raise ImageReadError(f"{path}: there is no such file{hint}") from None
    except IsADirectoryError:
        raise ImageReadError(f"{path}: expected a picture, got a folder") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"{path}: the file cannot be opened: {reason}") from None
    with stream:
        facts = os.fstat(stream.fileno())
        limit = _byte_limit(max_megapixels)
        if stat.S_ISREG(facts.st_mode) and facts.st_size > limit:
            raise ImageReadError(
                f"{path}: expected a picture of at most {limit >> 20} MiB, "
                f"got a file of {facts.st_size >> 20} MiB"
            )
        yield stream


def _byte_limit(max_megapixels: float) -> int:
    return int(max_megapixels * 1e6 * _MAX_BYTES_PER_PIXEL) + _METADATA_BYTES


def _read_stream(stream: IO[bytes], max_megapixels: float) -> Image:
    if not (hasattr(stream, "seekable") and stream.seekable()):
        stream = _buffered(stream, _byte_limit(max_megapixels))
    start = stream.tell()
    head = stream.read(formats.HEAD_BYTES)
    if not isinstance(head, bytes):
        raise ImageReadError("expected a file opened in binary mode, got text")
    name = formats.sniff(head)
    if name is None:
        raise ImageReadError(
            f"expected a picture ({formats.READABLE}), got {formats.describe(head)}"
        )
    if start:  # Pillow's formats count from the beginning of the file.
        stream.seek(start)
        stream = _buffered(stream, _byte_limit(max_megapixels))
    stream.seek(0)
    with formats.open_as(name, stream) as picture:
        return _decode(picture, max_megapixels)


def _buffered(stream: IO[bytes], limit: int) -> IO[bytes]:
    content = stream.read(limit + 1)
    if not isinstance(content, bytes):
        raise ImageReadError("expected a file opened in binary mode, got text")
    if len(content) > limit:
        raise ImageReadError(f"expected a picture of at most {limit >> 20} MiB, got more")
    return io.BytesIO(content)


def _decode(picture: PillowImage.Image, max_megapixels: float) -> Image:
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageReadError(f"expected a picture with at least one pixel, got {width}×{height}")
    if width * height > max_megapixels * 1e6:
        raise ImageReadError(
            f"expected a picture of at most {max_megapixels:g} megapixels, got {width}×{height}; "
            "where it can be trusted, raise the setting max_megapixels"
        )
    if isinstance(picture, ImageFile.ImageFile):
        picture.load()
    turn = _TURNS.get(_orientation(picture))
    if turn is not None:
        picture = picture.transpose(turn)
    width, height = picture.size
    rows = max(1, _BAND_PIXELS // width)
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        band = picture if rows >= height else picture.crop((0, top, width, bottom))
        image[top:bottom] = _band_as_rgb(band)
    return image


def _orientation(picture: PillowImage.Image) -> int:
    # Damaged metadata is no reason to refuse a picture whose pixels are sound.
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return value if isinstance(value, int) else 1
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return 1


def _band_as_rgb(band: PillowImage.Image) -> Image:
    if band.mode == "RGB" and not band.has_transparency_data:
        return np.asarray(band)
    if band.mode.startswith("I;16"):
        return imaging.as_rgb(np.asarray(band).astype(np.uint16))
    if band.mode == "I":
        values = np.asarray(band)
        if values.min() < 0 or values.max() > 65535:
            raise ImageReadError(
                "expected gray levels of at most 16 bits, got values from "
                f"{values.min()} to {values.max()}"
            )
        return imaging.as_rgb(values.astype(np.uint16))
    if band.mode == "F":
        return imaging.as_rgb(np.asarray(band))
    if band.has_transparency_data:
        return imaging.as_rgb(np.asarray(band.convert("RGBA")))
    return np.asarray(band.convert("RGB"))
