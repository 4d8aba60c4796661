"""Large PNG files, decoded in bands of rows when parts of them are needed.

The states of the decompressor at the beginning of each band are kept, so a band is decoded without
those above it. Filters (PNG, section 9) are undone by Pillow, which gets a band as a small file.
"""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from mien import imaging
from mien.errors import ImageReadError
from mien.imaging import LargeImage
from mien.media.pixels import clear_share, pixels_of
from mien.types import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIECE_BYTES = 1 << 16
_BAND_ROWS = 256
_CACHED_BANDS = 8
# Twice the rows of a tile, which are decoded together, take at most this memory.
_MAX_WIDTH = 40_000
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# A container with as many bytes for each pixel, which decides how filters are undone.
_CONTAINERS = {1: 0, 2: 4, 3: 2, 4: 6}
_KEPT = (b"PLTE", b"tRNS")


def lacks_rows(content: bytes) -> bool:
    """Whether the compressed data of a PNG file end before its last row, although they are whole.

    Decoders leave such rows black without an error. Interlaced files are not looked at.
    """
    width, height, depth, interlaced, there = _decompressed(content)
    return not interlaced and there < height * ((width * depth + 7) // 8 + 1)


def is_damaged(content: bytes) -> bool:
    """Whether compressed data of a PNG file differ from their checksums.

    Pillow does not compare them, and damaged data may be decoded to wrong rows without an error.
    """
    view, at = memoryview(content), len(_SIGNATURE)
    for kind, body in _chunks(view):
        end = at + 8 + len(body)
        if kind == b"IDAT" and zlib.crc32(view[at + 4 : end]) != int.from_bytes(
            view[end : end + 4]
        ):
            return True
        at = end + 4
    return False


def whole_passes(content: bytes) -> tuple[int, int]:
    """The steps of rows and columns whose pixels an interlaced PNG file has, which may be cut.

    Zeros where it does not even have its first pass (PNG, section 8).
    """
    width, height, depth, _, there = _decompressed(content)
    steps = 0, 0
    for (top, left, down, right), complete in zip(_PASSES, _STEPS_AFTER, strict=True):
        wide, high = -(-(width - left) // right), -(-(height - top) // down)
        if wide > 0 and high > 0:
            there -= high * ((wide * depth + 7) // 8 + 1)
        if there < 0:
            break
        steps = complete
    return steps


_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
)  # fmt: skip
_STEPS_AFTER = ((8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1), (1, 1))


def _decompressed(content: bytes) -> tuple[int, int, int, bool, int]:
    """Width, height, bits of a pixel, whether it is interlaced, and the bytes that are there."""
    width = height = depth = there = 0
    interlaced, decompressor = False, zlib.decompressobj()
    with contextlib.suppress(ImageReadError, zlib.error):
        for kind, body in _chunks(memoryview(content)):
            if kind == b"IHDR":
                width, height, bits, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
                depth = bits * _SAMPLES.get(color, 0)
            for at in range(0, len(body) if kind == b"IDAT" else 0, _PIECE_BYTES):
                there += len(decompressor.decompress(body[at : at + _PIECE_BYTES]))
    return width, height, depth, bool(interlaced), there


class PngBands(LargeImage):
    """A PNG image in memory.

    :meth:`prepare` comes before :meth:`part`; both, and :meth:`whole`, raise any error for a
    damaged file.

    Args:
        content: the bytes of the file.

    Attributes:
        clear_share: the share of pixels that are less than half opaque, once all were decoded.

    Raises:
        ImageReadError: it is interlaced, has 16 bits, is turned by its metadata,
            or is damaged; it may be readable as a whole.
    """

    def __init__(self, content: bytes) -> None:
        if content[:8] != _SIGNATURE:
            raise ImageReadError("no PNG image")
        pieces: list[memoryview] = []
        self._kept = b""
        header = b""
        for kind, body in _chunks(memoryview(content)):
            if kind == b"IHDR":
                header = bytes(body)
            elif kind == b"IDAT":
                pieces += [body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES)]
            elif kind in _KEPT:
                self._kept += _chunk(kind, body)
            elif kind in (b"eXIf", b"acTL"):
                raise ImageReadError("a PNG image that is turned or animated")
        if len(header) != 13:
            raise ImageReadError("a PNG image without a header")
        width, height, bits, self._kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
        if interlaced or bits > 8 or not 0 < width <= _MAX_WIDTH or self._kind not in _SAMPLES:
            raise ImageReadError("a PNG image that is decoded as a whole")
        if self._kind == 0 and bits in (2, 4) and self._kept:
            raise ImageReadError("a PNG image whose clear level Pillow misreads")
        self._bits = bits
        depth = bits * _SAMPLES[self._kind]
        self._pixel_bytes = max(1, depth // 8)
        self._row_bytes = (width * depth + 7) // 8
        self.shape = (height, width, 3)
        self.clear_share = 0.0
        self._pieces = pieces
        self._states: list[tuple[_Rows, bytes]] = []
        self._cached: dict[int, Image] = {}

    def part(
        self, left: int, top: int, right: int, bottom: int, *, shrink: float = 1.0
    ) -> tuple[Image, int]:
        """See :meth:`mien.imaging.LargeImage.part`."""
        if shrink >= self.factor:
            return self.reduced_part(left, top, right, bottom)
        image = np.empty((bottom - top, right - left, 3), np.uint8)
        for number in range(top // _BAND_ROWS, (bottom - 1) // _BAND_ROWS + 1):
            start = number * _BAND_ROWS
            first, last = max(top, start), min(bottom, start + _BAND_ROWS)
            band = self._band(number)
            image[first - top : last - top] = band[first - start : last - start, left:right]
        return image, 1

    def whole(self) -> Image:
        """All pixels, each band decoded once."""
        image = np.empty(self.shape, np.uint8)
        for start, band, _, _ in self._in_order():
            image[start : start + len(band)] = band
        return image

    def prepare(self) -> None:
        """Decode everything once: note the state at each band, and make the reduced picture."""
        (height, width), f = self.shape[:2], self.factor
        self.small = np.empty((max(1, height // f), max(1, width // f), 3), np.uint8)
        for start, band, rows, above in self._in_order():
            self._states.append((rows, above))
            to = self.small[start // f : (start + _BAND_ROWS) // f]
            if len(to):
                to[...] = imaging.resize(
                    band[: len(to) * f, : width // f * f or 1], to.shape[1::-1]
                )

    def close(self) -> None:
        """See :meth:`mien.imaging.LargeImage.close`."""
        super().close()
        self._pieces, self._states, self._cached = [], [], {}

    def _in_order(self) -> Iterator[tuple[int, Image, "_Rows", bytes]]:
        """The first row of each band, its pixels, the state before it and the row above it."""
        rows, above = _Rows(self._pieces), b""
        self.clear_share = 0.0
        for start in range(0, self.shape[0], _BAND_ROWS):
            before = rows.copy()
            raw = self._raw_band(rows, above, min(_BAND_ROWS, self.shape[0] - start))
            picture = self._picture(raw)
            if picture is not None:
                self.clear_share += clear_share(picture) * len(raw) / self.shape[0]
            yield start, self._as_rgb(raw, picture), before, above
            above = raw[-1].tobytes()

    def _band(self, number: int) -> Image:
        if number not in self._cached:
            rows, above = self._states[number]
            count = min(_BAND_ROWS, self.shape[0] - number * _BAND_ROWS)
            if len(self._cached) >= _CACHED_BANDS:
                del self._cached[next(iter(self._cached))]
            raw = self._raw_band(rows.copy(), above, count)
            self._cached[number] = self._as_rgb(raw, self._picture(raw))
        return self._cached[number]

    def _raw_band(self, rows: "_Rows", above: bytes, count: int) -> npt.NDArray[np.uint8]:
        """The bytes of rows without filters, ``(count, bytes of a row)``."""
        filtered = rows.read(count * (self._row_bytes + 1))
        if above:
            filtered = b"\0" + above + filtered
        wide, kind = self._row_bytes // self._pixel_bytes, _CONTAINERS[self._pixel_bytes]
        high = count + bool(above)
        picture = _decoded(_header(wide, high, 8, kind), b"", filtered)
        raw = np.asarray(picture).reshape(high, self._row_bytes)
        return raw[high - count :]

    def _picture(self, raw: npt.NDArray[np.uint8]) -> PillowImage.Image | None:
        """Rows as Pillow reads them; None where they are RGB already, without transparency."""
        if self._kind == 2 and not self._kept:
            return None
        unfiltered = np.insert(raw, 0, 0, axis=1).tobytes()
        header = _header(self.shape[1], len(raw), self._bits, self._kind)
        return _decoded(header, self._kept, unfiltered)

    def _as_rgb(self, raw: npt.NDArray[np.uint8], picture: PillowImage.Image | None) -> Image:
        if picture is None:
            return raw.reshape(len(raw), self.shape[1], 3)
        return pixels_of(picture, [])


class _Rows:
    """A stream of decompressed bytes that can be copied at any place."""

    def __init__(self, pieces: list[memoryview]) -> None:
        self._pieces = pieces
        self._next = 0
        self._state = zlib.decompressobj()

    def copy(self) -> "_Rows":
        other = _Rows(self._pieces)
        other._next, other._state = self._next, self._state.copy()
        return other

    def read(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            waiting: Any = self._state.unconsumed_tail
            if not waiting:
                if self._next == len(self._pieces):
                    raise ImageReadError("a PNG image that is truncated")
                waiting = self._pieces[self._next]
                self._next += 1
            parts.append(self._state.decompress(waiting, count))
            count -= len(parts[-1])
        return b"".join(parts)


def _chunks(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = len(_SIGNATURE)
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + length]
        yield kind, body
        at += 12 + length
    if at != len(content) and kind != b"IEND":
        raise ImageReadError("a PNG image that is truncated")


def _chunk(kind: bytes, body: bytes | memoryview) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(
        ">I", zlib.crc32(body, zlib.crc32(kind))
    )  # fmt: skip


def _header(width: int, height: int, bits: int, kind: int) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))


def _decoded(header: bytes, kept: bytes, rows: bytes) -> PillowImage.Image:
    data = _chunk(b"IDAT", zlib.compress(rows, 0))
    picture = PngImagePlugin.PngImageFile(io.BytesIO(b"".join((_SIGNATURE, header, kept, data))))
    picture.load()
    return picture
