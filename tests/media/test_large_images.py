"""Large images: decoded in parts, with bounded memory."""

import copy
import io
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.errors import ImageReadError
from mien.imaging import LargeImage
from mien.media import pixels as media_pixels
from mien.media.images import decode_image, open_image, read_image
from mien.media.pixels import PillowParts, upright
from mien.media.png_bands import PngBands
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.types import Image

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")


@pytest.fixture(scope="module")
def sample() -> PillowImage.Image:
    (path,) = (path for path in sample_paths() if path.stem == "group")
    with PillowImage.open(path) as picture:
        return picture.convert("RGB")


def _encoded(picture: PillowImage.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _variant(sample: PillowImage.Image, name: str) -> tuple[PillowImage.Image, dict[str, Any]]:
    alpha = PillowImage.linear_gradient("L").resize(sample.size)
    if name in ("RGBA", "LA"):
        picture = sample.convert("L").convert(name) if name == "LA" else sample.convert(name)
        picture.putalpha(alpha)
        return picture, {}
    if name.startswith("P"):
        return sample.quantize(14 if name == "P4" else 200), {"transparency": 7}
    if name == "RGB with a transparent color":
        return sample, {"transparency": sample.getpixel((3, 3))}
    return sample.convert(name), {}


@pytest.mark.parametrize(
    "name", ["RGB", "L", "P", "P4", "1", "RGBA", "LA", "RGB with a transparent color"]
)
def test_bands_of_png_have_the_pixels_of_the_whole(sample: PillowImage.Image, name: str) -> None:
    picture, options = _variant(sample, name)
    content = _encoded(picture, **options)
    expected = read_image(content)
    bands = PngBands(content)
    np.testing.assert_array_equal(bands.whole(), expected)
    bands.prepare()
    for left, top, right, bottom in ((3, 100, 401, 380), (0, 250, 1280, 260), (7, 399, 8, 400)):
        part, factor = bands.part(left, top, right, bottom)
        assert factor == 1
        np.testing.assert_array_equal(part, expected[top:bottom, left:right])
    small, factor = bands.part(0, 0, 1280, 400, shrink=4)
    assert (small.shape, factor) == ((100, 320, 3), 4)
    if name != "1":  # dithered
        assert abs(small.astype(int) - expected[2::4, 2::4]).mean() < 12


@pytest.mark.parametrize("width", [1, 3, 4, 5])
@pytest.mark.parametrize("height", [1, 3, 257])
def test_bands_of_narrow_png(width: int, height: int) -> None:
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    bands = PngBands(_encoded(PillowImage.fromarray(values)))
    bands.prepare()
    np.testing.assert_array_equal(bands.part(0, 0, width, height)[0], values)
    assert bands.small.shape[2] == 3


@pytest.mark.parametrize("cut", [20, 60, 5_000, -9, -13])
def test_truncated_png_is_no_png_in_bands(sample: PillowImage.Image, cut: int) -> None:
    with pytest.raises((ImageReadError, zlib.error)):
        PngBands(_encoded(sample)[:cut]).whole()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_parts_of_turned_pictures(sample: PillowImage.Image, orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    content = _encoded(sample, "JPEG", exif=exif)
    with PillowImage.open(io.BytesIO(content)) as picture:
        picture.load()
        parts = PillowParts(picture, orientation)
        expected = upright(np.asarray(picture), orientation)
    np.testing.assert_array_equal(read_image(content), expected)
    assert parts.shape == expected.shape
    np.testing.assert_array_equal(parts.whole(), expected)
    part, factor = parts.part(20, 100, 300, 350)
    assert factor == 1
    np.testing.assert_array_equal(part, expected[100:350, 20:300])
    assert abs(parts.small.astype(int) - expected[2::4, 2::4]).mean() < 12


def _large(sample: PillowImage.Image) -> Image:
    """Six megapixels with four small faces across bands and one large face."""
    image = np.full((2_000, 2_900, 3), 128, np.uint8)
    image[420:620, 100:740] = np.asarray(sample.resize((640, 200)))
    (path,) = (path for path in sample_paths() if path.stem == "person-a-smiling")
    with PillowImage.open(path) as portrait:
        big = np.asarray(portrait.convert("RGB").resize((1_300, 1_300)))
    image[660:1_960, 1_500:2_800] = big
    return image


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_finds_the_same_faces_in_parts(
    kind: str, sample: PillowImage.Image, pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_pixels, "_LARGE_PIXELS", 5_000_000)
    options = {"compress_level": 1} if kind == "PNG" else {}
    content = _encoded(PillowImage.fromarray(_large(sample)), kind, **options)
    opened = open_image(content)
    pixels = opened.pixels
    assert isinstance(pixels, LargeImage)
    assert not opened.warnings
    expected = pipeline.analyze(read_image(content)).faces
    found = pipeline.analyze_opened(opened)
    assert found.image_size_wh == (2_900, 2_000)
    assert len(found.faces) == len(expected) == 5
    for face, other in zip(found.faces, expected, strict=True):
        size = other.box.width
        np.testing.assert_allclose(face.box.to_array(), other.box.to_array(), atol=0.05 * size)
        assert face.expression
        assert other.expression
        assert face.expression.top == other.expression.top
        assert face.expression[face.expression.top] == pytest.approx(
            other.expression[other.expression.top], abs=0.1
        )
        assert face.quality
        assert other.quality
        assert face.quality.size_px == pytest.approx(other.quality.size_px, rel=0.05)
    one_face = copy.copy(pipeline)
    one_face.settings = pipeline.settings.override(max_faces=1)
    (largest,) = one_face.analyze_opened(opened).faces
    assert largest.box.width > 500


_CHILD = """
import sys
from mien import FacePipeline
from mien.web.inference import InferenceEngine

def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

engine = InferenceEngine(FacePipeline())
engine.warm_up()
before = peak_mb()
with open(sys.argv[1], "rb") as file:
    with engine.analyzed(file.read()) as (image, result):
        pass
print(peak_mb() - before, len(result.faces))
"""


@LINUX
@pytest.mark.parametrize(("suffix", "limit_mb"), [(".png", 90), (".jpg", 165)])
def test_memory_of_a_large_picture_is_bounded(
    sample: PillowImage.Image, tmp_path: Path, suffix: str, limit_mb: int
) -> None:
    """Of 30 megapixels, whose copy as RGB alone takes 90 MB, and that of Pillow 120 MB."""
    image = np.full((5_470, 5_480, 3), 128, np.uint8)
    image[3_000:3_400, 2_000:3_280] = np.asarray(sample)
    path = tmp_path / f"large{suffix}"
    PillowImage.fromarray(image).save(path, compress_level=1)
    command = [sys.executable, "-c", _CHILD, str(path)]
    grown_mb, faces = map(int, subprocess.check_output(command, text=True).split())
    assert faces == 4
    assert grown_mb < limit_mb


@pytest.mark.parametrize(
    # TIFF has no transparent color of a palette.
    ("kind", "mode"),
    [("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("TIFF", "RGBA"), ("TIFF", "LA")],
)
def test_transparent_parts_of_large_pictures_are_said(
    kind: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_pixels, "_LARGE_PIXELS", 1_000_000)
    picture = PillowImage.new("L", (1250, 1000), 255)
    picture.paste(0, (0, 0, 1250, 250))
    if mode == "P":
        buffer = io.BytesIO()
        picture.convert("P").save(buffer, kind, transparency=0, compress_level=1)
    else:
        opaque = PillowImage.new("RGB" if mode == "RGBA" else "L", picture.size, "gray")
        opaque.putalpha(picture)
        buffer = io.BytesIO()
        opaque.save(buffer, kind)
    expected = ("25% of the picture is transparent, and was read as white",)
    assert decode_image(buffer.getvalue()).warnings == expected
    assert open_image(buffer.getvalue()).warnings == expected
