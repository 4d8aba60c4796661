"""Images that lost a part, which decoders pass over or refuse: what is there is read."""

import io
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from mien.errors import ImageReadError
from mien.media.images import decode_image, open_image, read_image
from mien.media.lzw import LzwCheck, count_packbits, gif_damage
from mien.media.unwritten import is_damaged, written_bytes

DAMAGED = "the file is damaged: parts of the picture may be wrong"
Damage = Callable[[bytes], bytes]
LOSSLESS: dict[str, Any] = {"lossless": True}


@pytest.fixture(scope="module")
def photo(samples: dict[str, Path]) -> Image.Image:
    pillow_heif.register_heif_opener()
    with Image.open(samples["group"]) as image:
        return image.convert("RGB").resize((400, 268))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cut(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def never_written(data: bytes) -> bytes:
    return cut(data).ljust(len(data), b"\0")


def blank(data: bytes, at: float = 0.6, size: int = 512) -> bytes:
    start = int(len(data) * at)
    return data[:start] + bytes(size) + data[start + size :]


def lost(data: bytes) -> bytes:
    start = len(data) * 6 // 10
    return data[:start] + data[start + 300 :]


def animated(photo: Image.Image, **options: Any) -> bytes:
    turned = [photo.rotate(degrees) for degrees in (10, 20)]
    return saved(photo, "WEBP", save_all=True, append_images=turned, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("WEBP", {}), ("WEBP", LOSSLESS), ("AVIF", {"quality": 60}), ("HEIF", {"quality": 60})],
)
@pytest.mark.parametrize("damage", [cut, never_written])
def test_reads_what_is_there_of_files_without_an_end(
    photo: Image.Image, kind: str, options: dict[str, Any], damage: Damage
) -> None:
    data = saved(photo, kind, **options)
    whole = decode_image(data)
    assert whole.warnings == ()
    decoded = decode_image(damage(data))
    same = (decoded.pixels == whole.pixels).all(axis=(1, 2)).mean()
    assert same > 0.2
    [warning] = decoded.warnings
    found = re.search(r"truncated or damaged: about (\d+)% of the picture was read", warning)
    assert found, warning
    assert int(found[1]) == pytest.approx(100 * same, abs=6)


def test_the_part_of_a_turned_file_is_on_its_side(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(photo, "HEIF", quality=60, exif=exif.tobytes())
    opened = open_image(cut(data))
    assert opened.read is not None
    assert (opened.read.y_min, opened.read.y_max) == (0, 400)
    assert 0.2 * 268 < opened.read.width < 0.7 * 268
    left, right = int(opened.read.x_min), int(opened.read.x_max)
    pixels, whole = opened.pixels, read_image(data)
    assert isinstance(pixels, np.ndarray)
    assert (pixels[:, left:right] == whole[:, left:right]).all(axis=2).mean() > 0.85


@pytest.mark.parametrize("options", [{}, LOSSLESS])
def test_reads_the_first_picture_of_cut_animations(
    photo: Image.Image, options: dict[str, Any]
) -> None:
    data = animated(photo, **options)
    whole = decode_image(data)
    assert whole.warnings == ("the first of 3 frames was read",)
    decoded = decode_image(cut(data))
    assert (decoded.pixels == whole.pixels).all()
    assert decoded.warnings == ("the file is truncated or damaged: all rows were read",)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_reads_what_comes_before_damage_that_decoders_refuse(photo: Image.Image, kind: str) -> None:
    data = bytearray(saved(photo, kind))
    start = len(data) * 7 // 10
    data[start : start + 40] = b"\xff" * 40
    decoded = decode_image(bytes(data))
    assert decoded.pixels.shape == (268, 400, 3)
    assert "of the picture was read" in decoded.warnings[0]


@pytest.mark.parametrize(
    ("kind", "options", "damage"),
    [
        ("WEBP", {}, blank),
        ("HEIF", {"quality": 90}, lambda data: blank(data, 0.4, 4096)),
        ("GIF", {}, lambda data: blank(data, 0.6, 12)),
        ("GIF", {}, lost),
        ("TIFF", {"compression": "tiff_lzw"}, lost),
        ("TIFF", {"compression": "packbits"}, lost),
        ("TIFF", {"compression": "jpeg"}, lambda data: blank(data, 0.6, 300)),
        ("JPEG", {"quality": 90, "restart_marker_rows": 1}, lambda data: blank(data, 0.6, 300)),
    ],
)
def test_says_that_data_are_damaged(
    photo: Image.Image, kind: str, options: dict[str, Any], damage: Damage
) -> None:
    data = saved(photo, kind, **options)
    assert decode_image(data).warnings == ()
    if kind != "TIFF":
        decoded = decode_image(damage(data))
    else:  # its directory is at the end, and stays where it is
        end = int.from_bytes(data[4:8], "little")
        decoded = decode_image(damage(data[:end]).ljust(end, b"\x55") + data[end:])
    assert decoded.pixels.shape == (268, 400, 3)
    assert DAMAGED in decoded.warnings or "truncated or damaged" in decoded.warnings[0]


def test_zeros_in_fax_data_are_damage(photo: Image.Image) -> None:
    page = photo.convert("L").point(lambda level: 255 * (level > 110)).convert("1")
    data = saved(page, "TIFF", compression="group4")
    assert decode_image(data).warnings == ()
    assert decode_image(blank(data, 0.4, 64)).warnings == (DAMAGED,)


@pytest.mark.parametrize("color", ["black", "white", "gray"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {}), ("WEBP", LOSSLESS), ("AVIF", {}), ("HEIF", {}), ("GIF", {}),
        ("JPEG", {"optimize": True}), ("JPEG", {"progressive": True}), ("JPEG", {"quality": 1}),
        ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "packbits"}),
    ],
)  # fmt: skip
def test_pictures_of_one_color_are_no_damage(
    color: str, kind: str, options: dict[str, Any]
) -> None:
    pillow_heif.register_heif_opener()
    data = saved(Image.new("RGB", (1500, 1200), color), kind, **options)
    assert decode_image(data).warnings == ()


def test_data_after_the_end_are_no_damage(photo: Image.Image) -> None:
    for kind in ("WEBP", "GIF"):
        assert decode_image(saved(photo, kind) + b"more").warnings == ()


def test_a_damaged_length_is_no_reason_for_memory() -> None:
    data = bytearray(saved(Image.new("RGB", (64, 64), "red"), "WEBP"))
    data[4:8] = b"\xff\xff\xff\x7f"
    assert written_bytes("webp", bytes(data)) is not None
    assert decode_image(bytes(data)).pixels.shape == (64, 64, 3)
    assert not is_damaged("webp", bytes(data))
    # Also where the picture itself announces half a gigabyte.
    data[16:20] = b"\xde\x50\x38\x20"
    begun = time.process_time()
    with pytest.raises(ImageReadError):
        decode_image(bytes(data))
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (300, 200), (900, 700)])
def test_counts_the_pixels_of_gif(bits: int, size: tuple[int, int]) -> None:
    values = np.random.default_rng(bits).integers(0, 1 << bits, size[::-1], np.uint8)
    values[: size[1] // 2] //= 2
    image = Image.fromarray(values)
    image.putpalette(bytes(range(256)) * 3)
    data = saved(image, "GIF", optimize=False)
    assert gif_damage(data) is None
    assert gif_damage(cut(data)) is None  # it is cut, and its parts are sound


def packed(*codes: int) -> bytes:
    """Codes of nine bits, as in TIFF."""
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def test_compares_values_of_lzw_with_the_size() -> None:
    def fits(data: bytes, *wanted: int) -> bool:
        return LzwCheck().fits(data, 8, {*wanted}, is_tiff=True)

    # Clear, 7, 258 (7 and 7), end.
    assert fits(packed(256, 7, 258, 257), 3)
    assert not fits(packed(256, 7, 258, 257), 4)
    assert fits(packed(256, 7, 258, 257), 2, 3)
    assert not fits(packed(256, 7, 258, 257), 2)
    assert not fits(packed(256, 7, 259, 257), 3)
    assert LzwCheck().fits(b"", 8, {0}, is_tiff=False)
    assert not LzwCheck().fits(b"", 8, {1}, is_tiff=False)
    # Of a table for each value, as many as are followed may be wrong.
    many = [code for value in range(40) for code in (256, value)]
    assert not fits(packed(*many[:40], 257), 40)
    assert fits(packed(*many, 257), 1000)


def test_counts_values_of_packbits() -> None:
    assert count_packbits(bytes((2, 1, 2, 3, 254, 9, 128))) == 6
    assert count_packbits(bytes((5, 1, 2))) == 2


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
def test_last_strip_of_tiff_may_be_full(photo: Image.Image, compression: str) -> None:
    rows, values = 64, np.asarray(photo)
    height = len(values)
    full = np.pad(values, ((0, -height % rows), (0, 0), (0, 0)), mode="edge")
    data = saved(Image.fromarray(full), "TIFF", compression=compression, tiffinfo={278: rows})
    entry = data.index(struct.pack("<HHLL", 257, 3, 1, len(full)))
    fewer = bytearray(data)
    fewer[entry : entry + 12] = struct.pack("<HHLL", 257, 3, 1, height)
    decoded = decode_image(bytes(fewer))
    assert decoded.warnings == ()
    assert np.array_equal(decoded.pixels, values)


def chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)


def test_further_chunks_and_bytes_after_webp_are_no_damage(photo: Image.Image) -> None:
    whole = saved(photo, "WEBP")
    longer = [whole + chunk(name, b"content" * 99) for name in (b"C2PA", b"XMP ", b"XMP\0")]
    longer = [one[:4] + (len(one) - 8).to_bytes(4, "little") + one[8:] for one in longer]
    for data in (*longer, whole + bytes(512), whole + b"\r\n--boundary--\r\n"):
        assert decode_image(data).warnings == ()
        assert not is_damaged("webp", data)


@pytest.mark.parametrize(("mode", "lossless"), [("RGB", False), ("RGBA", True)])
def test_blank_parts_of_an_animation_are_no_damage(
    photo: Image.Image, mode: str, *, lossless: bool
) -> None:
    first = photo.resize((320, 320)).convert(mode)
    if mode == "RGBA":
        shape = Image.new("L", first.size, 0)
        shape.paste(255, (5, 5, 100, 160))
        first.putalpha(shape)
    second = first.copy()
    second.paste(ImageOps.mirror(first).crop((0, 0, 160, 320)), (0, 0))
    data = saved(first, "WEBP", save_all=True, append_images=[second], lossless=lossless)
    assert bytes(300) in data
    assert not is_damaged("webp", data)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_padding_of_metadata_and_free_boxes_are_no_damage(photo: Image.Image, kind: str) -> None:
    metadata = Image.Exif()
    metadata[0xEA1C] = bytes(2060)  # as Windows pads it
    whole = saved(photo, kind, exif=metadata.tobytes())
    free = (8 + 4096).to_bytes(4, "big") + b"free" + bytes(4096)
    for data in (whole, whole + free, whole + bytes(4096)):
        assert decode_image(data).warnings == ()
