"""Still images: from files in any common format to RGB arrays."""

import importlib
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
from mien.errors import ImageReadError, InputError, MissingExtraError
from mien.types import Image

ImageSource = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PillowImage.Image
    | npt.NDArray[Any]
)  # fmt: skip
"""The inputs of :func:`read_image`."""

# Pixels are converted in bands of about this many, to bound memory.
_BAND_PIXELS = 1 << 20
# The maximum is four channels of 16 bits; metadata come on top.
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
"""The inverse of each EXIF orientation (CIPA DC-008, 4.6.4); 1 is upright."""


def read_image(source: ImageSource, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> Image:
    """Read an image as an upright RGB array.

    Formats: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF, PNM; AVIF and HEIC if the installed
    libraries support them. The format is detected from the content, not from the file name. The
    EXIF orientation is applied, transparency is blended with white, 16 bits are reduced to 8.

    Images are decoded at full size, because boxes are in pixels of the original image.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image, or an array (see
            :func:`mien.imaging.as_rgb`).
        max_megapixels: images with more pixels are rejected before they are decoded, which bounds
            memory at about 7 bytes per pixel (AVIF 10, WebP 16).

    Returns:
        ``(H, W, 3)`` RGB uint8, contiguous.

    Raises:
        ImageReadError: the image cannot be read; the message names it.
        InputError: the array is not an image, or the source is of another type.
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
        "expected an image as a path, bytes, an open binary file, a Pillow image or an array, "
        f"got {type(source).__name__}"
    )


def _named(name: str, read: Any, source: Any, max_megapixels: float) -> Image:
    """Call a reader, and raise any error as an ImageReadError that names the image."""
    try:
        return read(source, max_megapixels)  # type: ignore[no-any-return]
    except InputError as error:
        raise ImageReadError(f"{name}: {error}") from error
    except MemoryError as error:
        raise ImageReadError(f"{name}: not enough memory to decode the image") from error
    except Exception as error:
        # Pillow's decoders raise almost any exception for damaged images.
        raise ImageReadError(
            f"{name}: the image is damaged or truncated and cannot be decoded ({error})"
        ) from error


@contextmanager
def _opened(path: str, max_megapixels: float) -> Iterator[BinaryIO]:
    try:
        stream = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        hint = "; URLs are not supported, download the image first" if "://" in path else ""
        raise ImageReadError(f"{path}: no such file{hint}") from None
    except IsADirectoryError:
        raise ImageReadError(f"{path}: expected an image, got a folder") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"{path}: the file cannot be opened: {reason}") from None
    with stream:
        facts = os.fstat(stream.fileno())
        limit = _byte_limit(max_megapixels)
        if stat.S_ISREG(facts.st_mode) and facts.st_size > limit:
            raise ImageReadError(
                f"{path}: expected an image of at most {limit >> 20} MiB, "
                f"got a file of {facts.st_size >> 20} MiB"
            )
        yield stream


def _byte_limit(max_megapixels: float) -> int:
    return int(max_megapixels * 1e6 * _MAX_BYTES_PER_PIXEL) + _METADATA_BYTES


def _read_stream(stream: IO[bytes], max_megapixels: float) -> Image:
    if not (hasattr(stream, "seekable") and stream.seekable()):
        stream = _buffered(stream, _byte_limit(max_megapixels))
    start = stream.tell()
    head = stream.read(_HEAD_BYTES)
    if not isinstance(head, bytes):
        raise ImageReadError("expected a file opened in binary mode, got text")
    name = _sniff(head)
    if name is None:
        raise ImageReadError(f"expected an image ({_READABLE}), got {_describe(head)}")
    if start:  # Pillow's decoders expect the image at the beginning of the file.
        stream.seek(start)
        stream = _buffered(stream, _byte_limit(max_megapixels))
    stream.seek(0)
    with _open_as(name, stream) as picture:
        return _decode(picture, max_megapixels)


def _buffered(stream: IO[bytes], limit: int) -> IO[bytes]:
    content = stream.read(limit + 1)
    if not isinstance(content, bytes):
        raise ImageReadError("expected a file opened in binary mode, got text")
    if len(content) > limit:
        raise ImageReadError(f"expected an image of at most {limit >> 20} MiB, got more")
    return io.BytesIO(content)


def _decode(picture: PillowImage.Image, max_megapixels: float) -> Image:
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageReadError(f"expected an image with at least one pixel, got {width}×{height}")
    if width * height > max_megapixels * 1e6:
        raise ImageReadError(
            f"expected an image of at most {max_megapixels:g} megapixels, got {width}×{height}; "
            "if you trust it, raise the setting max_megapixels"
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
    # An image with damaged metadata is still usable.
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


_HEAD_BYTES = 64
_READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, AVIF or HEIC"

_SUFFIXES_OF = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
    "gif": (".gif",),
    "bmp": (".bmp", ".dib"),
    "tiff": (".tif", ".tiff"),
    "pnm": (".pgm", ".ppm", ".pnm"),
    "avif": (".avif",),
    "heif": (".heic", ".heif", ".hif"),
}

SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES_OF.values() for suffix in suffixes)
"""File extensions of images, for searching folders."""

_PLUGINS = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "pnm": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heif": ("pillow_heif", "HeifImageFile"),
}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    *((b"P%d%c" % (kind, space), "pnm") for kind in range(1, 7) for space in b" \t\n\r"),
)

# Other formats, to name them in error messages.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"PK\3\4", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"RIFF", "a video or sound (RIFF)"),
    (bytes(16), "a file of zeros"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"8BPS", "a Photoshop document"),
    (b"%!PS", "a PostScript document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\1\0", "an icon"),
    (b"<svg", "an SVG drawing"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def _sniff(head: bytes) -> str | None:
    """The image format by a file's first bytes: a key of ``_PLUGINS``, or None."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    brands = _brands(head)
    if brands & _AVIF_BRANDS:
        return "avif"
    if brands & _HEIF_BRANDS:
        return "heif"
    return None


def _describe(head: bytes) -> str:
    """The likely type of a file that is not a readable image, by its first bytes."""
    if not head:
        return "an empty file"
    for magic, description in _FOREIGN:
        if head.startswith(magic):
            return description
    if _brands(head):
        return "a video (MP4 or MOV)"
    if all(byte >= 0x80 or 0x20 <= byte < 0x7F or byte in b"\t\n\r\f" for byte in head):
        return "text"
    return f"unknown data that starts with {head[:8].hex(' ')}"


def _open_as(name: str, stream: IO[bytes]) -> ImageFile.ImageFile:
    """Read an image's header; its pixels are decoded later.

    Pillow's own ``Image.open`` is not used: it tries formats that run other programs (EPS), and its
    limit on pixels is a global variable.

    Args:
        name: the format.
        stream: binary, seekable, at its beginning.

    Raises:
        ImageReadError: the installed libraries do not support this format.
        Exception: any error from Pillow for a damaged file.
    """
    module_name, class_name = _PLUGINS[name]
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        raise ImageReadError(_how_to_read(name)) from None
    if not getattr(module, "SUPPORTED", True):
        raise ImageReadError(_how_to_read(name))
    opened: ImageFile.ImageFile = getattr(module, class_name)(stream)
    return opened


def _how_to_read(name: str) -> str:
    if name == "heif":
        return str(MissingExtraError("pillow_heif", "heif", "read HEIC images"))
    if name == "avif":
        return "the installed Pillow cannot read AVIF images: pip install 'Pillow>=11.3'"
    return f"the installed Pillow was built without {name.upper()}: pip install --force Pillow"


def _brands(head: bytes) -> set[bytes]:
    """The brands in the first box of an ISO base media file (ISO/IEC 14496-12, 4.3), else none."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = {head[start : start + 4] for start in range(16, end - 3, 4)}
    return {head[8:12], *compatible}
