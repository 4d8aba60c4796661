"""Video files that were cut or lost a part, where FFmpeg does not say so: by their structure."""

import re
from pathlib import Path
from typing import BinaryIO

_TS_PACKETS = (188, 192, 204)
_TS_SYNC = 0x47
_GIF_END = b";"
_OGG_PAGE, _OGG_FLAGS_AT, _OGG_LAST = b"OggS", 5, 4
_JPEG_END = b"\xff\xd9"
_DV_FRAMES = (120_000, 144_000)  # of 525 and 625 lines
_MPEG_SECTOR = 2048
_MOST_AT_END = 128 * 1024  # An Ogg page has up to 64 KiB.


def has_no_end(path: Path, container: str) -> bool:
    """Whether a file ends where its format has no end; False where it is not known.

    A transport stream that was cut between two packets looks whole.

    Args:
        path: of the file.
        container: the name of its format in FFmpeg: ``mpegts``, ``mpeg``, ``gif``, ``ogg``,
            ``mjpeg``, ``jpeg_pipe``, ``dv``, ``yuv4mpegpipe``, ``webp_anim`` and ``matroska,webm``
            are looked at.
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
        "mjpeg": not written.endswith(_JPEG_END),
        "jpeg_pipe": not written.endswith(_JPEG_END),
        "dv": all(size % frame for frame in _DV_FRAMES),
    }.get(container, damage_of(path, container) == _CUT)


_CUT = "an element is longer than the file"


def damage_of(path: Path, container: str) -> str | None:
    """What is wrong with the elements of a Matroska, WebM (RFC 8794), AVI, WebP or GIF file.

    FFmpeg looks for the next ones that it knows, or stops there, and does not say what it left out.
    """
    walks = {"matroska,webm": _walk, "webp_anim": _walk_webp, "webp_pipe": _walk_webp}
    walk = (walks | {"gif": _walk_gif, "avi": _walk_avi}).get(container)
    if walk is None:
        return None
    try:
        with path.open("rb") as file:
            return walk(file, path.stat().st_size)
    except OSError:
        return None


def _unknown(at: int) -> str:
    return f"what stands at byte {at} is no part of it"


def _walk_webp(file: BinaryIO, size: int) -> str | None:
    file.seek(4)
    at, end = 12, 8 + int.from_bytes(file.read(4), "little")
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        if head[:4] not in _WEBP_CHUNKS:
            return _unknown(at)
        at += 8 + (int.from_bytes(head[4:], "little") + 1) // 2 * 2
    return _CUT if max(at, end) > size else None


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
    data = file.read()
    at = 13 + _palette_bytes(data, 10)
    while at < size and data[at : at + 1] != _GIF_END:
        if data[at : at + 1] == b"!":
            at += 2
        elif data[at : at + 1] == b",":
            at += 11 + _palette_bytes(data, at + 9)
        else:
            return _unknown(at)
        while at < size and data[at]:
            at += data[at] + 1
        at += 1
    return None


def _palette_bytes(data: bytes, at: int) -> int:
    """The size of a palette by the flags before it."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


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


_WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"XMP "}
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
