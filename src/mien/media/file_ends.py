"""Files that were cut in containers that announce no length: their end is not one."""

from pathlib import Path

_TS_PACKETS = (188, 192, 204)
_TS_SYNC = 0x47
_GIF_END = b";"
_OGG_PAGE, _OGG_FLAGS_AT, _OGG_LAST = b"OggS", 5, 4
_MOST_AT_END = 128 * 1024  # An Ogg page has up to 64 KiB.


def has_no_end(path: Path, container: str) -> bool:
    """Whether a file ends where its format has no end; False where it is not known.

    A transport stream that was cut between two packets looks whole.

    Args:
        path: of the file.
        container: the name of its format in FFmpeg: ``mpegts``, ``gif`` and ``ogg`` are looked at.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2 * max(_TS_PACKETS))
            size = file.seek(0, 2)
            file.seek(max(0, size - _MOST_AT_END))
            end = file.read()
    except OSError:  # it was read to its end, and may have been deleted since
        return False
    if container == "mpegts":
        return _ends_in_a_packet(start, size)
    if container == "gif":
        # Some programs add zeros after the end.
        return not end.rstrip(b"\0").endswith(_GIF_END)
    if container == "ogg":
        at = end.rfind(_OGG_PAGE) + _OGG_FLAGS_AT
        return at >= _OGG_FLAGS_AT and at < len(end) and not end[at] & _OGG_LAST
    return False


def _ends_in_a_packet(start: bytes, size: int) -> bool:
    for length in _TS_PACKETS:
        # In packets of 192 bytes, the sync byte comes after a time of four.
        at = length - 188 if length == 192 else 0
        if len(start) > at + length and start[at] == start[at + length] == _TS_SYNC:
            return size % length != 0
    return False
