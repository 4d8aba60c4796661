"""JPEG: kinds that no library here reads, and damage that libjpeg passes over in silence."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from PIL import JpegImagePlugin

from mien.errors import ImageReadError

END_OF_JPEG = b"\xff\xd9"
_FRAMES = {
    **dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC9, 0xCA), ""),
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "hierarchical JPEG"),
    0xF7: "JPEG-LS",
}
_HUFFMAN_FRAMES = (0xC0, 0xC1)
_START_OF_SCAN, _RESTART_INTERVAL, _END = 0xDA, 0xDD, 0xD9
_TABLES, _COUNTS = 0xC4, 17
_GAP = bytes(256)
# The kinds of tables (0 for means, 1 for details) that the first scan of a kind of frame uses.
_OF_FIRST_CODES = {0xC0: {0, 1}, 0xC1: {0, 1}, 0xC2: {0}}
# What may come between scans: tables, a number of lines, comments and data of applications.
_BETWEEN = frozenset((0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)))
# In the data of a scan, 0xFF comes before 0, a restart marker, or the marker of what follows.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # 20 times as slow to search
_RESTARTS = re.compile(rb"\xff([\xd0-\xd7])")
# The decoder asks for a few bytes more than it needs; zeros and ones may pad the end.
_LAST_BYTES = 16
_PADDING = b"\x00\xff"
# Zeros in a row in the data of progressive scans of AC coefficients: of 3,348 scans of each kind,
# made of photographs, drawings and patterns, none has more than 117, but for stripes that repeat in
# each block. Those of DC coefficients are zeros where a picture is of one color.
_TOO_MANY_ZEROS = bytes(256)


@dataclass(slots=True)
class _Header:
    """What stands before the data of the first scan.

    Attributes:
        frame: the marker of its kind, and the bits of a sample.
        units: the number of units that restarts count, for a scan of all components.
        interval: of restarts in units; 0 without them.
        components: in the frame, and in the scan.
        data: where the data of the scan begin; 0 if they do not.
    """

    frame: int = 0
    bits: int = 8
    units: int = 0
    interval: int = 0
    components: tuple[int, int] = (0, 0)
    data: int = 0


def _read_header(stream: IO[bytes]) -> _Header:
    header = _Header()
    stream.seek(2)
    while len(head := stream.read(4)) == 4 and head[0] == 0xFF:
        marker, length = head[1], int.from_bytes(head[2:], "big") - 2
        if marker == 0xFF:  # a fill byte
            stream.seek(-3, 1)
            continue
        start = stream.tell()
        if marker in _FRAMES:
            content = stream.read(min(length, 64))
            header.frame, header.bits = marker, content[0] if content else 8
            header.units = _units(content)
            header.components = (content[5] if len(content) > 5 else 0), 0
        elif marker == _RESTART_INTERVAL:
            header.interval = int.from_bytes(stream.read(2), "big")
        elif marker == _START_OF_SCAN:
            header.components = header.components[0], (stream.read(1) or b"\0")[0]
            header.data = start + length
            break
        stream.seek(start + length)
    return header


def _units(frame: bytes) -> int:
    """Minimum coded units (ITU-T T.81, A.2) by the header of the frame; 0 if it is damaged."""
    factors = frame[7::3]
    sides = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")
    if not factors or not all(one & 15 and one >> 4 for one in factors):
        return 0
    single = len(factors) == 1
    across = 1 if single else max(one >> 4 for one in factors)
    down = 1 if single else max(one & 15 for one in factors)
    return -(-sides[0] // (8 * across)) * -(-sides[1] // (8 * down))


def readable_part(stream: IO[bytes]) -> bytes:
    """A damaged file to the first marker in the data of a scan that no decoder accepts."""
    data = _read_header(stream).data
    stream.seek(0)
    content = stream.read().rstrip(b"\0")
    for found in _AFTER_SCAN.finditer(content, data) if data else ():
        if content[found.end() - 1] not in (*_BETWEEN, _END):
            return content[: found.start()]
    return content


def has_wrong_data(content: bytes) -> bool:
    """Whether markers or zeros stand in the data of a scan where none may: a damaged picture.

    Args:
        content: a picture, or the two fields of an interlaced one.
    """
    end = _end_of_picture(content)
    second = content[end:].lstrip(_PADDING) if end else b""
    return end is None or (second.startswith(b"\xd8") and _end_of_picture(b"\xff" + second) is None)


def _end_of_picture(content: bytes) -> int | None:
    """The first byte after it, 0 if it has no end, and None if it is damaged."""
    header = _read_header(io.BytesIO(content))
    for found in _AFTER_SCAN.finditer(content, header.data) if header.data else ():
        marker = content[found.end() - 1]
        if marker == _END:
            return None if _has_gap(content, header, found.start()) else found.end()
        if marker not in _BETWEEN:
            return None
    return 0


def _has_gap(content: bytes, header: _Header, end: int) -> bool:
    """Whether the data of the first scan have zeros that no encoder writes.

    Zeros are the first code of each table. They stand for many blocks of one color where that is
    the code for no difference and, but for progressive pictures, that for no detail.
    """
    if content.find(_GAP, header.data, end) < 0 or header.frame not in _OF_FIRST_CODES:
        return False
    at, flat = 2, set[int]()
    while at < header.data - 4 and content[at] == 0xFF:
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        tables = content[at + 4 : at + 2 + length] if content[at + 1] == _TABLES else b""
        while len(tables) > _COUNTS:
            if tables[_COUNTS] == 0:
                flat.add(tables[0] >> 4)
            tables = tables[_COUNTS + sum(tables[1:_COUNTS]) :]
        at += 2 + length
    return not _OF_FIRST_CODES[header.frame] <= flat


class WatchedJpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG file that tells after decoding whether its data fit the picture.

    libjpeg decodes on after damage, and Pillow does not return its warnings. But the decoder must
    ask for the last bytes of a scan, and for none after it: else data are left over or missing.
    Of pictures in several scans (progressive), the markers are checked, and whether a part was
    never written.

    Attributes:
        is_short: the data end before the picture; the rest is gray.
        is_damaged: data are left over or were never written, or markers stand where none may.

    Raises:
        ImageReadError: no library here reads this kind: more than 8 bits, lossless or hierarchical
            (ITU-T T.81, B.1.1.3), JPEG-LS.
    """

    is_short = is_damaged = False
    _header: _Header
    _parts: Iterator[bytes] | None = None

    def _open(self) -> None:
        assert self.fp is not None
        self._header = header = _read_header(self.fp)
        kind = _FRAMES.get(header.frame, "")
        if header.bits > 8 or kind:
            kind = kind or f"JPEG with {header.bits} bits"
            raise ImageReadError(f"not supported: {kind}; save it as a PNG or an 8-bit JPEG")
        self.fp.seek(0)
        super()._open()

    def load_read(self, read_bytes: int) -> bytes:
        """The next part of the file, for Pillow's decoder."""
        if self._parts is None:
            assert self.fp is not None
            self._parts = self._watched(self.fp)
        return next(self._parts, b"")

    def _watched(self, stream: IO[bytes]) -> Iterator[bytes]:
        header = self._header
        stream.seek(0)
        content = stream.read()
        following = _AFTER_SCAN.search(content, header.data) if header.data else None
        if following is None:  # cut: the decoder says so
            yield content
            return
        end = following.start()
        self.is_damaged = (
            not _is_sound(content, end)
            or not _restarts_fit(content, header, end)
            or _has_gap(content, header, end)
        )
        all_components = header.components[0] == header.components[1]
        if header.frame not in _HUFFMAN_FRAMES or not all_components:
            yield content
            return
        last = len(content[header.data : end].rstrip(_PADDING)) + header.data - _LAST_BYTES
        damaged, self.is_damaged = self.is_damaged, True
        yield content[: max(header.data, last)]
        self.is_damaged = damaged
        yield content[max(header.data, last) : end] + bytes(2 * _LAST_BYTES)
        self.is_short = True
        yield content[end:]


def _is_sound(content: bytes, at: int) -> bool:
    """Whether only segments and whole scans come from a marker to the end of the picture."""
    while at < len(content):
        found = _MARKER.match(content, at)
        if found is None:
            return False
        marker, start = content[found.end() - 1], found.end()
        if marker == _END:
            return True
        if marker not in _BETWEEN:
            return False
        at = start + int.from_bytes(content[start : start + 2], "big")
        if marker == _START_OF_SCAN:
            scan = _AFTER_SCAN.search(content, at)
            end = scan.start() if scan else len(content)
            first = content[at - 3]
            if first and content.find(_TOO_MANY_ZEROS, at, end) >= 0:
                return False
            at = end
    return True  # cut, which the decoder says


def _restarts_fit(content: bytes, header: _Header, end: int) -> bool:
    """Whether the restart markers of the first scan count on, and are as many as announced."""
    if header.frame not in _HUFFMAN_FRAMES or header.components[0] != header.components[1]:
        return True
    found = b"".join(_RESTARTS.findall(content, header.data, end))
    wanted = -(-header.units // header.interval) - 1 if header.interval else 0
    cycle = bytes(range(0xD0, 0xD8))
    return found == (cycle * (wanted // 8 + 1))[:wanted]
