"""Formats of still images: recognized by their first bytes, and opened by Pillow."""

import codecs
import importlib
from typing import IO

from PIL import ImageFile

from mien.errors import ImageReadError, MissingExtraError

HEAD_BYTES = 144
"""The number of bytes that :func:`sniff` and :func:`describe` need."""
READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, AVIF or HEIC"

_SUFFIXES_OF = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo"),
    "png": (".png", ".apng"),
    "webp": (".webp",),
    "gif": (".gif",),
    "bmp": (".bmp", ".dib"),
    "tiff": (".tif", ".tiff"),
    "pnm": (".pgm", ".ppm", ".pnm", ".pbm"),
    "avif": (".avif",),
    "heif": (".heic", ".heif", ".hif"),
}

SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES_OF.values() for suffix in suffixes)
"""File extensions of images, for searching folders."""

_PLUGINS = {
    "jpeg": ("mien.media.jpeg", "WatchedJpeg"),
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
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"RIFF", "a video or sound (RIFF)"),
    (b"ID3", "a sound (MP3)"),
    (b"OggS", "a video or sound (Ogg)"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"8BPS", "a Photoshop document"),
    (b"%!PS", "a PostScript document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\1\0", "an icon"),
    (b"\0\0\2\0", "a cursor or a Targa image"),
    (b"qoif", "a QOI image"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"P7\n", "a PAM image"),
    (b"PF\n", "a PFM image"),
    (b"Pf\n", "a PFM image"),
    (b"SIMPLE  =", "a FITS image"),
    (b"\x93NUMPY", "a NumPy array: numpy.load it and give its pixels"),
    (b"version https://git-lfs", "a pointer of Git LFS: get the image by git lfs pull"),
    (b"\x89PNG", "a PNG image that was changed on its way: transfer it as binary data"),
    (b"data:image", "the text of a data URL, which can be given itself"),
)
_TEXTS = ((b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"))

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def sniff(head: bytes) -> str | None:
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


def describe(head: bytes) -> str:
    """The likely type of a file that is not a readable image, by its first bytes."""
    if not head:
        return "an empty file"
    for magic, description in _FOREIGN:
        if head.startswith(magic):
            return description
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    further = [
        *((start.startswith(words), description) for words, description in _TEXTS),
        (start.startswith(b"<?xml") and b"<svg" in start, "an SVG drawing"),
        (head[128:132] == b"DICM", "a medical image (DICOM)"),
        (not any(head), "a file of zeros"),
        (bool(_brands(head)), "a video (MP4 or MOV)"),
    ]
    found = next((description for is_this, description in further if is_this), None)
    if found:
        return found
    return "text" if _is_text(head) else f"unknown data that starts with {head[:8].hex(' ')}"


def _is_text(head: bytes) -> bool:
    """Whether bytes are text in UTF-8, or in another encoding and mostly of ASCII."""
    allowed = bytes(range(0x20, 0x7F)) + b"\t\n\r\f"
    others = head.translate(None, allowed)
    if any(byte < 0x80 for byte in others):
        return False
    # A character at the end may be cut.
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return 2 * len(others) < len(head)
    return True


def open_as(name: str, stream: IO[bytes]) -> ImageFile.ImageFile:
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
