"""Still images: from files in any common format to RGB arrays."""

import base64
import binascii
import contextlib
import io
import logging
import os
import re
import stat
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from mien import imaging
from mien.config import DEFAULT_MAX_MEGAPIXELS
from mien.errors import ImageReadError, InputError
from mien.imaging import LargeImage, OpenedImage
from mien.media import raw, strips, tiff
from mien.media.decoding import DAMAGED, DARK_LEVEL, Reading, check_size, read_picture
from mien.media.formats import HEAD_BYTES, READABLE, describe, open_as, sniff
from mien.media.pixels import pixels_of, upright
from mien.types import Image

ImageSource = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PillowImage.Image
    | npt.NDArray[Any]
)  # fmt: skip
"""The inputs of :func:`read_image`; a text may be a data URL as well."""

_log = logging.getLogger(__name__)

# The maximum is four channels of 16 bits; metadata come on top.
_MAX_BYTES_PER_PIXEL = 8
_METADATA_BYTES = 64 << 20
_MAX_NAME = 80

OWN_MARK = "written by mien"
"""The comment in images that mien writes, by which it knows those that it may replace."""
_MARKED_BYTES = 512


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image, and what to know about it.

    Attributes:
        pixels: ``(H, W, 3)`` RGB uint8, contiguous and upright.
        warnings: for example that the file is truncated, or that an animation's first frame was
            read.
    """

    pixels: Image
    warnings: tuple[str, ...] = ()


def read_image(source: ImageSource, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> Image:
    """Read an image as an upright RGB array.

    Formats: JPEG, PNG, WebP, GIF, BMP, TIFF, PNM; AVIF and HEIC if the installed libraries support
    them. The format is detected from the content, not from the file name. The EXIF orientation is
    applied, transparency is blended with white, 16 bits are reduced to 8. Color profiles (ICC) are
    applied where they matter: ProPhoto RGB or CMYK, but not Display P3 and Adobe RGB, which are
    near to sRGB; so are the gamma of PNG and HDR (PQ, HLG). Of animations and files of several
    pages the first is read; of camera raw files the full-size JPEG preview. A truncated file is
    read as far as it goes. Such things are logged; :func:`decode_image` returns them.

    Images are decoded at full size, because boxes are in pixels of the original image.

    Args:
        source: a path, a data URL, the bytes of a file, an open binary file, a Pillow image, or an
            array (see :func:`mien.imaging.as_rgb`).
        max_megapixels: images with more pixels are rejected before they are decoded, which bounds
            memory at about 7 bytes per pixel (AVIF 10, WebP 16, TIFF with 32 bits 30).

    Returns:
        ``(H, W, 3)`` RGB uint8, contiguous.

    Raises:
        ImageReadError: the image cannot be read; the message names it.
        InputError: the array is not an image, or the source is of another type.

    Examples:
        >>> import mien
        >>> image = mien.read_image("photo.jpg")
        >>> image.shape[2], image.dtype
        (3, dtype('uint8'))
    """
    decoded = decode_image(source, max_megapixels=max_megapixels)
    for warning in decoded.warnings:
        _log.warning("%s: %s", _name_of(source), warning)
    return decoded.pixels


def decode_image(
    source: ImageSource, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
) -> DecodedImage:
    """Read an image like :func:`read_image`, and return its warnings with it."""
    opened = _decode(source, max_megapixels, in_parts=False)
    return DecodedImage(_as_whole(opened.pixels), opened.warnings)


def open_image(
    source: ImageSource, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
) -> OpenedImage:
    """The same, but large images are decoded in parts where their format can, to bound memory.

    Above 16 megapixels, PNG takes about 60 MB besides its file, and other formats 4 bytes per pixel
    instead of 7.
    """
    return _decode(source, max_megapixels, in_parts=True)


def _decode(source: ImageSource, max_megapixels: float, *, in_parts: bool) -> OpenedImage:
    if isinstance(source, np.ndarray):
        return OpenedImage(imaging.as_rgb(source))
    reading = Reading(max_megapixels, in_parts)
    try:
        pixels = _read(source, reading)
    except InputError as error:
        raise ImageReadError(f"{_name_of(source)}: {error}") from error
    except MemoryError as error:
        name = _name_of(source)
        raise ImageReadError(f"{name}: not enough memory to decode the image") from error
    except Exception as error:
        # Pillow's decoders raise almost any exception for damaged images.
        raise ImageReadError(
            f"{_name_of(source)}: the image is damaged or truncated and cannot be decoded "
            f"({str(error)[:_MAX_NAME]})"
        ) from error
    return OpenedImage(pixels, tuple(reading.warnings), reading.read, reading.focal_length)


def write_image(path: Path, image: Image, *, quality: int = 92) -> None:
    """Write an image as PNG if its name ends in ``.png``, else as JPEG, with a mark.

    Raises:
        OSError: the file cannot be written; a part of it is deleted.
    """
    # In memory first: Pillow does not notice where a full disk takes a part only.
    buffer = io.BytesIO()
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Comment", OWN_MARK)
    PillowImage.fromarray(image).save(buffer, kind, quality=quality, comment=OWN_MARK, pnginfo=mark)
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def is_own_image(path: Path) -> bool:
    """Whether :func:`write_image` wrote a file, by the mark near its start."""
    with path.open("rb") as file:
        return OWN_MARK.encode() in file.read(_MARKED_BYTES)


def _as_whole(pixels: Image | LargeImage) -> Image:
    return pixels.whole() if isinstance(pixels, LargeImage) else pixels


def size_of(content: bytes) -> tuple[int, int]:
    """The width and height of an image by its header; zeros where it cannot be read."""
    with (
        contextlib.suppress(Exception),
        open_as(sniff(content[:HEAD_BYTES]) or "", io.BytesIO(content)) as picture,
    ):
        return picture.size
    return 0, 0


def _name_of(source: Any) -> str:
    """What to call an image in messages, in a few words."""
    if isinstance(source, PillowImage.Image):
        return "the Pillow image"
    if is_data_url(source):
        return "the data URL"
    if isinstance(source, bytes | bytearray | memoryview):
        return "the given bytes"
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    if not isinstance(name, str | os.PathLike):
        return "the given file" if hasattr(source, "read") else "the given image"
    text = os.fspath(name) or "the empty path"
    if len(text) > _MAX_NAME and (not os.path.lexists(text) if len(text) < 4096 else True):
        # The end of a path, with the file's name, says most.
        return f"{text[: _MAX_NAME // 2]}…{text[-_MAX_NAME // 2 :]}"
    return text


def _read(source: Any, reading: Reading) -> Image | LargeImage:
    if isinstance(source, PillowImage.Image):
        check_size(*source.size, reading.max_megapixels)
        return pixels_of(source, reading.warnings)
    if is_data_url(source):
        return _read_stream(io.BytesIO(_data_of(source)), reading)
    if isinstance(source, str | os.PathLike):
        with _opened(os.fspath(source), reading.max_megapixels) as stream:
            return _read_stream(stream, reading)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_stream(io.BytesIO(source), reading)
    if isinstance(source, io.TextIOBase):
        raise ImageReadError(_TEXT_MODE)
    if hasattr(source, "read"):
        if getattr(source, "closed", False) or not getattr(source, "readable", lambda: True)():
            raise ImageReadError("expected a file that is open for reading: open it with 'rb'")
        return _read_stream(source, reading)
    if hasattr(source, "__array__"):
        return imaging.as_rgb(source)
    raise InputError(
        "expected an image as a path, bytes, an open binary file, a Pillow image or an array, "
        f"got {type(source).__name__}"
    )


_TEXT_MODE = "expected a file in binary mode, but it was opened in text mode: open it with 'rb'"


def is_data_url(source: Any) -> bool:
    """Whether a text is a data URL (RFC 2397), and not a path."""
    return isinstance(source, str) and source[:5].lower() == "data:" and "," in source


def _data_of(url: str) -> bytes:
    header, _, body = url.partition(",")
    content = urllib.parse.unquote_to_bytes(body)
    if not header.lower().rstrip().endswith(";base64"):
        return content
    content = re.sub(rb"\s", b"", content).rstrip(b"=").translate(_STANDARD_BASE64)
    try:
        return base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
    except binascii.Error:
        raise ImageReadError(
            f"expected base64 after {header[:40]!r}, got {len(body)} characters that are none"
        ) from None


_STANDARD_BASE64 = bytes.maketrans(b"-_", b"+/")


@contextmanager
def _opened(path: str, max_megapixels: float) -> Iterator[BinaryIO]:
    try:
        stream = open(path, "rb")  # noqa: SIM115 - closed by the `with` below
    except FileNotFoundError:
        hint = "; URLs are not supported, download the image first" if "://" in path else ""
        raise ImageReadError(f"no such file{hint}") from None
    except IsADirectoryError:
        raise ImageReadError("expected an image, got a folder") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"the file cannot be opened: {reason}") from None
    with stream:
        facts = os.fstat(stream.fileno())
        limit = byte_limit(max_megapixels)
        if stat.S_ISREG(facts.st_mode) and facts.st_size > limit:
            raise ImageReadError(
                f"expected an image of at most {limit >> 20} MiB, "
                f"got a file of {facts.st_size >> 20} MiB"
            )
        yield stream


def byte_limit(max_megapixels: float) -> int:
    """The number of bytes that the file of an image may have."""
    return int(max_megapixels * 1e6 * _MAX_BYTES_PER_PIXEL) + _METADATA_BYTES


def _read_stream(stream: IO[bytes], reading: Reading) -> Image | LargeImage:
    if not (hasattr(stream, "seekable") and stream.seekable()):
        stream = _buffered(stream, byte_limit(reading.max_megapixels))
    start = stream.tell()
    head = stream.read(HEAD_BYTES)
    if not isinstance(head, bytes):
        raise ImageReadError(_TEXT_MODE)
    if start:  # Pillow's decoders expect the image at the beginning of the file.
        stream.seek(start)
        stream = _buffered(stream, byte_limit(reading.max_megapixels))
    name = sniff(head)
    if name not in (None, "tiff"):
        return read_picture(name or "", stream, reading)
    # Some camera raw files are TIFF files, others have only their structure.
    directories = tiff.read_directories(stream) if head[:2] in (b"II", b"MM") else []
    kind = raw.raw_kind(head, directories)
    if kind is not None:
        content, (width, height) = raw.full_preview(stream, kind, directories)
        reading.warnings.append(
            f"a camera raw file ({kind}): its JPEG preview of {width}×{height} pixels was read"
        )
        turn = directories[0].orientation if directories else 1
        preview = io.BytesIO(content)
        return read_picture("jpeg", preview, reading, orientation=turn)
    if name is None:
        raise ImageReadError(f"expected an image ({READABLE}), got {describe(head)}")
    return _read_tiff(stream, directories, reading)


def _buffered(stream: IO[bytes], limit: int) -> IO[bytes]:
    content = stream.read(limit + 1)
    if not isinstance(content, bytes):
        raise ImageReadError(_TEXT_MODE)
    if len(content) > limit:
        raise ImageReadError(f"expected an image of at most {limit >> 20} MiB, got more")
    return io.BytesIO(content)


def _read_tiff(
    stream: IO[bytes], directories: list[tiff.Directory], reading: Reading
) -> Image | LargeImage:
    pages = [directory for directory in directories if directory.page is not None]
    full = [page for page in pages if not page.is_reduced] or pages
    if not full:
        raise ImageReadError("the image is damaged or truncated: a TIFF file without pages")
    page = full[0]
    if len(full) > 1:
        reading.warnings.append(f"the first of {len(full)} pages was read")
    check_size(*page.size_wh, reading.max_megapixels)
    if strips.is_damaged(stream, page):
        reading.warnings.append(DAMAGED)
    if page.pillow_reads and page.bits != 12:
        noted = len(reading.warnings)
        try:
            pixels = read_picture("tiff", stream, reading, page=page.page or 0)
            dark = isinstance(pixels, np.ndarray) and pixels.max() < DARK_LEVEL
            if page.bits < 16 or not dark:
                return pixels
        except InputError:
            raise
        except (SyntaxError, KeyError, TypeError, OSError) as error:
            # A variant that Pillow does not know, or a damaged file.
            if isinstance(error, OSError) and not page.has_rare_compression:
                raise
            del reading.warnings[noted:]
    whole = imaging.as_rgb(tiff.read_page(stream, page, reading.warnings))
    return upright(whole, page.orientation)
