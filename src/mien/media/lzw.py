"""Whether LZW and PackBits data fit their picture, as in GIF and TIFF: decoders do not say it."""

import struct
from functools import cache

import numpy as np
import numpy.typing as npt

_MAX_BITS = 12
_GIF_END = 0x3B
# Codes that are read at once: more than most tables have before they are cleared.
_CODES = 1 << 12
_TABLES = 32
"""Code tables of one file or picture that are followed: all of them would take longer to follow
than to decode."""


class LzwCheck:
    """Compares data with the size of their picture, as far as a number of code tables reach.

    Only the lengths of the codes' strings are followed, not the strings.
    """

    def __init__(self, tables: int = _TABLES) -> None:
        self._left = tables

    def fits(self, data: bytes, bits: int, wanted: set[int], *, is_tiff: bool) -> bool:
        """Whether data of GIF or TIFF may be those of a picture.

        Args:
            data: from its first code.
            bits: of a value; in TIFF 8.
            wanted: the possible numbers of values.
            is_tiff: codes have their highest bit first, and grow one code earlier.

        Returns:
            False where a code stands that cannot be known yet, or the number of values is wrong.
        """
        values = np.frombuffer(data + bytes(2), np.uint8)
        clear, at, total, count = 1 << bits, 0, 0, _CODES
        while self._left > 0:
            codes, ends = _codes(values, at, bits, count, is_tiff=is_tiff)
            stops = np.flatnonzero((codes == clear) | (codes == clear + 1))
            if not len(stops) and len(codes) == count:  # the table was full for long
                count *= 2
                continue
            self._left -= max(1, count // _CODES)
            stop = int(stops[0]) if len(stops) else len(codes)
            length = _length(codes[:stop], clear)
            if length is None:
                return False
            total += length
            is_over = stop == len(codes) or codes[stop] == clear + 1
            if is_over or total > max(wanted):
                return total in wanted
            at, count = int(ends[stop]), _CODES
        return True


@cache
def _widths(bits: int, count: int, is_tiff: bool) -> npt.NDArray[np.int64]:
    """The bits of each code after a clear code: the table grows with each but the first one."""
    known = (1 << bits) + 2 + np.maximum(np.arange(count) - 1, 0) + is_tiff
    widths = np.searchsorted(1 << np.arange(_MAX_BITS), known, side="right")
    return np.clip(widths, bits + 1, _MAX_BITS)


def _codes(
    values: npt.NDArray[np.uint8], at: int, bits: int, count: int, *, is_tiff: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Codes after a clear code that ends at a bit, and the bits at which they end.

    Two more bytes stand after the data.
    """
    widths = _widths(bits, min(count, _CODES), is_tiff)
    widths = np.pad(widths, (0, count - len(widths)), constant_values=_MAX_BITS)
    ends = at + np.cumsum(widths)
    there = int(np.searchsorted(ends, 8 * (len(values) - 2), side="right"))
    widths, ends = widths[:there], ends[:there]
    starts = ends - widths
    first = starts >> 3
    a, b, c = (values[first + n].astype(np.int64) for n in range(3))
    inside = starts & 7
    if is_tiff:
        codes = (a << 16 | b << 8 | c) >> (24 - inside - widths)
    else:
        codes = (c << 16 | b << 8 | a) >> inside
    return codes & ((1 << widths) - 1), ends


def _length(codes: npt.NDArray[np.int64], clear: int) -> int | None:
    """The sum of the lengths of the strings of codes between two clear codes."""
    first = clear + 2
    known = first + np.minimum(np.arange(len(codes)), (1 << _MAX_BITS) - first)
    if not len(codes):
        return 0
    if codes[0] >= clear or (codes >= known)[1:].any():
        return None
    # A string is one longer than that of the code that began it: the steps to the first value of
    # each, doubled until all are there.
    begins = np.where(codes < first, np.arange(len(codes)), codes - first)
    steps = (codes >= first).astype(np.int64)
    while (more := steps[begins]).any():
        steps, begins = steps + more, begins[begins]
    return int(steps.sum()) + len(codes)


def count_packbits(data: bytes) -> int:
    """The number of bytes in PackBits data (TIFF 6.0, section 9)."""
    at, total = 0, 0
    while at < len(data):
        head = data[at]
        if head < 128:
            total += min(head + 1, len(data) - at - 1)
            at += head + 2
        else:
            total += 257 - head if head > 128 else 0
            at += 2 if head > 128 else 1
    return total


def gif_damage(data: bytes, pictures: int = 0) -> int | None:
    """Where the first thing that is no sound part of a GIF file begins.

    Args:
        data: the file.
        pictures: that are looked at; 0 for all.

    Returns:
        None where nothing is wrong but that the file may be cut.
    """
    at, seen = 13 + _palette_bytes(data, 10), 0
    while at < len(data) and data[at] != _GIF_END:
        start, is_picture = at, data[at : at + 1] == b","
        if not is_picture and data[at : at + 1] != b"!":
            return at
        at += 11 + _palette_bytes(data, at + 9) if is_picture else 2
        first, blocks = at, []
        while at < len(data) and data[at]:
            blocks.append(data[at + 1 : at + 1 + data[at]])
            at += data[at] + 1
        at += 1
        if is_picture and at <= len(data):
            seen += 1
            width, height, bits = (*struct.unpack_from("<HH", data, start + 5), data[first - 1])
            content = b"".join(blocks)
            if not 0 < bits < _MAX_BITS or not LzwCheck().fits(
                content, bits, {width * height}, is_tiff=False
            ):
                return start
            if seen == pictures:
                break
    return None


def _palette_bytes(data: bytes, at: int) -> int:
    """The size of a palette by the flags before it."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
