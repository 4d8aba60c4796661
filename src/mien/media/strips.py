"""Damage in the strips and tiles of TIFF files that libtiff passes over."""

import zlib
from typing import IO

from mien.media.jpeg import END_OF_JPEG, has_wrong_data
from mien.media.lzw import count_lzw, count_packbits
from mien.media.tiff import Directory

_GROUP_3, _GROUP_4, _LZW, _JPEG, _PACKBITS, _DEFLATE = 3, 4, 5, 7, 32773, (8, 32946)
_LOOKED_AT = (_GROUP_3, _GROUP_4, _LZW, _JPEG, _PACKBITS, *_DEFLATE)
# Group 4 has fewer zeros in a row before its end. In Group 3 they may fill lines.
_BLANK_FAX = {_GROUP_3: bytes(64), _GROUP_4: bytes(3)}
_INFLATED = 1 << 20


def is_damaged(stream: IO[bytes], page: Directory) -> bool:
    """Whether the data of a strip or tile do not fit its size, or do not match their checksum.

    LZW and PackBits have no checksums: a changed value is not found. Data of fax and JPEG are
    searched for what no encoder writes.
    """
    if page.compression not in _LOOKED_AT:
        return False
    for index, (offset, length) in enumerate(page.parts):
        stream.seek(offset)
        if not _is_sound(stream.read(length), page.compression, page.part_bytes(index)):
            return True
    return False


def _is_sound(data: bytes, compression: int, size: int | None) -> bool:
    if compression in _DEFLATE:
        return _inflates(data)
    if compression in _BLANK_FAX:
        return _BLANK_FAX[compression] not in data.rstrip(b"\0")
    if compression == _JPEG:
        return data.rstrip(b"\0").endswith(END_OF_JPEG) and not has_wrong_data(data)
    if size is None or (compression == _LZW and data[:1] == b"\0"):
        return True  # of old versions, with the bits in the other order
    count = count_lzw(data, 8, is_tiff=True) if compression == _LZW else count_packbits(data)
    return count == size


def _inflates(data: bytes) -> bool:
    inflate = zlib.decompressobj()
    try:
        while data and not inflate.eof:
            inflate.decompress(data, _INFLATED)
            data = inflate.unconsumed_tail
    except zlib.error:
        return False
    return inflate.eof
