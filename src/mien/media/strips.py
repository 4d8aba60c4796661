"""Damage in the strips and tiles of TIFF files that libtiff passes over."""

import zlib
from typing import IO

from mien.media.jpeg import END_OF_JPEG, has_wrong_data
from mien.media.lzw import LzwCheck, count_packbits
from mien.media.tiff import Directory

_GROUP_3, _GROUP_4, _LZW, _JPEG, _PACKBITS, _DEFLATE = 3, 4, 5, 7, 32773, (8, 32946)
_LOOKED_AT = (_GROUP_3, _GROUP_4, _LZW, _JPEG, _PACKBITS, *_DEFLATE)
# Group 4 has fewer zeros in a row before its end. In Group 3 they may fill lines.
_BLANK_FAX = {_GROUP_3: bytes(64), _GROUP_4: bytes(3)}
_INFLATED = 1 << 20
# Longer strips would take longer to count than to decode.
_MOST_PACKBITS = 1 << 16


def is_damaged(stream: IO[bytes], page: Directory) -> bool:
    """Whether the data of a strip or tile do not fit its size, or do not match their checksum.

    LZW and PackBits have no checksums: a changed value is not found, and the data of large
    pictures are followed in part only. Data of fax and JPEG are
    searched for what no encoder writes.
    """
    if page.compression not in _LOOKED_AT:
        return False
    lzw, left = LzwCheck(), stream.seek(0, 2)
    for index, (offset, length) in enumerate(page.parts):
        left -= length
        if left < 0:  # parts that share their data, maybe very many
            return False
        stream.seek(offset)
        # The last strip may be as large as the others, though the picture ends before.
        sizes = {size for n in (0, index) if (size := page.part_bytes(n)) is not None}
        if not _is_sound(stream.read(length), page.compression, sizes, lzw):
            return True
    return False


def _is_sound(data: bytes, compression: int, sizes: set[int], lzw: LzwCheck) -> bool:
    if compression in _DEFLATE:
        return _inflates(data)
    if compression in _BLANK_FAX:
        return _BLANK_FAX[compression] not in data.rstrip(b"\0")
    if compression == _JPEG:
        return data.rstrip(b"\0").endswith(END_OF_JPEG) and not has_wrong_data(data)
    if not sizes or (compression == _LZW and data[:1] == b"\0"):
        return True  # of old versions, with the bits in the other order
    if compression == _LZW:
        return lzw.fits(data, 8, sizes, is_tiff=True)
    return len(data) > _MOST_PACKBITS or count_packbits(data) in sizes


def _inflates(data: bytes) -> bool:
    inflate = zlib.decompressobj()
    try:
        while data and not inflate.eof:
            inflate.decompress(data, _INFLATED)
            data = inflate.unconsumed_tail
    except zlib.error:
        return False
    return inflate.eof
