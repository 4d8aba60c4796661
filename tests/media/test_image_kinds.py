"""Kinds within a format that libraries misread: the right pixels, and faces, of each."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import ExifTags, Image
from tests.media.test_tiff import tiff

import mien
from mien.errors import ImageReadError
from mien.media.images import decode_image, read_image

Pixels = npt.NDArray[Any]
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
          (1, 0, 2, 1)]  # fmt: skip


@pytest.fixture(scope="module")
def photo(samples: dict[str, Path]) -> Pixels:
    with Image.open(samples["person-a-smiling"]) as picture:
        return np.asarray(picture.convert("RGB").resize((121, 90)))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def difference(image: Pixels, expected: Pixels) -> float:
    assert image.shape == (*expected.shape[:2], 3)
    shown = expected if expected.ndim == 3 else expected[:, :, None]
    return float(np.abs(image.astype(float) - shown).mean())


def gray(image: Pixels) -> Pixels:
    return image.mean(axis=2).round().astype(int)


def rows_of(values: Pixels, bits: int) -> bytes:
    """PNG rows of numbers with a filter type 0 before each."""
    if bits >= 8:
        return b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in values)
    single = (values[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return b"".join(b"\0" + np.packbits(row).tobytes() for row in single.reshape(len(values), -1))


def png(values: Pixels, bits: int, kind: int, *extra: tuple[bytes, bytes], passes: bool = False,
        kept: float = 1) -> bytes:  # fmt: skip
    height, width = values.shape[:2]
    flat = [values.reshape(height, -1)]
    if passes:
        parts = [values[top::down, left::right] for top, left, down, right in PASSES]
        flat = [part.reshape(len(part), -1) for part in parts]
    rows = b"".join(rows_of(part, bits) for part in flat)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, passes)
    body = zlib.compress(rows[: int(len(rows) * kept)])
    chunks = ((b"IHDR", header), *extra, (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks
    )


@pytest.mark.parametrize("passes", [False, True], ids=["in rows", "interlaced"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_reads_gray_png_files_of_all_depths(photo: Pixels, bits: int, passes: bool) -> None:
    top = 2**bits - 1
    values = (gray(photo) * top / 255).round().astype(int)
    shown = (values * 255 / top).round()
    assert difference(read_image(png(values, bits, 0, passes=passes)), shown) < 0.6
    clear = int(values[45, 60])
    key = (b"tRNS", struct.pack(">H", clear))
    keyed = read_image(png(values, bits, 0, key, passes=passes))
    assert difference(keyed, np.where(values == clear, 255, shown)) < 0.6


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_reads_palettes_with_transparency(photo: Pixels, bits: int) -> None:
    few = Image.fromarray(photo).quantize(2**bits)
    palette = np.array(few.getpalette()).reshape(-1, 3)[: 2**bits]
    values = np.asarray(few).astype(int)
    colors = (b"PLTE", palette.astype(np.uint8).tobytes())
    assert difference(read_image(png(values, bits, 3, colors)), palette[values]) == 0
    alpha = np.full(2**bits, 255)
    alpha[:2] = 0, 128
    opacity = alpha[values][:, :, None] / 255
    image = read_image(png(values, bits, 3, colors, (b"tRNS", bytes([0, 128]))))
    assert difference(image, palette[values] * opacity + 255 * (1 - opacity)) < 1


@pytest.mark.parametrize("bits", [8, 16])
def test_blends_gray_with_alpha(photo: Pixels, bits: int) -> None:
    alpha = np.full((90, 121, 1), 255)
    alpha[:, :40], alpha[:, 40:60] = 0, 128
    levels = gray(photo)[:, :, None]
    image = read_image(png(np.dstack([levels, alpha]) * (257 if bits == 16 else 1), bits, 4))
    assert difference(image, (levels * alpha + 255 * (255 - alpha)) / 255) < 0.6


@pytest.mark.parametrize("kind", [4, 6], ids=["gray", "color"])
@pytest.mark.parametrize("top", [255, 1023, 4095])
@pytest.mark.parametrize("color_top", [0, 65535], ids=["low", "full"])
def test_reads_16_bits_with_low_opacity(photo: Pixels, kind: int, top: int, color_top: int) -> None:
    opacity = np.full((90, 121, 1), 1.0)
    opacity[:, :40], opacity[:, 40:60] = 0, 0.5
    levels = gray(photo)[:, :, None] if kind == 4 else photo
    values = np.dstack([levels / 255 * (color_top or top), opacity * top]).round().astype(int)
    decoded = decode_image(png(values, 16, kind))
    assert difference(decoded.pixels, levels * opacity + 255 * (1 - opacity)) < 1.1
    assert decoded.warnings[-1].startswith("33% of the picture is transparent")


def test_makes_only_the_key_of_16_bits_white() -> None:
    values = np.tile(np.arange(300, 600), (30, 1))
    image = read_image(png(values, 16, 0, (b"tRNS", struct.pack(">H", 400))))
    assert (np.flatnonzero((image == 255).all(axis=(0, 2))) == [100]).all()


def test_applies_gamma_of_png_files_where_it_is_seen(photo: Pixels) -> None:
    level = photo / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    linear = (255 * light).round().astype(int)
    gamma = b"gAMA", struct.pack(">I", 100_000)
    assert difference(read_image(png(linear, 8, 2, gamma)), photo) < 4
    assert difference(read_image(png(linear, 8, 2, gamma, (b"sRGB", b"\0"))), linear) == 0
    usual = b"gAMA", struct.pack(">I", 45_455)
    assert difference(read_image(png(photo, 8, 2, usual)), photo) == 0


@pytest.mark.parametrize(("kept", "largest"), [(0.03, 16), (0.3, 9), (0.6, 6), (0.9, 3)])
def test_fills_cut_interlaced_png_files(photo: Pixels, kept: float, largest: float) -> None:
    decoded = decode_image(png(photo, 8, 2, passes=True, kept=kept)[:-60])
    assert difference(decoded.pixels, photo) < largest
    assert decoded.warnings[0].endswith("all rows were read, with less detail")


@pytest.mark.parametrize(("kept", "largest"), [(0.3, 12), (0.6, 9), (0.8, 7)])
def test_fills_cut_interlaced_gif_files(photo: Pixels, kept: float, largest: float) -> None:
    few = Image.fromarray(photo).quantize(256)
    data = encoded(few, "GIF", interlace=1)
    decoded = decode_image(data[: int(len(data) * kept)])
    assert difference(decoded.pixels, np.asarray(few.convert("RGB"))) < largest
    assert decoded.warnings[0].endswith("all rows were read, with less detail")


def pq(photo: Pixels) -> Pixels:
    """The signal of 16 bits (SMPTE ST 2084) of a picture whose white has 203 cd/m²."""
    level = photo / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    # From BT.709 to BT.2020 primaries.
    wide = light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114],
                             [0.0164, 0.0880, 0.8956]]).T  # fmt: skip
    power = (wide.clip(0) * 203 / 10_000) ** (1305 / 8192)
    signal = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return np.asarray((65535 * signal).round(), np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "HEIF", "AVIF"])
def test_maps_hdr_stills_to_standard_levels(photo: Pixels, kind: str) -> None:
    signal = pq(photo)
    if kind == "PNG":
        data = png(signal, 16, 2, (b"cICP", bytes([9, 16, 0, 1])))
    elif kind == "HEIF":
        file = io.BytesIO()
        picture = pillow_heif.from_bytes("RGB;16", photo.shape[1::-1], signal.tobytes())
        colors = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9}
        picture.save(file, quality=98, full_range_flag=1, **colors)
        data = file.getvalue()
    else:
        data = encoded(Image.fromarray((signal >> 8).astype(np.uint8)), "AVIF", quality=100,
                       subsampling="4:4:4")  # fmt: skip
        at = data.index(b"colrnclx") + 8
        data = data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :]
    assert difference(read_image(data), photo) < 6


def test_reads_cmyk_and_ycck_of_adobe(photo: Pixels) -> None:
    # Stored inverted, so that C, M and Y are red, green and blue.
    black = np.zeros_like(photo[:, :, :1])
    data = encoded(Image.fromarray(np.dstack([255 - photo, black]), "CMYK"), "JPEG", quality=95)
    assert difference(read_image(data), photo) < 4
    converted = np.asarray(Image.fromarray(255 - photo).convert("YCbCr"))
    stored = Image.fromarray(np.dstack([255 - converted, black]), "CMYK")
    data = encoded(stored, "JPEG", quality=95)
    at = data.index(b"Adobe") + 11
    assert difference(read_image(data[:at] + b"\2" + data[at + 1 :]), photo) < 4


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_reads_jpeg_of_all_subsamplings(photo: Pixels, subsampling: str, progressive: bool) -> None:
    options = {"quality": 95, "subsampling": subsampling, "progressive": progressive}
    assert difference(read_image(encoded(Image.fromarray(photo), "JPEG", **options)), photo) < 4


@pytest.mark.parametrize(
    ("marker", "bits", "kind"),
    [(0xC0, 12, "JPEG with 12 bits"), (0xC1, 12, "JPEG with 12 bits"), (0xC3, 8, "lossless JPEG"),
     (0xC5, 8, "hierarchical JPEG"), (0xF7, 8, "JPEG-LS")],
)  # fmt: skip
def test_says_which_kinds_of_jpeg_are_not_supported(
    photo: Pixels, marker: int, bits: int, kind: str
) -> None:
    data = bytearray(encoded(Image.fromarray(photo), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    with pytest.raises(ImageReadError, match=f"not supported: {kind}; save it as a PNG"):
        read_image(bytes(data[:2] + b"\xff\xff" + data[2:]))


def bitmap(photo: Pixels, alpha: Pixels) -> bytes:
    """A BMP file of 32 bits with a mask for alpha (BITMAPV5HEADER)."""
    height, width = photo.shape[:2]
    body = np.dstack([photo[:, :, ::-1], alpha]).astype(np.uint8)[::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, len(body), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs"
    return b"BM" + struct.pack("<IHHI", 138 + len(body), 0, 0, 138) + header + masks + bytes(64) + body  # fmt: skip  # noqa: E501


def test_ignores_an_empty_alpha_channel_of_bmp_files(photo: Pixels) -> None:
    empty = decode_image(bitmap(photo, np.zeros(photo.shape[:2])))
    assert difference(empty.pixels, photo) == 0
    assert empty.warnings == ()
    alpha = np.full(photo.shape[:2], 255)
    alpha[:, :40] = 0
    expected = photo.copy()
    expected[:, :40] = 255
    assert difference(read_image(bitmap(photo, alpha)), expected) == 0


@pytest.mark.parametrize("top", [255, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [b"P5", b"P6", b"P2"])
def test_reads_netpbm_of_all_depths_without_a_word(photo: Pixels, kind: bytes, top: int) -> None:
    levels = photo.astype(int) if kind == b"P6" else gray(photo)
    values = levels * ((top + 1) // 256)
    number = "u1" if top == 255 else ">u2"
    body = values.astype(number).tobytes()
    if kind == b"P2":
        body = " ".join(map(str, values.ravel())).encode()
    decoded = decode_image(b"%s\n# a comment\n121 90\n%d\n" % (kind, top) + body)
    assert difference(decoded.pixels, levels) < 1
    assert decoded.warnings == ()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("premultiplied", [False, True])
def test_blends_transparency_of_unusual_tiff_types(
    photo: Pixels, dtype: str, premultiplied: bool
) -> None:
    alpha = np.full((90, 121, 1), 255.0)
    alpha[:, :40] = 0
    stored = np.dstack([gray(photo)[:, :, None] * (alpha / 255 if premultiplied else 1), alpha])
    values = (stored * 257).astype(dtype) if dtype == "uint16" else (stored / 255).astype(dtype)
    decoded = decode_image(tiff(values, tags={338: ("H", [1 if premultiplied else 2])}))
    expected = np.where(alpha[:, :, 0] > 0, gray(photo), 255)
    assert difference(decoded.pixels, expected) < 1
    assert decoded.warnings == ("33% of the picture is transparent, and was read as white",)


def test_reads_signed_bytes_and_ten_bits(photo: Pixels) -> None:
    levels = gray(photo)
    decoded = decode_image(tiff((levels // 2).astype(np.int8)))
    assert difference(decoded.pixels, levels) < 2
    assert decoded.warnings == ()
    assert difference(read_image(tiff((levels * 4).astype(np.uint16))), levels) < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_faces_of_heic_photographs_are_upright(samples: dict[str, Path], orientation: int) -> None:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what makes it upright again, inverted
    with Image.open(samples["person-a-smiling"]) as upright:
        picture = upright.convert("RGB").resize((240, 240))
    stored = picture.transpose(Image.Transpose(turn[orientation])) if orientation > 1 else picture
    data = encoded(stored, "HEIF", exif=exif.tobytes(), quality=90)
    assert difference(read_image(data), np.asarray(picture)) < 4
    (face,) = mien.analyze(data)
    assert face.expression is not None
    assert face.expression.top == "happiness"


@pytest.mark.parametrize(
    ("head", "found"),
    [(b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
     (bytes(128) + b"DICM", "DICOM"), (b"\xff\x4f\xff\x51\0", "JPEG 2000"),
     (b"<?xml version='1.0'?>\n<svg>", "an SVG drawing"),
     (b"\xef\xbb\xbf<!doctype html>", "a web page"), (b"\x93NUMPY\1\0", "a NumPy array"),
     (b"data:image/png;base64,iVBO", "a data URL"), (b"P7\nWIDTH 4\n", "a PAM image"),
     (b"\x89PNG\n\x1a\n\0\0\0\rIHDR", "a PNG image that was changed"),
     (b"\0\0\2\0\1\0", "a cursor or a Targa image"), (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive")],
)  # fmt: skip
def test_names_other_kinds_of_files(head: bytes, found: str) -> None:
    with pytest.raises(ImageReadError, match=f"expected an image .*, got .*{found}"):
        read_image(head + b"\0" * 20)
