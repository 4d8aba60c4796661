"""Damage in the coded pictures of videos that FFmpeg decodes without a word."""

import re
import zlib

from mien.media.jpeg import END_OF_JPEG
from mien.media.jpeg import has_wrong_data as jpeg_has_wrong_data

# Data of these have few zeros in a row, also for pictures of one color: at most 106 bytes in 60
# clips of nature, patterns, black and white by FFmpeg's encoders.
_BLANK = bytes(256)
_NEVER_BLANK = frozenset((
    "h261", "h263", "flv1", "flv", "wmv1", "wmv2", "wmv3", "msmpeg4v2", "msmpeg4v3", "theora",
    "vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "libaom-av1", "ffv1", "huffyuv",
    "ffvhuff", "utvideo", "magicyuv", "qtrle", "prores", "cfhd", "svq1", "svq3", "snow", "v210",
))  # fmt: skip
# Zeros may fill the space to the next start code of these.
_WITH_START_CODES = frozenset(("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vc1"))
_BLANK_INSIDE = re.compile(rb"\0{256,}[^\0\1]")
# After each slice: its length, and, with checksums, the state of an error and a checksum.
_FFV1_LENGTH, _FFV1_CHECKED = 3, 8
# The kinds of the blocks of 80 bytes in each part of a DV frame (IEC 61834-2): a head, subcodes,
# facts, and sound before 15 blocks of video.
_DV_KINDS = bytes((0, *2 * (0x20,), *3 * (0x40,), *9 * (0x60, *15 * (0x80,))))
_KIND = bytes(byte & 0xE0 for byte in range(256))


def has_wrong_data(packet: bytes, codec: str, container: str, extradata: bytes | None) -> bool:
    """Whether a decoder will make wrong pixels of a packet in silence, as far as that is known.

    Args:
        packet: a coded picture.
        codec, container: their names in FFmpeg.
        extradata: what the container says about all packets.
    """
    if not packet:
        return False
    if codec == "mjpeg":
        is_cut = container == "mjpeg" and not packet.rstrip(b"\0").endswith(END_OF_JPEG)
        return is_cut or jpeg_has_wrong_data(packet)
    if codec in _WITH_START_CODES:
        return _BLANK in packet and _BLANK_INSIDE.search(packet) is not None
    if codec == "dvvideo":
        kinds = packet[::80].translate(_KIND)
        return kinds != _DV_KINDS * (len(kinds) // len(_DV_KINDS))
    if codec == "prores":  # zeros may fill a frame to its size (SMPTE RDD 36)
        packet = packet.rstrip(b"\0")
    is_wrong = codec == "ffv1" and bool(extradata) and not _ffv1_fits(packet)
    return is_wrong or (codec in _NEVER_BLANK and _BLANK in packet)


def _ffv1_fits(packet: bytes) -> bool:
    """Whether slices fill a packet and match their checksums, if they have them (RFC 9043)."""
    slices = _ffv1_slices(packet, _FFV1_CHECKED)
    if slices is None:
        return _ffv1_slices(packet, _FFV1_LENGTH) is not None
    return not any(checksum(packet[start:end]) for start, end in slices)


def _ffv1_slices(packet: bytes, footer: int) -> list[tuple[int, int]] | None:
    """Where slices begin and end, from the last one back; None where the lengths do not fit."""
    end, slices = len(packet), []
    while end >= footer:
        start = end - footer - int.from_bytes(packet[end - footer :][:_FFV1_LENGTH], "big")
        slices.append((start, end))
        end = start
    return slices if end == 0 else None


def checksum(data: bytes) -> int:
    """That of Ogg and FFV1: zlib's with the bits in the reverse order, and other constants."""
    found = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{found:032b}"[::-1], 2)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
