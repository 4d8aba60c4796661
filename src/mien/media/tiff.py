"""TIFF: the directories of a file, and the pixel types that Pillow rejects or misreads.

Camera raw files are mostly TIFF files, too; see :mod:`mien.media.raw`.
"""

import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import ImageReadError
from mien.media.opencv_log import SILENT, opencv_log
from mien.media.pixels import say_clear_share, to_levels
from mien.types import Image

_LAYOUTS = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q"}
_LAYOUTS[18] = "Q"
_MAX_DIRECTORIES, _MAX_VALUES = 256, 1 << 20

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS, _COUNTS = 273, 274, 277, 278, 279
_PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT = 284, 317, 322, 323
_TILE_OFFSETS, _TILE_COUNTS, _CHILDREN, _EXTRA, _FORMAT = 324, 325, 330, 338, 339
_DNG_VERSION = 50706
_WANTED = frozenset({
    _SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _ORIENTATION, _SAMPLES,
    _ROWS, _COUNTS, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS,
    _CHILDREN, _EXTRA, _FORMAT, _DNG_VERSION,
})  # fmt: skip
_COMPRESSIONS = {
    1: "no", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate",
    32773: "PackBits", 32946: "deflate", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard",
    34887: "LERC", 34933: "PNG", 34934: "JPEG XR", 50001: "WebP", 50002: "JPEG XL",
}  # fmt: skip
_DEFLATE = (8, 32946)
_RARE = (34925, 50000, 50001)
# OpenCV makes others black.
_COMPRESSIONS_OF_OPENCV = (1, 5, 7, *_DEFLATE, 32773)
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_PHOTOMETRICS_OF_PILLOW = (0, 1, 2, 3, 5, 6, 8)


class _UnsupportedTiffError(ImageReadError):
    """A variant of TIFF that cannot be read."""


@dataclass(frozen=True, slots=True)
class Directory:
    """An image file directory (TIFF 6.0, section 2).

    Attributes:
        tags: the values of its tags, those that matter here.
        order: ``"<"`` or ``">"``, the byte order of the file.
        big: whether offsets have 64 bits (BigTIFF).
        page: position in the chain of pages; None for a directory below another one.
    """

    tags: Mapping[int, tuple[int, ...]]
    order: str
    big: bool
    page: int | None

    def get(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        return (self.tags.get(tag) or (default,))[0]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels; zeros if they are not given."""
        return self.get(_WIDTH), self.get(_HEIGHT)

    @property
    def photometric(self) -> int:
        """The color space by its number in TIFF."""
        return self.get(_PHOTOMETRIC, 1)

    @property
    def orientation(self) -> int:
        """As in EXIF; 1 is upright."""
        return self.get(_ORIENTATION, 1)

    @property
    def bits(self) -> int:
        """Bits of each sample; 0 if they differ."""
        bits = set(self.tags.get(_BITS) or (1,))
        return bits.pop() if len(bits) == 1 else 0

    @property
    def is_reduced(self) -> bool:
        """Whether this is a thumbnail or a mask of another page."""
        return bool(self.get(_SUBFILE) & 0b101)

    @property
    def is_raw(self) -> bool:
        """Whether the pixels are those of a camera's sensor, not of a picture."""
        return self.photometric in (32803, 34892)

    @property
    def is_dng(self) -> bool:
        """Whether this is the first directory of a Digital Negative."""
        return _DNG_VERSION in self.tags

    @property
    def _kind(self) -> str:
        kinds = {_KINDS.get(value, "") for value in self.tags.get(_FORMAT) or (1,)}
        return kinds.pop() if len(kinds) == 1 else ""

    @property
    def compression(self) -> int:
        """Of the pixels, by its number in TIFF."""
        return self.get(_COMPRESSION, 1)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The offset and the length of each strip or tile in the file."""
        tiled = _TILE_OFFSETS in self.tags
        offsets = self.tags.get(_TILE_OFFSETS if tiled else _OFFSETS, ())
        return list(
            zip(offsets, self.tags.get(_TILE_COUNTS if tiled else _COUNTS, ()), strict=False)
        )

    def part_bytes(self, index: int) -> int | None:
        """The size of a strip or tile without compression; None where it is not known."""
        (width, height), tiled = self.size_wh, _TILE_OFFSETS in self.tags
        rows = self.get(_TILE_HEIGHT) if tiled else min(height, self.get(_ROWS, height))
        if rows < 1 or not self.bits or self.photometric == 6:
            return None
        depth = 1 if self.get(_PLANAR, 1) == 2 else self.get(_SAMPLES, 1)
        if not tiled:
            rows = min(rows, height - rows * (index % math.ceil(height / rows)))
        return rows * (((self.get(_TILE_WIDTH) if tiled else width) * depth * self.bits + 7) // 8)

    @property
    def pillow_reads(self) -> bool:
        """Whether Pillow reads such pixels right, if it reads them at all."""
        plain = self._kind == "u" and self.photometric in _PHOTOMETRICS_OF_PILLOW
        planar = self.get(_PLANAR, 1) == 2
        if self.big and self.order == ">":
            return False
        # It does not invert 16 bits from white to black.
        deep = self.bits in (12, 16) and not planar and self.photometric != 0
        return plain and (self.bits <= 8 or deep)

    @property
    def has_rare_compression(self) -> bool:
        """Whether libraries may lack the compression of the pixels."""
        return self.get(_COMPRESSION, 1) in _RARE

    def __str__(self) -> str:
        kind = {"u": "unsigned", "i": "signed", "f": "float"}.get(self._kind, "mixed")
        compression = self.get(_COMPRESSION, 1)
        return (
            f"TIFF with {self.get(_SAMPLES, 1)} × {self.bits or 'mixed'} bits ({kind}), "
            f"{'planar, ' if self.get(_PLANAR, 1) == 2 else ''}photometric {self.photometric}, "
            f"{_COMPRESSIONS.get(compression, f'unknown ({compression})')} compression"
        )


def read_directories(stream: IO[bytes]) -> list[Directory]:
    """All directories of a TIFF file or of one of its relatives, as far as they can be read."""
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    found: list[Directory] = []
    try:
        (first,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
        queue, seen = [(first, 0)], set()
        while queue and len(found) < _MAX_DIRECTORIES:
            offset, page = queue.pop(0)
            if offset == 0 or offset in seen:
                continue
            seen.add(offset)
            tags, following = _read_directory(stream, offset, order, big)
            found.append(Directory(tags, order, big, page if page >= 0 else None))
            queue += [(child, -1) for child in tags.get(_CHILDREN, ())]
            if page >= 0:
                queue.insert(0, (following, page + 1))
    except (struct.error, OverflowError, ValueError):
        pass
    return found


def _read_directory(
    stream: IO[bytes], offset: int, order: str, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    count_layout, entry_layout, offset_layout = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    stream.seek(offset)
    (count,) = _unpack(stream, order + count_layout)
    entries = [_unpack(stream, order + entry_layout) for _ in range(min(count, 4096))]
    following = stream.read(struct.calcsize(order + offset_layout))
    tags = {}
    for tag, kind, length, field in entries:
        if tag not in _WANTED or kind not in _LAYOUTS or not 0 < length <= _MAX_VALUES:
            continue
        layout = f"{order}{length}{_LAYOUTS[kind]}"
        size, data = struct.calcsize(layout), field
        if size > len(field):
            stream.seek(struct.unpack(order + offset_layout, field)[0])
            data = stream.read(size)
        if len(data) >= size:
            tags[tag] = struct.unpack_from(layout, data)
    whole = len(following) == struct.calcsize(order + offset_layout)
    return tags, struct.unpack(order + offset_layout, following)[0] if whole else 0


def _unpack(stream: IO[bytes], layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def read_page(stream: IO[bytes], page: Directory, warnings: list[str]) -> Image:
    """Read the pixels of a page in any type of number, without applying its orientation.

    Args:
        stream: the file.
        page: one of its directories.
        warnings: what was assumed is added here.

    Returns:
        ``(H, W)`` gray or ``(H, W, 3)`` RGB uint8.

    Raises:
        _UnsupportedTiffError: a variant that cannot be read.
        ImageReadError: the file is damaged.
    """
    try:
        values = _read_samples(stream, page)
    except _UnsupportedTiffError:
        values = _read_with_opencv(stream, page)
    samples = values.shape[2]
    colors = {0: 1, 1: 1, 2: 3}.get(page.photometric, 0)
    if not colors or samples < colors:
        raise _unsupported(page)
    alpha = _opacity(values[:, :, colors], page) if samples > colors else None
    ignored = samples - colors - (alpha is not None)
    if ignored:
        warnings.append(f"{ignored} of {samples} channels were ignored")
    levels = to_levels(values[:, :, :colors], warnings)
    if page.photometric == 0:
        levels = 255 - levels
    if alpha is not None:
        levels = _on_white(levels, alpha, premultiplied=page.get(_EXTRA) == 1)
        say_clear_share(float((alpha < 0.5).mean()), warnings)
    return levels[:, :, 0] if colors == 1 else levels


def _opacity(values: npt.NDArray[Any], page: Directory) -> npt.NDArray[np.float32] | None:
    """The first channel after the colors in 0..1, if it is one of transparency."""
    if page.get(_EXTRA) not in (1, 2):
        return None
    top = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    shares: npt.NDArray[np.float32] = values.astype(np.float32) / np.float32(top)
    return np.clip(shares, 0, 1)[:, :, None]


def _on_white(levels: Image, alpha: npt.NDArray[np.float32], *, premultiplied: bool) -> Image:
    shown = levels if premultiplied else levels * alpha
    return np.asarray(np.clip(shown + 255 * (1 - alpha) + 0.5, 0, 255), np.uint8)


def _unsupported(page: Directory) -> _UnsupportedTiffError:
    return _UnsupportedTiffError(f"not supported: {page}; save it as a PNG or a TIFF of 8 bits")


def _read_samples(stream: IO[bytes], page: Directory) -> npt.NDArray[Any]:
    """Strips and tiles without compression or with deflate, in any type of number."""
    (width, height), samples = page.size_wh, page.get(_SAMPLES, 1)
    kind, size = page._kind, page.bits // 8
    predictor, compression = page.get(_PREDICTOR, 1), page.get(_COMPRESSION, 1)
    known = compression in (1, *_DEFLATE) and predictor in ((1, 3) if kind == "f" else (1, 2))
    if not known or page.bits % 8 or f"{kind}{size}" not in _DTYPES:
        raise _unsupported(page)
    dtype = np.dtype(f"{page.order}{kind}{size}")
    planar = page.get(_PLANAR, 1) == 2
    depth = 1 if planar else samples
    tiled = _TILE_OFFSETS in page.tags
    wide = page.get(_TILE_WIDTH) if tiled else width
    high = page.get(_TILE_HEIGHT) if tiled else min(height, page.get(_ROWS, height) or height)
    offsets = page.tags.get(_TILE_OFFSETS if tiled else _OFFSETS, ())
    counts = page.tags.get(_TILE_COUNTS if tiled else _COUNTS, ())
    if min(wide, high, samples) < 1:
        raise ImageReadError("the image is damaged: its tiles are empty")
    across, down = math.ceil(width / wide), math.ceil(height / high)
    parts = across * down * (samples if planar else 1)
    if min(len(offsets), len(counts)) < parts:
        raise ImageReadError("the image is damaged: strips or tiles are missing")
    values = np.zeros((height, width, samples), dtype.newbyteorder("="))
    for index in range(parts):
        plane, place = divmod(index, across * down)
        row, column = high * (place // across), wide * (place % across)
        rows = high if tiled else min(high, height - row)
        need = rows * wide * depth * size
        stream.seek(offsets[index])
        data = stream.read(min(counts[index], max(need, 1) * 2 + 1024))
        if compression in _DEFLATE:
            data = zlib.decompressobj().decompress(data, need)
        if len(data) < need:
            raise ImageReadError("the image is damaged: a strip or tile is too short")
        part = _undo_predictor(data[:need], (rows, wide, depth), dtype, predictor)
        channels = slice(plane, plane + 1) if planar else slice(None)
        target = values[row : row + rows, column : column + wide, channels]
        target[...] = part[: target.shape[0], : target.shape[1]]
    return values


_DTYPES = {"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"}


def _undo_predictor(
    data: bytes, shape: tuple[int, int, int], dtype: np.dtype[Any], predictor: int
) -> npt.NDArray[Any]:
    """The numbers behind differences along rows (TIFF 6.0, section 14; Technical Note 3)."""
    rows, wide, depth = shape
    if predictor == 3:
        steps = np.frombuffer(data, np.uint8).reshape(rows, -1, depth)
        sums = steps.cumsum(axis=1, dtype=np.uint8).reshape(rows, dtype.itemsize, wide * depth)
        whole = np.ascontiguousarray(sums.transpose(0, 2, 1))
        return whole.view(dtype.newbyteorder(">")).reshape(shape)
    values = np.frombuffer(data, dtype).reshape(shape)
    if predictor == 2:
        return values.cumsum(axis=1, dtype=dtype.newbyteorder("="))
    return values


def _read_with_opencv(stream: IO[bytes], page: Directory) -> npt.NDArray[Any]:
    """Pixels in other compressions. OpenCV reads the first page, and planar pixels one by one."""
    if page.get(_COMPRESSION, 1) not in _COMPRESSIONS_OF_OPENCV or page.photometric == 0:
        raise _unsupported(page)
    samples = page.get(_SAMPLES, 1)
    if page.get(_PLANAR, 1) == 2 or samples == 1:
        planes = [_plane_as_file(stream, page, index) for index in range(samples)]
        return np.dstack([_decoded(plane, page, 1) for plane in planes])
    if page.page != 0 or page.orientation != 1:  # it turns the pixels
        raise _unsupported(page)
    stream.seek(0)
    values = _decoded(stream.read(), page, samples)
    return values[:, :, [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] >= 3 else values


def _decoded(content: bytes, page: Directory, samples: int) -> npt.NDArray[Any]:
    with opencv_log(SILENT):
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.shape[1::-1] != page.size_wh:
        raise _unsupported(page)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.shape[2] != samples or 8 * values.itemsize != page.bits:
        raise _unsupported(page)
    if values.dtype.kind in "ui":
        values = values.view(f"{page._kind}{values.itemsize}")
    return values


def _plane_as_file(stream: IO[bytes], page: Directory, index: int) -> bytes:
    """A gray TIFF file with one of the planes, whose strips or tiles are copied."""
    tiled = _TILE_OFFSETS in page.tags
    places, lengths = (_TILE_OFFSETS, _TILE_COUNTS) if tiled else (_OFFSETS, _COUNTS)
    parts = len(page.tags.get(places, ())) // page.get(_SAMPLES, 1)
    chosen = slice(parts * index, parts * (index + 1))
    offsets, counts = (page.tags.get(tag, ())[chosen] for tag in (places, lengths))
    data = []
    for offset, count in zip(offsets, counts, strict=True):
        stream.seek(offset)
        data.append(stream.read(count).ljust(min(count, 16), b"\0"))
    starts = list(accumulate(map(len, data), initial=8))
    tags = {tag: page.get(tag) for tag in _OF_PLANE if tag in page.tags}
    tags |= {_BITS: page.bits, _PHOTOMETRIC: 1, _SAMPLES: 1, _PLANAR: 1}
    if page.bits == 16:  # OpenCV reads fractions of 16 bits as integers only
        tags[_FORMAT] = 1
    entries: dict[int, tuple[int, ...]] = {tag: (value,) for tag, value in tags.items()}
    entries |= {places: tuple(starts[:-1]), lengths: tuple(map(len, data))}
    order, at = page.order, starts[-1] + starts[-1] % 2
    beyond = at + 2 + 12 * len(entries) + 4
    directory, arrays = struct.pack(order + "H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, arrays = struct.pack(order + "I", beyond + len(arrays)), arrays + packed
        directory += struct.pack(order + "HHI", tag, 4, len(values)) + packed
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return b"".join((head, *data)).ljust(at, b"\0") + directory + bytes(4) + arrays


_OF_PLANE = (
    _WIDTH, _HEIGHT, _COMPRESSION, _ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _FORMAT,
)  # fmt: skip
