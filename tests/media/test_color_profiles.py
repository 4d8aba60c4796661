"""Color profiles (ICC). The profiles are made here, by the layout of ICC.1:2010."""

import io
import struct
from typing import Any

import pytest
from PIL import Image as PillowImage

from mien.media import pixels as media_pixels
from mien.media.images import read_image

# The primaries of sRGB, Display P3 and ProPhoto RGB under the light D50, from their profiles.
SRGB = (0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)
DISPLAY_P3 = (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)
PROPHOTO = (0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)
RED = (200, 30, 60)


def _number(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    white = b"XYZ \0\0\0\0" + _number(0.9642) + _number(1) + _number(0.8249)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"made\0" + b"\0" * 81
    tags = {b"desc": text, b"wtpt": white, **tags}
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + b"\0" * (-len(content) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"mien", 0x02400000, b"mntr", space, b"XYZ ")
    return head + b"\0" * 12 + b"acsp" + b"\0" * 28 + white[8:] + b"\0" * 48 + body


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(value * 256), 0)


def _rgb_profile(primaries: Any, gamma: float = 2.2) -> bytes:
    tags = {b"%cTRC" % name: _gamma(gamma) for name in b"rgb"}
    for name, primary in zip(b"rgb", primaries, strict=True):
        tags[b"%cXYZ" % name] = b"XYZ \0\0\0\0" + b"".join(map(_number, primary))
    return _profile(b"RGB ", tags)


def _read(picture: PillowImage.Image, profile: bytes, kind: str) -> list[int]:
    buffer = io.BytesIO()
    picture.save(buffer, kind, icc_profile=profile, **({"quality": 100} if kind == "JPEG" else {}))
    pixels = read_image(buffer.getvalue())
    assert pixels.shape == (16, 24, 3)
    return [int(level) for level in pixels[8, 8]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_red_and_blue_of_exchanged_primaries_are_exchanged(kind: str) -> None:
    profile = _rgb_profile(SRGB[::-1])
    found = _read(PillowImage.new("RGB", (24, 16), RED), profile, kind)
    assert found == pytest.approx([60, 30, 200], abs=8)  # 2.2 is not sRGB's curve


@pytest.mark.parametrize("primaries", [SRGB, DISPLAY_P3])
def test_profiles_near_to_srgb_are_not_applied(primaries: Any) -> None:
    assert _read(PillowImage.new("RGB", (24, 16), RED), _rgb_profile(primaries), "PNG") == [*RED]


def test_wide_colors_are_converted() -> None:
    # Gray stays gray, but gamma 1.8 is brighter than sRGB's curve: 255 (0.5 ** 1.8) ** (1 / 2.2).
    profile = _rgb_profile(PROPHOTO, 1.8)
    gray = _read(PillowImage.new("RGB", (24, 16), (128, 128, 128)), profile, "PNG")
    assert gray == pytest.approx([145, 145, 145], abs=3)
    red, green, _ = _read(PillowImage.new("RGB", (24, 16), (150, 100, 80)), profile, "PNG")
    assert red > 190
    assert green == pytest.approx(105, abs=6)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_transparency_is_kept(mode: str) -> None:
    linear = (
        _rgb_profile(SRGB, 1.0) if mode == "RGBA" else _profile(b"GRAY", {b"kTRC": _gamma(1.0)})
    )
    color: Any = {"L": 55, "LA": (55, 255), "RGBA": (55, 55, 55, 255)}[mode]
    picture = PillowImage.new(mode, (24, 16), color)
    # sRGB's level of 55 / 255 in linear light, by IEC 61966-2-1.
    assert _read(picture, linear, "PNG") == pytest.approx([128, 128, 128], abs=2)
    if mode != "L":
        picture.putalpha(0)
        assert _read(picture, linear, "PNG") == [255, 255, 255]


@pytest.mark.parametrize("profile", [b"", b"no profile", _rgb_profile(SRGB[::-1])[:200]])
def test_damaged_profiles_are_ignored(profile: bytes) -> None:
    assert _read(PillowImage.new("RGB", (24, 16), RED), profile, "PNG") == [*RED]
    # A profile of other channels than the picture's.
    gray = PillowImage.new("L", (24, 16), 99)
    assert _read(gray, _rgb_profile(SRGB[::-1]), "PNG") == [99, 99, 99]


def test_large_pictures_have_their_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_pixels, "_LARGE_PIXELS", 1_000_000)
    picture = PillowImage.new("RGB", (1250, 1000), RED)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", icc_profile=_rgb_profile(SRGB[::-1]), compress_level=1)
    pixels = read_image(buffer.getvalue())
    assert pixels[900, 1200].tolist() == pytest.approx([60, 30, 200], abs=8)
