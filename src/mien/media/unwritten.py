"""WebP, AVIF and HEIC files that end too early, or in zeros that were never written.

Their decoders refuse what is cut, and read zeros as if they were a part of the picture. Here the
missing part is filled in several ways: rows that do not depend on it are those that the file has.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from mien.errors import ImageReadError
from mien.media.formats import open_as

KINDS = frozenset(("webp", "avif", "heif"))
# Some fillings are no valid data, by the kind of coding and where it was cut.
_FILLINGS = (b"", b"\x20" * 16, b"\1" * 16, b"\x55" * 2, b"\xff" * 16)
_FRAME, _FRAME_HEADER = b"ANMF", 24
_PICTURES = {b"VP8 ", b"VP8L", _FRAME}
# Pictures of one color have some zeros in a row, by their size: at most 1,542 for 16 megapixels,
# and 153 for 320x214 pixels without loss.
_ZEROS, _PIXELS_OF_A_ZERO, _LOSSLESS_PIXELS_OF_A_ZERO = 256, 4096, 64
# Data of AVIF and HEIC files may have metadata with 2,060.
_ISO_ZEROS, _ISO_DATA = 2400, b"mdat"
# Of a picture, that must be there.
_LEAST = 0.02


def webp_damage(content: bytes) -> int | None:
    """Where the first chunk begins that is no sound part of a WebP file; None if all are sound."""
    zeros = bytes(_zeros_of_webp(content))
    for name, start, end in _chunks(content):
        # Some programs end the name XMP with a zero in place of a space.
        shown = name.rstrip(b"\0").decode("latin-1")
        if not (shown.isascii() and shown.isprintable() and shown):
            return start
        if any(content.find(zeros, *data) >= 0 for data in _coded(content, name, start, end)):
            return start
    return None


def _coded(content: bytes, name: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Where a chunk has data of pictures in which many zeros are damage.

    Frames of an animation are blank where they are as the one before, which is many zeros in
    lossless data and in those of transparency.
    """
    if name != _FRAME:
        return [(start, end)] if name in _PICTURES else []
    inner = _chunks(content, start + _FRAME_HEADER, min(end, len(content)))
    return [(at, until) for kind, at, until in inner if kind == b"VP8 "]


def _zeros_of_webp(content: bytes) -> int:
    """More zeros than those in a row that the data of its pictures may have."""
    name, at = content[12:16], 20
    if name == b"VP8X":
        wide, high = (int.from_bytes(content[at + n : at + n + 3], "little") for n in (4, 7))
    elif name == b"VP8L":
        bits = int.from_bytes(content[at + 1 : at + 5], "little")
        wide, high = bits & 0x3FFF, bits >> 14 & 0x3FFF
    else:
        wide, high = (
            int.from_bytes(content[at + n : at + n + 2], "little") & 0x3FFF for n in (6, 8)
        )
    is_lossless = b"VP8L" in content
    return _ZEROS + wide * high // (
        _LOSSLESS_PIXELS_OF_A_ZERO if is_lossless else _PIXELS_OF_A_ZERO
    )


def _chunks(
    content: bytes, at: int = 12, last: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """The name of each chunk of a WebP file, and where it begins and should end."""
    if last is None:
        last = min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    while at + 8 <= last:
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        yield content[at : at + 4], at, at + 8 + size
        at += 8 + size + size % 2


def is_damaged(name: str, content: bytes) -> bool:
    """Whether the data of a whole file have parts that no encoder writes."""
    if name == "webp":
        return webp_damage(content) is not None
    zeros = bytes(_ISO_ZEROS)
    return any(
        content.find(zeros, start, end) >= 0
        for kind, start, end in _boxes(content)
        if kind == _ISO_DATA
    )


def written_bytes(name: str, content: bytes) -> tuple[int, int] | None:
    """How many bytes of a file are there, and how many should be; None if nothing is missing.

    Args:
        name: the format, one of `KINDS`.
        content: the file.
    """
    written = len(content.rstrip(b"\0"))
    if name == "webp":
        last = 8 + int.from_bytes(content[4:8], "little")
        # Of an animation, the first picture is read.
        pictures = [end for kind, _, end in _chunks(content) if kind in _PICTURES]
        wanted = pictures[0] if pictures else last
        zeros = _zeros_of_webp(content)
    else:
        boxes = [(kind, end) for kind, _, end in _boxes(content)]
        last = boxes[-1][1] if boxes else 0
        wanted = max((end for kind, end in boxes if kind == _ISO_DATA), default=last)
        zeros = _ISO_ZEROS
    missing = last > len(content) or wanted - written >= zeros
    return (min(written, wanted), wanted) if missing else None


def _boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The name of each box of an AVIF or HEIC file, and where it begins and should end."""
    at = 0
    while at + 16 <= len(content):
        size, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16], "big")
        elif size == 0:  # to the end of the file
            size = len(content) - at
        if size < 8 or not name.isalnum():
            return
        yield name, at, at + size
        at += size


def completed(
    name: str, content: bytes, written: int, wanted: int, check: Callable[[int, int], None]
) -> tuple[bytes, tuple[int, int, int, int]]:
    """A file that decoders accept, and the part of its picture that is read from what is there.

    Args:
        name: the format, one of `KINDS`.
        content: the file.
        written, wanted: as :func:`written_bytes` has them.
        check: is called with the width and height before they are decoded, and may raise.

    Returns:
        The file, and left, top, right and bottom in pixels as its decoder returns them.

    Raises:
        OSError: no part of it can be read.
    """
    found: list[tuple[bytes, npt.NDArray[np.uint8]]] = []
    reason = ""
    for filling in _FILLINGS:
        whole = (content[:written] + filling)[:wanted].ljust(wanted + wanted % 2, b"\0")
        if name == "webp":  # further chunks, which may be announced, are left out
            whole = whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:]
        try:
            picture = open_as(name, io.BytesIO(whole))
            check(*picture.size)
            found.append((whole, np.asarray(picture)))
        except ImageReadError:
            raise
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost any
            reason = str(error)
        if len(found) == 2:
            break
    else:
        raise OSError(reason)
    (whole, first), (_, second) = found
    part = _common_part(first, second, turns=name == "heif")
    if part is None:
        raise OSError("no part of the picture is there")
    return whole, part


def _common_part(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], *, turns: bool
) -> tuple[int, int, int, int] | None:
    """The part on one side of two pictures in which they are the same, if it is large enough."""
    differ = (a != b).any(axis=-1) if a.ndim == 3 else a != b
    height, width = differ.shape
    rows, columns = np.flatnonzero(differ.any(axis=1)), np.flatnonzero(differ.any(axis=0))
    if not len(rows):
        return 0, 0, width, height
    parts = (
        (0, 0, width, int(rows[0])),
        (0, int(rows[-1]) + 1, width, height),
        (0, 0, int(columns[0]), height),
        (int(columns[-1]) + 1, 0, width, height),
    )
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in parts]
    best = int(np.argmax(areas)) if turns else 0
    return parts[best] if areas[best] >= _LEAST * width * height else None
