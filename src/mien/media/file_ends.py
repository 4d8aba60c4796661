"""Files that were cut in containers that announce no length: their end is not one."""

from pathlib import Path
from typing import BinaryIO

_TS_PACKETS = (188, 192, 204)
_TS_SYNC = 0x47
_GIF_END = b";"
_OGG_PAGE, _OGG_FLAGS_AT, _OGG_LAST = b"OggS", 5, 4
_JPEG_END = b"\xff\xd9"
_DV_FRAMES = (120_000, 144_000)  # of 525 and 625 lines
_MOST_AT_END = 128 * 1024  # An Ogg page has up to 64 KiB.


def has_no_end(path: Path, container: str) -> bool:
    """Whether a file ends where its format has no end; False where it is not known.

    A transport stream that was cut between two packets looks whole.

    Args:
        path: of the file.
        container: the name of its format in FFmpeg: ``mpegts``, ``gif``, ``ogg``, ``mjpeg``,
            ``jpeg_pipe``, ``dv`` and ``matroska,webm`` are looked at.
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
        "mpegts": _ends_in_a_packet(start, size),
        "gif": not written.endswith(_GIF_END),
        "ogg": _OGG_FLAGS_AT <= page < len(end) and not end[page] & _OGG_LAST,
        "mjpeg": not written.endswith(_JPEG_END),
        "jpeg_pipe": not written.endswith(_JPEG_END),
        "dv": all(size % frame for frame in _DV_FRAMES),
    }.get(container, damage_of(path, container) == _CUT)


_CUT = "an element is longer than the file"


def damage_of(path: Path, container: str) -> str | None:
    """What is wrong with the elements of a Matroska or WebM file (RFC 8794), which may lose frames.

    FFmpeg looks for the next ones that it knows, and does not say what it left out.
    """
    if "matroska" not in container:
        return None
    try:
        with path.open("rb") as file:
            return _walk(file, path.stat().st_size)
    except OSError:
        return None


def _walk(file: BinaryIO, size: int) -> str | None:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        id_bytes = 9 - head[0].bit_length()
        name = int.from_bytes(head[:id_bytes], "big")
        if name not in _ELEMENTS or len(head) <= id_bytes:
            return f"what stands at byte {at} is no part of it"
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
