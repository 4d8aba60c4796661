"""Video files that were cut or lost a part, where FFmpeg does not say so: by their structure."""

import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from mien.media.jpeg import END_OF_JPEG
from mien.media.lzw import gif_damage
from mien.media.packets import checksum
from mien.media.unwritten import webp_damage

_TS_PACKETS = (188, 192, 204)
_TS_SYNC = 0x47
_GIF_END = b";"
_OGG_PAGE, _OGG_FLAGS_AT, _OGG_LAST = b"OggS", 5, 4
_OGG_HEADER_BYTES, _OGG_FIRST = 27, 2
_DV_FRAMES = (120_000, 144_000)  # of 525 and 625 lines, at 25 Mbit/s
# How many times larger frames are by their signal type: DVCPRO50, 1080 and 720 lines.
_DV_FACTORS = {0: 1, 4: 2, 0x14: 4, 0x18: 2}
_FLV_HEADER_BYTES = 11
_NUT_INDEX = b"NX\xddg/#\xe6N"
_MPEG_SECTOR = 2048
_MOST_AT_END = 128 * 1024  # An Ogg page has up to 64 KiB.


def has_no_end(path: Path, container: str) -> bool:
    """Whether a file ends where its format has no end; False where it is not known.

    A transport stream that was cut between two packets looks whole.

    Args:
        path: of the file.
        container: the name of its format in FFmpeg: ``mpegts``, ``mpeg``, ``gif``, ``ogg``,
            ``mjpeg``, ``jpeg_pipe``, ``yuv4mpegpipe``, ``nut``, ``flv`` and those of
            :func:`damage_of` are looked at.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2 * max(_TS_PACKETS))
            size = file.seek(0, 2)
            file.seek(max(0, size - _MOST_AT_END))
            end = file.read()
    except OSError:  # it was read to its end, and may have been deleted since
        return False
    page = end.rfind(_OGG_PAGE) + _OGG_FLAGS_AT
    # Some programs add zeros after the end.
    written = end.rstrip(b"\0")
    return {
        "mpegts": _ends_in_a_packet(start, size) or not any(end[-_TS_PACKETS[0] :]),
        "mpeg": not any(end[-_MPEG_SECTOR:]),
        "yuv4mpegpipe": _ends_in_a_y4m_frame(start, size),
        "gif": not written.endswith(_GIF_END),
        "ogg": _OGG_FLAGS_AT <= page < len(end) and not end[page] & _OGG_LAST,
        "mjpeg": not written.endswith(END_OF_JPEG),
        "jpeg_pipe": not written.endswith(END_OF_JPEG),
        # The last numbers are the length of the index and a checksum.
        "nut": not end[-int.from_bytes(end[-12:-4], "big") :].startswith(_NUT_INDEX),
        "flv": not _ends_with_a_flv_tag(end),
    }.get(container) or damage_of(path, container) == _CUT


_CUT = "an element is longer than the file"


def damage_of(path: Path, container: str) -> str | None:
    """What is wrong with the elements of a file, of which FFmpeg says nothing.

    It looks for the next ones that it knows, or stops there, and does not say what it left out.

    Args:
        path: of the file.
        container: the name of its format in FFmpeg: Matroska and WebM (RFC 8794), AVI, WebP, GIF,
            Ogg (RFC 3533), ASF (WMV), MXF (SMPTE 377), DV and raw AV1 are looked at.
    """
    if container not in _WALKS:
        return None
    try:
        found = path.stat()
        return _walked(path, container, found.st_size, found.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=1)  # Whether it has an end and what else is wrong are two questions.
def _walked(path: Path, container: str, size: int, modified_ns: int) -> str | None:
    try:
        with path.open("rb") as file:
            return _WALKS[container](file, size)
    except (ValueError, OverflowError, IndexError, struct.error):
        return "its structure cannot be read"  # such as a length that no file can have


def _unknown(at: int) -> str:
    return f"what stands at byte {at} is no part of it"


def _walk_webp(file: BinaryIO, size: int) -> str | None:
    content = file.read()
    if (at := webp_damage(content)) is not None:
        return _unknown(at)
    return _CUT if 8 + int.from_bytes(content[4:8], "little") > size else None


def _walk_avi(file: BinaryIO, size: int) -> str | None:
    """The chunks of frames and sounds, which lists hold; files above 1 GB have several."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RIFF" or (head[:4] == b"LIST" and head[8:] in (b"movi", b"rec ")):
            at += 12
            continue
        if not _AVI_CHUNK.fullmatch(head[:4]):
            # Zeros after the last chunk may be reserved for more.
            file.seek(at)
            rest = iter(lambda: file.read(1 << 20), b"")
            return _unknown(at) if any(piece.strip(b"\0") for piece in rest) else None
        at += 8 + (length + 1) // 2 * 2
    return None


# Data and indexes of streams, and others, whose names are words.
_AVI_CHUNK = re.compile(rb"\d\d[a-z]{2}|ix\d\d|[A-Za-z][A-Za-z0-9_ ]{3}")


def _walk_gif(file: BinaryIO, size: int) -> str | None:
    at = gif_damage(file.read())
    return None if at is None else _unknown(at)


def _walk(file: BinaryIO, size: int) -> str | None:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        id_bytes = 9 - head[0].bit_length()
        name = int.from_bytes(head[:id_bytes], "big")
        if name not in _ELEMENTS or len(head) <= id_bytes:
            return _unknown(at)
        size_bytes = 9 - head[id_bytes].bit_length()
        if size_bytes > 8 or len(head) < id_bytes + size_bytes:
            return _CUT
        ones = (1 << 7 * size_bytes) - 1
        length = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ones
        start = at + id_bytes + size_bytes
        if length != ones and start + length > size:
            return _CUT
        at = start if name in _MASTERS or length == ones else start + length
    return None


_MASTERS = {0x18538067, 0x1F43B675}
# Of a file, of a segment and of a cluster (RFC 9559).
_ELEMENTS = _MASTERS | {
    0x1A45DFA3, 0xEC, 0xBF, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770,
    0x1254C367, 0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF,
}  # fmt: skip


def _ends_in_a_packet(start: bytes, size: int) -> bool:
    for length in _TS_PACKETS:
        # In packets of 192 bytes, the sync byte comes after a time of four.
        at = length - 188 if length == 192 else 0
        if len(start) > at + length and start[at] == start[at + length] == _TS_SYNC:
            return size % length != 0
    return False


def _ends_with_a_flv_tag(end: bytes) -> bool:
    """Whether the number after the last tag is its length, which stands at its beginning, too."""
    length = int.from_bytes(end[-4:], "big")
    if length + 4 > len(end):
        return length + 4 > _MOST_AT_END  # a large tag that begins before what was read
    tag = end[-4 - length :]
    return (
        length >= _FLV_HEADER_BYTES
        and int.from_bytes(tag[1:4], "big") == length - _FLV_HEADER_BYTES
    )


def _ends_in_a_y4m_frame(start: bytes, size: int) -> bool:
    """Whether a YUV4MPEG2 file, whose frames have one size, ends within one."""
    header, _, frames = start.partition(b"\n")
    words = {word[:1]: word[1:].decode("ascii", "replace") for word in header.split()[1:]}
    kind = words.get(b"C", "420")
    planes = next((n for name, n in _Y4M_PLANES.items() if kind.startswith(name)), None)
    line = frames.find(b"\n") + 1
    if planes is None or not line or not frames.startswith(b"FRAME"):
        return False
    wide, high = (int(words.get(side, "0")) for side in (b"W", b"H"))
    across, down, chroma = planes
    samples = wide * high + chroma * -(-wide // across) * -(-high // down)
    bytes_each = 2 if _Y4M_DEEP.search(kind) else 1
    return (size - len(header) - 1) % (line + samples * bytes_each) != 0


# How many columns and rows share a sample of color, and how many further planes there are.
_Y4M_PLANES = {
    "420": (2, 2, 2), "422": (2, 1, 2), "411": (4, 1, 2), "444alpha": (1, 1, 3), "444": (1, 1, 2),
    "mono": (1, 1, 0),
}  # fmt: skip
_Y4M_DEEP = re.compile(r"p(9|1\d)|mono\d")


def _walk_ogg(file: BinaryIO, size: int) -> str | None:
    """Pages have numbers and checksums, and FFmpeg leaves out those whose checksums are wrong."""
    at, numbers = 0, dict[bytes, int]()
    while at < size:
        file.seek(at)
        head = file.read(_OGG_HEADER_BYTES + 255)
        if head[:4] != _OGG_PAGE or len(head) < _OGG_HEADER_BYTES:
            return _CUT if _OGG_PAGE.startswith(head[:4]) else _unknown(at)
        lengths = head[_OGG_HEADER_BYTES : _OGG_HEADER_BYTES + head[26]]
        length = _OGG_HEADER_BYTES + head[26] + sum(lengths)
        if at + length > size:
            return _CUT
        file.seek(at)
        page = file.read(length)
        stream, number = page[14:18], int.from_bytes(page[18:22], "little")
        if int.from_bytes(page[22:26], "little") != checksum(page[:22] + bytes(4) + page[26:]):
            return f"the page at byte {at} does not match its checksum"
        if not page[_OGG_FLAGS_AT] & _OGG_FIRST and number != numbers.get(stream, -1) + 1:
            return f"pages are missing before byte {at}"
        numbers[stream] = number
        at += length
    return None


def _walk_asf(file: BinaryIO, size: int) -> str | None:
    """Packets have one size, and the parts of a stream in them are numbered (ASF, section 5)."""
    at, length, is_live = 0, 0, 0
    while True:
        file.seek(at)
        head = file.read(24)
        if len(head) < 24:
            return _CUT
        if head[:16] == _ASF_DATA:
            break
        object_bytes = int.from_bytes(head[16:], "little")
        facts = file.read(_ASF_HEADER_BYTES) if head[:16] == _ASF_HEADER else b""
        properties = facts.find(_ASF_PROPERTIES)
        if properties >= 0:
            flags, length = struct.unpack_from("<II", facts, properties + 88)
            is_live = flags & 1
        at += max(24, object_bytes)
    end = at + int.from_bytes(head[16:], "little")
    first, end = at + 50, size if is_live or end <= at + 50 else end
    if not length:
        return None
    last: dict[int, int] = {}
    for start in range(first, min(end, size) - length + 1, length):
        file.seek(start)
        try:
            parts = _asf_parts(file.read(length))
        except (IndexError, struct.error):
            return _unknown(start)
        for stream, number, period in parts:
            if (number - last.get(stream, number)) % period > 1:
                return f"parts are missing before byte {start}"
            last[stream] = number
    return _CUT if end > size else None


_ASF_HEADER_BYTES = 128 * 1024  # of its beginning, where the properties are
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_LENGTHS = ("0s", "B", "H", "I")


def _asf_parts(packet: bytes) -> list[tuple[int, int, int]]:
    """The stream, the number and the period of numbers of each part in a packet.

    Raises:
        IndexError: it is no packet.
        struct.error: the same.
    """
    at = 1 + (packet[0] & 15) if packet[0] & 0x80 else 0
    if packet[0] & 0x70 or at not in (0, 3):
        raise IndexError
    lengths, properties = packet[at : at + 2]
    if properties & 0xC0 != 0x40:  # stream numbers have one byte
        raise IndexError
    kinds = [lengths >> bit & 3 for bit in (5, 1, 3)]
    at += 2 + struct.calcsize("<" + "".join(_ASF_LENGTHS[kind] for kind in kinds)) + 6
    layout = "<B" + "".join(_ASF_LENGTHS[properties >> bit & 3] for bit in (4, 2, 0))
    number_bytes = struct.calcsize(_ASF_LENGTHS[properties >> 4 & 3])
    count, following = 1, None
    if lengths & 1:
        count, following = packet[at] & 63, "<" + _ASF_LENGTHS[packet[at] >> 6]
        at += 1
    parts = []
    for _ in range(count):
        stream, number, _, repeated = struct.unpack_from(layout, packet, at)
        at += struct.calcsize(layout) + repeated
        if repeated != 1 and number_bytes:  # 1: several small objects, numbered in a row
            parts.append((stream & 127, number, 1 << 8 * number_bytes))
        if following:
            (data,) = struct.unpack_from(following, packet, at)
            at += struct.calcsize(following) + data
        if at > len(packet):
            raise IndexError
    return parts


def _walk_mxf(file: BinaryIO, size: int) -> str | None:
    """Keys, lengths and values; the first one says where the last partition is."""
    head = file.read(1 << 16)
    at, footer = head.find(_MXF_PARTITION), 0
    while 0 <= at < size:
        file.seek(at)
        head = file.read(16 + 9 + 32)
        if not head.startswith(_MXF_KEY):
            # Zeros may fill the space to the next key.
            return _CUT if _MXF_KEY.startswith(head[:4]) else _unknown(at)
        count = head[16] & 0x7F if len(head) > 16 and head[16] & 0x80 else 0
        if len(head) < 17 + count or count > 8:
            return _CUT if len(head) < 17 + count else _unknown(at)
        length = int.from_bytes(head[17 : 17 + count], "big") if count else head[16]
        if head.startswith(_MXF_PARTITION) and len(head) >= 17 + count + 32:
            footer = footer or int.from_bytes(head[17 + count + 24 :][:8], "big")
        at += 17 + count + length
    return _CUT if max(at, footer) > size else None


_MXF_KEY = bytes.fromhex("060e2b34")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d01020101")


def _walk_obu(file: BinaryIO, size: int) -> str | None:
    """The units of raw AV1 with their lengths (AV1 specification, 5.3)."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(10)
        if head[0] & 0x81 or not head[0] & 2:  # the forbidden and reserved bits, and no length
            return None if not at else _unknown(at)  # with lengths before the units (Annex B)
        start = 2 if head[0] & 4 else 1
        count = next((n for n, byte in enumerate(head[start:], 1) if byte < 0x80), 9)
        if count > 8:
            return _unknown(at) if len(head) == 10 else _CUT
        length = sum((byte & 0x7F) << 7 * n for n, byte in enumerate(head[start : start + count]))
        at += start + count + length
    return _CUT if at > size else None


def _walk_dv(file: BinaryIO, size: int) -> str | None:
    """Frames of one size, each of which begins with its header (IEC 61834, SMPTE 370)."""
    head = file.read(512)
    if len(head) < 512:
        return _CUT
    frame = _DV_FRAMES[head[3] >> 7] * _DV_FACTORS.get(head[80 * 5 + 48 + 3] & 31, 1)
    for at in range(0, size, frame):
        file.seek(at)
        if not file.read(2).startswith(head[:2]):
            return _unknown(at)
    return _CUT if size % frame else None


_WALKS = {
    "matroska,webm": _walk, "webp_anim": _walk_webp, "webp_pipe": _walk_webp, "gif": _walk_gif,
    "avi": _walk_avi, "ogg": _walk_ogg, "asf": _walk_asf, "mxf": _walk_mxf, "dv": _walk_dv,
    "obu": _walk_obu,
}  # fmt: skip
