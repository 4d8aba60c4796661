"""Reading images: formats, orientations and pixel types."""

import base64
import io
import os
import urllib.parse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import ExifTags, Image

from mien.errors import ImageReadError, InputError
from mien.media.images import decode_image, read_image

# The quarters differ, so that every rotation and reflection is detected.
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 32, height: int = 24) -> npt.NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = RED
    image[: height // 2, width // 2 :] = GREEN
    image[height // 2 :, : width // 2] = BLUE
    image[height // 2 :, width // 2 :] = WHITE
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module", autouse=True)
def _heif_writer() -> None:
    pillow_heif.register_heif_opener()


@pytest.mark.parametrize(
    ("kind", "options", "largest_difference"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("GIF", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("PPM", {}, 0),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 6),
        ("HEIF", {"quality": -1, "chroma": 444}, 6),
    ],
)
def test_reads_all_formats(
    kind: str, options: dict[str, Any], largest_difference: int, tmp_path: Path
) -> None:
    data = encoded(Image.fromarray(quarters()), kind, **options)
    path = tmp_path / "picture.with-a-misleading-name.txt"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (data, bytearray(data), memoryview(data), path, str(path), file):
            image = read_image(source)
            assert image.dtype == np.uint8
            assert image.flags.c_contiguous
            assert image.flags.writeable
            difference = np.abs(image.astype(int) - quarters().astype(int))
            assert image.shape == (24, 32, 3)
            assert difference.max() <= largest_difference


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_applies_exif_orientation(kind: str, orientation: int) -> None:
    # The stored image, rotated back according to CIPA DC-008, 4.6.4, is upright.
    stored_of = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = np.ascontiguousarray(stored_of[orientation](quarters()))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 95} if kind != "PNG" else {}
    image = read_image(encoded(Image.fromarray(stored), kind, exif=exif, **options))
    assert image.shape == (24, 32, 3)
    # In the middle of each quarter; at their edges lossy formats mix the colors.
    difference = image[6::12, 8::16].astype(int) - quarters()[6::12, 8::16].astype(int)
    assert np.abs(difference).max() < 30


def test_applies_orientation_of_pillow_images() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = np.ascontiguousarray(np.rot90(quarters()))
    with Image.open(io.BytesIO(encoded(Image.fromarray(stored), "PNG", exif=exif))) as picture:
        assert np.array_equal(read_image(picture), quarters())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_ignores_damaged_exif() -> None:
    data = encoded(Image.fromarray(quarters()), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(read_image(data), quarters())


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_converts_color_modes_to_rgb(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    image = read_image(encoded(Image.new("RGB", (4, 3), WHITE).convert(mode), kind))
    assert image.shape == (3, 4, 3)
    assert image.min() >= 254


def test_reads_cmyk_jpeg() -> None:
    image = read_image(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(image.astype(int) - RED).max() < 8


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_reads_sixteen_bit_gray(kind: str) -> None:
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    image = read_image(encoded(Image.fromarray(levels), kind))
    assert np.array_equal(image[:, :, 0], (levels >> 8).astype(np.uint8))


def test_reads_thirty_two_bit_gray_as_sixteen() -> None:
    levels = np.full((4, 4), 65535, np.int32)
    assert read_image(Image.fromarray(levels)).min() == 255
    with pytest.raises(ImageReadError, match="not supported: pixels of type int32 from 65536"):
        read_image(Image.fromarray(levels + 1))


def test_reads_float_pixels() -> None:
    assert read_image(Image.fromarray(np.full((4, 4), 0.5, np.float32)))[0, 0, 0] == 128
    with pytest.raises(ImageReadError, match=r"not supported: pixels of type float32 from 12\.5"):
        read_image(Image.fromarray(np.full((4, 4), 12.5, np.float32)))


def transparent_pictures() -> dict[str, Image.Image]:
    clear_left = Image.new("RGBA", (4, 2), (0, 0, 0, 255))
    clear_left.paste((9, 9, 9, 0), (0, 0, 2, 2))
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([9, 9, 9, 0, 0, 0])
    palette.paste(0, (0, 0, 2, 2))
    palette.info["transparency"] = 0
    keyed = Image.new("RGB", (4, 2), (0, 0, 0))
    keyed.paste((9, 9, 9), (0, 0, 2, 2))
    keyed.info["transparency"] = (9, 9, 9)
    return {
        "RGBA": clear_left,
        "LA": clear_left.convert("LA"),
        "palette": palette,
        "color key": keyed,
    }


@pytest.mark.parametrize("name", ["RGBA", "LA", "palette", "color key"])
def test_blends_transparency_with_white(name: str) -> None:
    image = read_image(encoded(transparent_pictures()[name], "PNG"))
    assert image[:, :2].min() == 255
    assert image[:, 2:].max() == 0


@pytest.mark.parametrize(
    ("kind", "what"), [("GIF", "frames"), ("WEBP", "frames"), ("PNG", "frames"), ("TIFF", "pages")]
)
def test_reads_the_first_frame_and_says_so(kind: str, what: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN, BLUE)]
    decoded = decode_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert np.abs(decoded.pixels[4, 4].astype(int) - RED).max() < 8
    assert decoded.warnings == (f"the first of 3 {what} was read",)
    assert decode_image(encoded(frames[0], kind)).warnings == ()


def test_counts_the_equal_pictures_of_mpo_files() -> None:
    first, second = (Image.new("RGB", (64, 48), color) for color in (RED, GREEN))
    stereo = encoded(first, "MPO", save_all=True, append_images=[second])
    assert decode_image(stereo).warnings == ("the first of 2 frames was read",)
    assert np.abs(read_image(stereo)[4, 4].astype(int) - RED).max() < 8
    with_preview = encoded(first, "MPO", save_all=True, append_images=[second.resize((16, 12))])
    assert decode_image(with_preview).warnings == ()


MODES = ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]


@pytest.mark.parametrize("mode", MODES)
def test_reads_pillow_images_of_all_modes(mode: str) -> None:
    through = {"La": "LA", "PA": "P", "RGBa": "RGBA"}.get(mode, mode)
    picture = Image.new("RGB", (4, 3), WHITE).convert(through).convert(mode)
    assert read_image(picture).min() >= 254
    dark = Image.new("RGB", (4, 3)).convert(through).convert(mode)
    assert read_image(dark).max() <= 1


@pytest.mark.parametrize(
    "prefix",
    [
        "data:image/png;base64,",
        "DATA:image/png;name=a.png;BASE64,",
        "data:;base64,",
        "data:image/png,",
    ],
)
def test_reads_data_urls(prefix: str) -> None:
    data = encoded(Image.fromarray(quarters()), "PNG")
    text = base64.b64encode(data).decode()
    bodies = [text, text.rstrip("="), urllib.parse.quote(text), "\n".join((text[:40], text[40:])),
              base64.urlsafe_b64encode(data).decode()]  # fmt: skip
    if "base64" not in prefix.lower():
        bodies = [urllib.parse.quote(data)]
    for body in bodies:
        assert np.array_equal(read_image(prefix + body), quarters())


def test_reads_dark_sixteen_bit_png_files_by_their_range() -> None:
    for levels in (quarters().astype(np.uint16), quarters()[:, :, 0].astype(np.uint16)):
        done, data = cv2.imencode(".png", levels)
        assert done
        expected = quarters()[:, :, ::-1] if levels.ndim == 3 else quarters()[:, :, :1]
        decoded = decode_image(data.tobytes())
        assert np.abs(decoded.pixels.astype(int) - expected).max() == 0
        assert "were read as 0 to 255" in decoded.warnings[0]


def test_applies_exif_of_webp_and_png_once() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    data = encoded(Image.fromarray(quarters()), "PNG", exif=exif)
    assert np.array_equal(read_image(data), quarters()[::-1, ::-1])


def test_converts_large_images_in_bands() -> None:
    # Taller than one band of 1 << 20 pixels, with a gradient that shows a misplaced band.
    column = (np.arange(3000) % 251).astype(np.uint8)
    tall = np.repeat(column[:, None], 900, axis=1)
    image = read_image(encoded(Image.fromarray(tall), "PNG", compress_level=1))
    assert np.array_equal(image[:, 450, 1], column)


def test_accepts_arrays() -> None:
    rgb = quarters()
    assert read_image(rgb) is rgb
    assert np.array_equal(read_image(rgb[:, ::-1]), rgb[:, ::-1])
    assert read_image(rgb[:, :, 0]).shape == (24, 32, 3)
    assert np.array_equal(read_image((rgb / 255).astype(np.float32)), rgb)


@pytest.mark.parametrize("source", [None, 3, {"a": 1}, ["photo.jpg"], io.StringIO("text")])
def test_rejects_other_types(source: Any) -> None:
    with pytest.raises(InputError):
        read_image(source)


def test_reads_from_a_pipe() -> None:
    data = encoded(Image.fromarray(quarters()), "PNG")
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as reader, os.fdopen(write_end, "wb") as writer:
        writer.write(data)
        writer.close()
        assert np.array_equal(read_image(reader), quarters())


def test_reads_a_stream_from_its_position_and_leaves_it_open() -> None:
    stream = io.BytesIO(b"before" + encoded(Image.fromarray(quarters()), "TIFF"))
    stream.seek(6)
    assert np.array_equal(read_image(stream), quarters())
    assert not stream.closed
