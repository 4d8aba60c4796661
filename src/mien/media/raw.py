"""Camera raw files: recognized, and read by their full-size preview where they hold one.

A raw file holds the values of a camera's sensor, which are not developed here, and one or more
JPEG previews. A small one has too few pixels for faces, and is not used in place of the picture.
"""

import struct
from collections.abc import Iterable
from typing import IO

from mien.errors import ImageReadError
from mien.media.tiff import Directory

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (8, b"CR\2", "CR2"),
    (4, b"ftypcrx ", "CR3"),
    (0, b"IIRO", "ORF"),
    (0, b"IIRS", "ORF"),
    (0, b"MMOR", "ORF"),
    (0, b"IIU\0", "RW2"),
    (0, b"FUJIFILMCCD-RAW", "RAF"),
    (0, b"\0MRM", "MRW"),
    (0, b"FOVb", "X3F"),
    (6, b"HEAPCCDR", "CRW"),
    (8, b"IIII", "IIQ"),
)
SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})  # fmt: skip
"""File extensions of camera raw files."""

# The previews of some cameras lack a few columns of the sensor.
_FULL_SHARE = 0.9
# The long side that a preview needs where the size of the sensor is unknown.
_FULL_PIXELS = 2000
_SIZE_MARKERS = (0xC0, 0xC1, 0xC2)


def raw_kind(head: bytes, directories: Iterable[Directory]) -> str | None:
    """The kind of a camera raw file by its first bytes and directories; None for other files."""
    for start, magic, kind in _MAGIC:
        if head[start : start + len(magic)] == magic:
            return kind
    if any(directory.is_dng for directory in directories):
        return "DNG"
    return "TIFF of a sensor" if any(directory.is_raw for directory in directories) else None


def full_preview(
    stream: IO[bytes], kind: str, directories: Iterable[Directory]
) -> tuple[bytes, tuple[int, int]]:
    """The JPEG file of a raw file's full-size preview, and its width and height.

    Raises:
        ImageReadError: the file holds no such preview.
    """
    stream.seek(0)
    content = stream.read()
    sensor = max((max(d.size_wh) for d in directories if d.is_raw), default=0)
    (width, height), start = max(_previews(content), default=((0, 0), 0), key=_pixels)
    needed = _FULL_SHARE * sensor if sensor else _FULL_PIXELS
    if max(width, height) < needed:
        held = (
            f"its largest preview has {width}×{height} pixels"
            if width
            else "it has no JPEG preview"
        )
        of = f" of {sensor} pixels on the long side" if sensor else ""
        raise ImageReadError(
            f"not supported: a camera raw file ({kind}){of}, and {held}; convert it to JPEG or "
            "TIFF with the camera's software, darktable or RawTherapee"
        )
    return content[start:], (width, height)


def _pixels(preview: tuple[tuple[int, int], int]) -> int:
    return preview[0][0] * preview[0][1]


def _previews(content: bytes) -> Iterable[tuple[tuple[int, int], int]]:
    """The size and position of every JPEG picture in a file."""
    start = content.find(b"\xff\xd8\xff")
    while start >= 0:
        size_wh = _jpeg_size(content, start)
        if size_wh is not None:
            yield size_wh, start
        start = content.find(b"\xff\xd8\xff", start + 3)


def _jpeg_size(content: bytes, start: int) -> tuple[int, int] | None:
    """Width and height of a JPEG picture of 8 bits and three colors (ITU-T T.81, B.2)."""
    at = start + 2
    while at + 10 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        length, bits, height, width, colors = struct.unpack_from(">HBHHB", content, at + 2)
        if marker in _SIZE_MARKERS:
            return (width, height) if bits == 8 and colors == 3 else None
        if marker in (0xDA, 0xD9, 0xC3):  # no size before the pixels, or lossless: sensor values
            return None
        at += 2 + length
    return None
