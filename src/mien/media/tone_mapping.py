"""Pixels of other tone curves as standard RGB: high dynamic range, and gamma of PNG files."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.media.pixels import MATTERS
from mien.types import Image

PQ, HLG = 16, 18
"""Transfer characteristics of HDR video, as ITU-T H.273 numbers them."""

# Where a file says its transfer characteristics: in the first box of colors by numbers
# (ISO/IEC 14496-12, 12.1.5), or in a chunk of PNG.
_COLORS_BY_NUMBERS = {"heif": (b"colrnclx", 11), "avif": (b"colrnclx", 11), "png": (b"cICP", 5)}
HEAD_OF_COLORS = 1 << 18
"""The number of bytes that :func:`tone_of` looks at."""
_BAND_ROWS = 256
_SRGB_GAMMA = 1 / 2.2

# Luminance of diffuse white in cd/m²: ITU-R BT.2408.
_WHITE_NITS = 203.0
# Nominal peak of a HLG display, for which its system gamma is 1.2.
_HLG_PEAK_NITS = 1000.0
# Linear light is kept up to here and compressed above.
_KNEE = 0.7
_LEVELS = 1024
# From BT.2020 to BT.709 primaries, linear light: ITU-R BT.2087.
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def tone_map(pixels: npt.NDArray[np.uint16], transfer: int) -> Image:
    """Map HDR pixels to standard RGB.

    Diffuse white becomes 1; linear light up to 0.7 stays as it is, so that skin looks as in
    standard video, and brighter light approaches 1 exponentially.

    Args:
        pixels: ``(H, W, 3)`` RGB with BT.2020 primaries, full range of 16 bits.
        transfer: :data:`PQ` or :data:`HLG`.

    Returns:
        ``(H, W, 3)`` RGB uint8, sRGB.
    """
    linear = np.take(_to_linear(transfer), pixels >> 6)
    light = np.maximum(cv2.transform(linear, _TO_BT709), 0)
    # The square root spreads dark levels over more entries of the table.
    steps = (np.sqrt(np.minimum(light, 64.0)) * (8 * _LEVELS / 64)).astype(np.int32)
    return np.take(_to_srgb(), np.minimum(steps, _LEVELS - 1))


def tone_of(name: str, head: bytes, info: Any) -> Callable[[Image], Image] | None:
    """What makes standard RGB of the pixels of a still image; None where they are, or nearly.

    Args:
        name: the format of the image.
        head: the first bytes of the file.
        info: what Pillow says about it.
    """
    mark, offset = _COLORS_BY_NUMBERS.get(name, (b"", 0))
    at = head.find(mark) if mark else -1
    if 0 <= at < len(head) - offset and head[at + offset] in (PQ, HLG):
        return partial(_tone_map_levels, transfer=head[at + offset])
    gamma = info.get("gamma") if name == "png" else None
    if not gamma or "srgb" in info or "icc_profile" in info:
        return None
    levels = np.arange(256) / 255
    table = np.round(255 * levels ** (_SRGB_GAMMA / gamma)).astype(np.uint8)
    matters = np.abs(table.astype(int) - np.arange(256)).mean() > MATTERS
    return partial(np.take, table) if matters else None


def _tone_map_levels(pixels: Image, transfer: int) -> Image:
    for top in range(0, len(pixels), _BAND_ROWS):
        band = pixels[top : top + _BAND_ROWS]
        band[...] = tone_map(band.astype(np.uint16) * 257, transfer)
    return pixels


@cache
def _to_linear(transfer: int) -> npt.NDArray[np.float32]:
    """Light of each signal level, in units of diffuse white."""
    signal = (np.arange(_LEVELS) + 0.5) / _LEVELS
    if transfer == PQ:
        # SMPTE ST 2084, inverse.
        power = signal ** (32 / 2523)
        nits = 10_000 * (
            np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
        ) ** (8192 / 1305)
    else:
        # ITU-R BT.2100: inverse of the HLG curve, and the system gamma on each channel.
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        nits = _HLG_PEAK_NITS * scene**1.2
    return (nits / _WHITE_NITS).astype(np.float32)


@cache
def _to_srgb() -> Image:
    """sRGB levels of light in steps of its square root."""
    light = ((np.arange(_LEVELS) + 0.5) / (8 * _LEVELS / 64)) ** 2
    above = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    mapped = np.minimum(light, _KNEE) + (1 - _KNEE) * (1 - np.exp(-above))
    srgb = np.where(mapped <= 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
    levels: Image = np.round(255 * np.clip(srgb, 0, 1)).astype(np.uint8)
    return levels
