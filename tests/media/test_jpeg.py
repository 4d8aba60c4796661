"""JPEG files that are damaged in their middle, which decoders pass over in silence."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.media.images import decode_image

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "best": {"quality": 100, "subsampling": 0},
    "optimized": {"optimize": True, "quality": 60},
    "restarts": {"restart_marker_rows": 1},
    "restarts in rows": {"restart_marker_blocks": 7},
    "progressive": {"progressive": True},
}


@pytest.fixture(scope="module")
def photo(samples: dict[str, Path]) -> Image.Image:
    with Image.open(samples["group"]) as picture:
        return picture.resize((487, 353))


def saved(photo: Image.Image, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    photo.convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def middle_of(data: bytes) -> int:
    return (data.index(b"\xff\xda") + len(data)) // 2


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_sound_files_have_no_warning(photo: Image.Image, kind: str, mode: str) -> None:
    data = saved(photo, mode, **KINDS[kind])
    with Image.open(io.BytesIO(data)) as plain:
        expected = np.asarray(plain.convert("RGB"))
    # Encoders may fill up the data of a scan, and devices the file.
    for content in (data, data[:-2] + b"\xff\xff\xff\xd9", data[:-2] + bytes(40) + data[-2:],
                    data + bytes(99), data + b"more"):  # fmt: skip
        decoded = decode_image(content)
        assert decoded.warnings == ()
        assert np.array_equal(decoded.pixels, expected)


@pytest.mark.parametrize("width", [1, 7, 8, 17])
@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("progressive", [False, True])
def test_plain_pictures_have_no_warning(width: int, shade: int, progressive: bool) -> None:
    one_color = Image.new("RGB", (width, 900), (shade, shade, shade))
    data = saved(one_color, optimize=True, progressive=progressive)
    assert decode_image(data).warnings == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["never written", "lost", "other data", "repeated"])
def test_tells_damage_in_the_middle(photo: Image.Image, kind: str, damage: str) -> None:
    data = saved(photo, **KINDS[kind])
    if kind == "progressive" and damage in ("lost", "repeated"):
        pytest.skip("markers do not show it, and libjpeg's warnings are not to be had")
    at, size = middle_of(data), 1500
    other = {
        "never written": bytes(size),
        "lost": b"",
        "other data": np.random.default_rng(1).bytes(size),
        "repeated": data[at - size : at],
    }[damage]
    decoded = decode_image(data[:at] + other + data[at + size :])
    assert "damaged" in decoded.warnings[0]
    assert decoded.pixels.shape == (353, 487, 3)
    sound = decode_image(data).pixels.astype(int)
    if kind != "progressive":  # what comes before is read
        assert np.array_equal(decoded.pixels[:120], sound[:120])


@pytest.mark.parametrize("marker", [0x01, 0x70, 0xC0, 0xD8])
def test_tells_markers_where_none_may_be(photo: Image.Image, marker: int) -> None:
    data = saved(photo)
    at = middle_of(data)
    decoded = decode_image(data[:at] + bytes([0xFF, marker]) + data[at + 2 :])
    assert "damaged" in decoded.warnings[0]
    assert decoded.pixels.std() > 20


def test_tells_restart_markers_that_are_missing(photo: Image.Image) -> None:
    data = saved(photo, restart_marker_rows=1)
    at = data.index(b"\xff\xd3")
    assert "damaged" in decode_image(data[:at] + b"\x55\x55" + data[at + 2 :]).warnings[0]
    unannounced = saved(photo)
    at = middle_of(unannounced)
    assert decode_image(unannounced[:at] + b"\xff\xd0" + unannounced[at:]).warnings
