"""Random changes to a face that do not change its expression.

They cover the differences between FER2013's small web pictures and a user's camera: alignment,
lighting, blur, sharpening, noise, compression, few pixels, and occlusion.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien import geometry, imaging
from mien.geometry import Array
from mien.types import Image


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much of each change; probabilities in [0, 1], lengths as fractions of the crop.

    Attributes:
        flip: probability of mirroring.
        turn_deg, scale, shift, stretch: largest change of the alignment, to both sides.
        light: probability of another brightness, contrast and gamma.
        shade: probability of light from one side.
        blur, coarse, sharpen, noise, compress: probability of each degradation.
        erase: probability of covering a rectangle.
    """

    flip: float = 0.5
    turn_deg: float = 15.0
    scale: float = 0.18
    shift: float = 0.08
    stretch: float = 0.06
    light: float = 0.8
    shade: float = 0.2
    blur: float = 0.2
    coarse: float = 0.2
    sharpen: float = 0.15
    noise: float = 0.2
    compress: float = 0.15
    erase: float = 0.3


def augment(
    image: Image,
    transform: Array,
    size_wh: tuple[int, int],
    amount: Augmentation,
    rng: np.random.Generator,
) -> Image:
    """One aligned and changed crop, resampled from the picture only once.

    Args:
        image: ``(H, W)`` gray.
        transform: ``(2, 3)`` alignment from the image to a crop of ``size_wh``.
    """
    moved = geometry.compose(_random_alignment(size_wh, amount, rng), transform)
    crop = imaging.warp(image, moved, size_wh)
    for chance, change in ((amount.light, _relight), (amount.shade, _shade)):
        if rng.random() < chance:
            crop = change(crop, rng)
    if rng.random() < amount.sharpen:
        crop = _sharpen(crop, rng)
    elif rng.random() < amount.blur:
        crop = _blur(crop, rng)
    for chance, change in (
        (amount.coarse, _coarsen),
        (amount.noise, _add_noise),
        (amount.compress, _compress),
        (amount.erase, _erase),
    ):
        if rng.random() < chance:
            crop = change(crop, rng)
    return crop


def _random_alignment(
    size_wh: tuple[int, int], amount: Augmentation, rng: np.random.Generator
) -> Array:
    """A transform of the crop onto itself: turn, scale, shift, stretch and perhaps mirror."""
    width, height = size_wh
    scale = np.exp(rng.uniform(-amount.scale, amount.scale))
    angle_deg = rng.uniform(-amount.turn_deg, amount.turn_deg)
    shift_x, shift_y = rng.uniform(-amount.shift, amount.shift, 2) * size_wh
    turned = geometry.similarity(scale, angle_deg, (shift_x, shift_y), (width / 2, height / 2))
    stretch = np.exp(rng.uniform(-amount.stretch, amount.stretch))
    wide, tall = -stretch if rng.random() < amount.flip else stretch, 1 / stretch
    stretched = [[wide, 0, width / 2 * (1 - wide)], [0, tall, height / 2 * (1 - tall)]]
    return geometry.compose(np.array(stretched), turned)


def _relight(crop: Image, rng: np.random.Generator) -> Image:
    gamma, contrast = rng.uniform(-0.45, 0.45), rng.uniform(0.5, 1.4)
    brightness = rng.uniform(-35, 35)
    levels = np.linspace(0, 1, 256) ** np.exp(gamma) * 255
    middle = float(crop.mean())
    table = np.clip((levels - middle) * contrast + middle + brightness, 0, 255).astype(np.uint8)
    return cv2.LUT(crop, table)  # type: ignore[return-value]


def _shade(crop: Image, rng: np.random.Generator) -> Image:
    height, width = crop.shape
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.7)
    ramp_x = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(np.cos(angle))
    ramp_y = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(np.sin(angle))
    shaded: npt.NDArray[np.float32] = crop * (
        1 + np.float32(2 * depth) * (ramp_x[None, :] + ramp_y[:, None])
    )
    return np.clip(shaded, 0, 255).astype(np.uint8)


def _sharpen(crop: Image, rng: np.random.Generator) -> Image:
    strength, sigma = rng.uniform(0.4, 1.6), rng.uniform(0.7, 1.5)
    smooth = cv2.GaussianBlur(crop, (0, 0), sigma)
    return cv2.addWeighted(crop, 1 + strength, smooth, -strength, 0)  # type: ignore[return-value]


def _blur(crop: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.7:
        return cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.5, 2.2))  # type: ignore[return-value]
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    center = ((length - 1) / 2, (length - 1) / 2)
    turn = cv2.getRotationMatrix2D(center, rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length)) + np.float32(1e-6)
    return cv2.filter2D(crop, -1, kernel / kernel.sum())  # type: ignore[return-value]


def _coarsen(crop: Image, rng: np.random.Generator) -> Image:
    height, width = crop.shape
    factor = rng.uniform(0.25, 0.8)
    small = imaging.resize(crop, (max(8, int(width * factor)), max(8, int(height * factor))))
    return imaging.resize(small, (width, height))


def _add_noise(crop: Image, rng: np.random.Generator) -> Image:
    grain = rng.standard_normal(crop.shape, np.float32) * np.float32(rng.uniform(2, 18))
    noisy: Image = np.clip(crop + grain, 0, 255).astype(np.uint8)
    return noisy


def _compress(crop: Image, rng: np.random.Generator) -> Image:
    quality = int(rng.integers(12, 70))
    _, encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)  # type: ignore[return-value]


def _erase(crop: Image, rng: np.random.Generator) -> Image:
    height, width = crop.shape
    area, aspect = rng.uniform(0.02, 0.2), np.exp(rng.uniform(-1.1, 1.1))
    tall = min(height - 1, int(height * np.sqrt(area * aspect)))
    wide = min(width - 1, int(width * np.sqrt(area / aspect)))
    top, left = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
    crop = crop.copy()
    if rng.random() < 0.5:
        crop[top : top + tall, left : left + wide] = rng.integers(0, 256)
    else:
        crop[top : top + tall, left : left + wide] = rng.integers(0, 256, (tall, wide), np.uint8)
    return crop
