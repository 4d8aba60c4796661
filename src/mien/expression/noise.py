"""Noise of a small or dim sensor, removed from a crop before an expression network sees it."""

import cv2
import numpy as np

from mien import imaging
from mien.types import Image, InputSpec

# Constants: docs/experiments.md. Noise is a share of the contrast, so that a dim picture is as
# noisy as the same picture with more light and more noise. Skin and hair of a sharp picture have a
# share of up to this much.
_TEXTURE = 0.04
_LEAST = 0.05  # below, what is removed is not worth its time
_STRENGTH = 3.0
_TEMPLATE_PX, _SEARCH_PX = 5, 11
_LEAST_CONTRAST, _MIDDLE = 35.0, 128.0
_LEAST_WEIGHT = 0.001  # OpenCV's; the library for browsers uses it
_MIN_SIDE_PX = 64
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# What the filter makes of the median of the absolute value of normal noise of 1.
_MEDIAN = 0.6745 * 6


def sees_noise(spec: InputSpec) -> bool:
    """Whether a network gets crops without noise: gray ones with enough pixels to measure it."""
    return spec.color == "gray" and min(spec.size_wh) >= _MIN_SIDE_PX


def without_noise(crop: Image) -> Image:
    """A crop without the noise that hides the expression; most crops stay as they are.

    Each pixel of a noisy crop becomes the mean of those with like surroundings (Buades, Coll and
    Morel, "A non-local algorithm for image denoising", 2005), and a dim crop gets more contrast.

    Args:
        crop: ``(H, W)`` gray or ``(H, W, 3)`` RGB uint8, of a face.

    Returns:
        The crop itself, or a gray one.
    """
    gray = imaging.to_gray(crop)
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(gray))
    contrast = max(deviation, 1.0)
    noise = _noise(gray)
    if noise < _LEAST * contrast:
        return crop
    excess = noise**2 - (_TEXTURE * contrast) ** 2
    # By degrees, so that a face does not flicker where its noise is near the limit.
    share = min(excess / (_TEXTURE * contrast) ** 2, 1.0)
    gain = 1 + share * (max(_LEAST_CONTRAST / contrast, 1.0) - 1)
    if gain > 1:
        lit = (gray - mean) * gain + mean + share * (_MIDDLE - mean)
        gray = np.asarray(np.clip(np.rint(lit), 0, 255), np.uint8)
    strength = _STRENGTH * gain * excess**0.5
    return np.asarray(cv2.fastNlMeansDenoising(gray, None, strength, _TEMPLATE_PX, _SEARCH_PX))


def _noise(gray: Image) -> float:
    """Standard deviation of the noise at half the size, in gray levels.

    From the median response to a filter that edges hardly excite (Immerkær, "Fast noise variance
    estimation", 1996). At half the size, because a small face is enlarged in its crop.
    """
    half_wh = gray.shape[1] // 2, gray.shape[0] // 2
    half = cv2.resize(gray.astype(np.float32), half_wh, interpolation=cv2.INTER_AREA)
    response = np.abs(cv2.filter2D(half, -1, _LAPLACIAN))[1:-1, 1:-1].ravel()
    middle = response.size // 2
    return float(np.partition(response, middle)[middle]) / _MEDIAN
