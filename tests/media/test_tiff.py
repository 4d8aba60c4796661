"""TIFF: every combination of number type, layout and compression is read right or rejected."""

import io
import struct
import zlib
from itertools import product
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from mien.errors import ImageReadError
from mien.media.images import decode_image, read_image

TYPES = {"B": 1, "H": 3, "I": 4, "Q": 16}


def picture(height: int = 24, width: int = 40) -> npt.NDArray[np.uint8]:
    """Gradients in two directions, so that misplaced rows, columns and channels are detected."""
    y, x = np.mgrid[:height, :width]
    channels = (x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 3 % 256)
    return np.stack(channels, axis=2).astype(np.uint8)


def gray() -> npt.NDArray[np.uint8]:
    return picture()[:, :, 0]


def scaled(levels: npt.NDArray[np.uint8], dtype: str, top: float) -> npt.NDArray[Any]:
    """Levels of 8 bits as numbers from 0 to `top`."""
    if np.dtype(dtype).kind == "f":
        return (levels * (top / 255)).astype(dtype)
    return np.asarray(levels.astype(dtype) * np.array(int(top) // 255, dtype))


def tiff(
    values: npt.NDArray[Any],
    *,
    order: Literal["<", ">"] = "<",
    big: bool = False,
    planar: bool = False,
    tile: int = 0,
    rows: int = 10,
    deflate: bool = False,
    lzw: bool = False,
    predictor: int = 1,
    tags: dict[int, tuple[str, list[int]]] | None = None,
) -> bytes:
    """A TIFF file with one page, written by the specification (TIFF 6.0)."""
    values = values if values.ndim == 3 else values[:, :, None]
    height, width, samples = values.shape
    stored = values.astype(values.dtype.newbyteorder(order))
    planes = [stored[:, :, [i]] for i in range(samples)] if planar else [stored]
    parts = []
    for plane in planes:
        if tile:
            padding = ((0, -height % tile), (0, -width % tile), (0, 0))
            padded = np.pad(plane, padding)
            for top in range(0, padded.shape[0], tile):
                for left in range(0, padded.shape[1], tile):
                    parts.append(padded[top : top + tile, left : left + tile])
        else:
            parts += [plane[top : top + rows] for top in range(0, height, rows)]
    data = []
    for part in parts:
        content = part.tobytes()
        if predictor == 2:
            first = part[:, :1]
            differences = np.diff(part.astype(part.dtype.newbyteorder("=")), axis=1)
            content = np.concatenate([first, differences.astype(part.dtype)], axis=1).tobytes()
        elif predictor == 3:
            most_significant = part.astype(part.dtype.newbyteorder(">"))
            high, wide, depth = part.shape
            split = np.frombuffer(most_significant.tobytes(), np.uint8)
            planes_of_bytes = split.reshape(high, wide * depth, -1).transpose(0, 2, 1)
            steps = planes_of_bytes.reshape(high, -1, depth)
            content = np.concatenate([steps[:, :1], np.diff(steps, axis=1)], axis=1).tobytes()
        data.append(zlib.compress(content) if deflate else _lzw(content) if lzw else content)
    head = 16 if big else 8
    starts = np.cumsum([head, *map(len, data)]).tolist()
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [8 * values.itemsize] * samples),
        259: ("H", [8 if deflate else 5 if lzw else 1]),
        262: ("H", [2 if samples >= 3 else 1]),
        (324 if tile else 273): ("I", starts[:-1]),
        277: ("H", [samples]),
        (325 if tile else 279): ("I", [len(part) for part in data]),
        284: ("H", [2 if planar else 1]),
        317: ("H", [predictor]),
        339: ("H", [kind] * samples),
    }
    entries |= {322: ("I", [tile]), 323: ("I", [tile])} if tile else {278: ("I", [rows])}
    return _file(b"".join(data), starts[-1], entries | (tags or {}), order, big)


def _lzw(content: bytes) -> bytes:
    """Literal codes of nine bits, with a new table before a tenth bit is needed."""
    codes = [256]
    for at in range(0, len(content), 250):
        codes += [*content[at : at + 250], 256]
    bits = np.array([*codes, 257])[:, None] >> np.arange(8, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def _file(
    data: bytes, at: int, entries: dict[int, tuple[str, list[int]]], order: str, big: bool
) -> bytes:
    count, entry, offset = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    size = struct.calcsize(order + offset)
    directory = struct.pack(order + count, len(entries))
    outside_at = at + len(directory) + len(entries) * (struct.calcsize(order + entry) + size) + size
    outside = b""
    for tag, (layout, numbers) in sorted(entries.items()):
        content = struct.pack(f"{order}{len(numbers)}{layout}", *numbers)
        directory += struct.pack(order + entry, tag, TYPES[layout], len(numbers))
        if len(content) > size:
            directory += struct.pack(order + offset, outside_at + len(outside))
            outside += content + bytes(len(content) % 2)
        else:
            directory += content.ljust(size, b"\0")
    letters = b"II" if order == "<" else b"MM"
    magic = struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at)
    return letters + magic + data + directory + bytes(size) + outside


NUMBERS = [
    ("uint8", 255), ("uint16", 65535), ("uint16", 4095), ("uint16", 255), ("uint32", 255),
    ("uint32", 65535), ("uint32", 2**32 - 1), ("int16", 255), ("int16", 32767), ("int32", 255),
    ("int32", 65535), ("float16", 1), ("float32", 1), ("float32", 255), ("float32", 65535),
    ("float64", 1), ("float64", 255),
]  # fmt: skip
LAYOUTS: list[dict[str, Any]] = [
    {}, {"planar": True}, {"tile": 16}, {"tile": 16, "planar": True, "deflate": True},
    {"deflate": True}, {"order": ">"}, {"order": ">", "planar": True}, {"big": True},
    {"order": ">", "big": True, "deflate": True}, {"deflate": True, "predictor": 2},
    {"planar": True, "lzw": True}, {"planar": True, "lzw": True, "tile": 16, "order": ">"},
]  # fmt: skip


@pytest.mark.parametrize("color", [True, False], ids=["RGB", "gray"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(("dtype", "top"), NUMBERS)
def test_reads_numbers_of_all_types_in_all_layouts(
    dtype: str, top: float, layout: dict[str, Any], color: bool
) -> None:
    if "predictor" in layout and np.dtype(dtype).kind == "f":
        layout = {**layout, "predictor": 3}
    expected = picture() if color else gray()
    image = read_image(tiff(scaled(expected, dtype, top), **layout))
    difference = np.abs(image.astype(int) - (expected if color else expected[:, :, None]))
    assert difference.max() <= 1


_LOSSLESS = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw")


@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        *product(("RGB", "L", "P", "CMYK", "RGBA", "LA", "1", "I;16"), _LOSSLESS),
        # JPEG compresses neither palettes, single bits nor transparency.
        *product(("RGB", "L", "CMYK"), ("jpeg",)),
    ],
)
def test_reads_what_pillow_writes(mode: str, compression: str) -> None:
    source = Image.fromarray(gray().astype(np.uint16) * 257) if mode == "I;16" else None
    source = source or Image.fromarray(picture()).convert(mode)
    file = io.BytesIO()
    source.save(file, "TIFF", compression=compression)
    expected = gray() if mode == "I;16" else np.asarray(source.convert("RGB"))
    expected = expected if expected.ndim == 3 else expected[:, :, None]
    difference = np.abs(read_image(file.getvalue()).astype(int) - expected)
    assert difference.mean() < (6 if compression == "jpeg" else 0.5)


@pytest.mark.parametrize(("dtype", "top"), [("float32", 1), ("float32", 255), ("uint16", 65535)])
@pytest.mark.parametrize("color", [True, False], ids=["RGB", "gray"])
def test_reads_lzw_with_opencv(dtype: str, top: float, color: bool) -> None:
    expected = picture() if color else gray()
    values = scaled(expected, dtype, top)
    done, data = cv2.imencode(
        ".tif", values[:, :, ::-1] if color else values, [cv2.IMWRITE_TIFF_COMPRESSION, 5]
    )
    assert done
    difference = read_image(data.tobytes()).astype(int) - (
        expected if color else expected[..., None]
    )
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_applies_the_orientation_of_unusual_types(orientation: int) -> None:
    turns = {3: 2, 6: 1, 8: -1}
    stored = np.rot90(picture(), turns[orientation])
    tags = {274: ("H", [orientation])}
    image = read_image(tiff(scaled(stored, "float32", 1), tags=tags))
    assert np.abs(image.astype(int) - picture()).max() <= 1


def test_inverts_gray_levels_from_white_to_black() -> None:
    tags = {262: ("H", [0])}
    for values in (scaled(gray(), "float32", 1), gray(), scaled(gray(), "uint16", 65535)):
        image = read_image(tiff(values, tags=tags))
        assert np.abs(255 - image[:, :, 0].astype(int) - gray()).max() <= 1


def test_reads_lab() -> None:
    rgb = Image.fromarray(picture())
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(rgb, to_lab)
    assert lab is not None
    file = io.BytesIO()
    lab.save(file, "TIFF")
    for source in (lab, file.getvalue()):
        assert np.abs(read_image(source).astype(int) - picture()).mean() < 6


def test_says_which_range_was_assumed() -> None:
    [warning] = decode_image(tiff(scaled(gray(), "uint32", 255))).warnings
    assert warning == "pixels of type uint32 up to 255 were read as 0 to 255"
    assert decode_image(tiff(scaled(gray(), "float32", 1))).warnings == ()


@pytest.mark.parametrize(
    "values",
    [
        np.array([[-5, 5]], np.int16),
        np.array([[0, 12.5]], np.float32),
        np.array([[0, np.nan]], np.float32),
        np.array([[0, np.inf]], np.float64),
        np.array([[-1, 1]], np.float32),
        np.array([[0, 1 << 17]], np.uint32),
        np.zeros((1, 2, 2), np.complex64).view(np.float32)[:, :, :2] + np.float32(7),
    ],
    ids=lambda values: f"{values.dtype} {values.min()} to {values.max()}",
)
def test_rejects_values_out_of_any_usual_range(values: Any) -> None:
    with pytest.raises(ImageReadError, match="not supported: pixels of type"):
        read_image(tiff(values))


@pytest.mark.parametrize(
    ("tags", "facts"),
    [
        ({259: ("H", [34712])}, "JPEG 2000 compression"),
        ({259: ("H", [777])}, r"unknown \(777\) compression"),
        ({339: ("H", [5, 5, 5])}, "3 × 32 bits"),
        ({262: ("H", [32844])}, "photometric 32844"),
        ({284: ("H", [2]), 259: ("H", [7])}, "planar.*JPEG compression"),
    ],
)
def test_says_which_variants_are_not_supported(
    tags: dict[int, tuple[str, list[int]]], facts: str
) -> None:
    with pytest.raises(ImageReadError, match=f"not supported: TIFF with .*{facts}"):
        read_image(tiff(scaled(picture(), "float32", 1), tags=tags))


@pytest.mark.parametrize("compression", [34712, 34887, 50002])
def test_rejects_compressions_that_would_become_black(compression: int) -> None:
    with pytest.raises(ImageReadError, match="not supported: TIFF with 3 × 8 bits"):
        read_image(tiff(picture(), tags={259: ("H", [compression])}))


def test_ignores_further_channels() -> None:
    values = np.dstack([picture(), gray(), gray()])
    decoded = decode_image(tiff(values))
    assert np.array_equal(decoded.pixels, picture())
    assert decoded.warnings == ("2 of 5 channels were ignored",)


def test_reads_the_first_full_page() -> None:
    pages = [Image.fromarray(p) for p in (picture(6, 10), picture(), picture()[:, ::-1].copy())]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], tiffinfo={254: 1})
    decoded = decode_image(file.getvalue())
    # Pillow writes the tag of the first page into each; a thumbnail is one that others are not.
    assert decoded.pixels.shape in ((6, 10, 3), (24, 40, 3))


def test_says_that_further_pages_were_not_read() -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=[second])
    decoded = decode_image(file.getvalue())
    assert np.array_equal(decoded.pixels, picture())
    assert decoded.warnings == ("the first of 2 pages was read",)


def test_reports_missing_strips_of_unusual_types(tmp_path: Path) -> None:
    data = tiff(scaled(picture(), "float32", 1), deflate=True)
    at = data.index(b"\x78\x9c")
    with pytest.raises(ImageReadError, match="damaged"):
        read_image(data[: at + 2] + bytes(100) + data[at + 102 :])


@pytest.mark.parametrize("saved", ["tiff_adobe_deflate", "own"])
def test_warns_of_deflate_data_that_do_not_match_their_checksum(saved: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    if saved == "own":
        content = tiff(noise, deflate=True)
    else:
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "TIFF", compression=saved)
        content = file.getvalue()
    assert decode_image(content).warnings == ()
    middle = content.index(b"\x78") + 2000
    changed = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    try:
        said = decode_image(changed).warnings
    except ImageReadError as error:
        said = (str(error),)
    assert any("damaged" in text for text in said)
