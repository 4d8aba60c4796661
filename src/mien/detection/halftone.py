"""Printed pictures: a copy without the dots of a screen is searched, too.

Newspapers, magazines and books print gray as dots of different sizes. Networks that find faces and
landmarks never saw such pictures.
"""

import cv2
import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.types import Image

# Nine parts of this side are looked at. A screen has much of the detail in two waves at a right
# angle; of 289 photographs and pictures without people, none is taken for a print.
_SIDE = 128
_COARSEST, _FINEST = 11.0, 2.5
_LEAST_ENERGY, _LEAST_SECOND = 0.5, 0.1
_LEAST_PARTS, _MOST_WITHOUT, _SAME = 3, 2, 0.1
# Parts with less detail for their contrast have no dots, and need no transform.
_LEAST_SHARPNESS = 0.3
# In periods of the screen. Of 76 faces in 24 pictures with screens of 4 and 6 pixels, 21 are found
# without smoothing, 64 with 0.28 and 73 with 0.35.
_SMOOTHING = 0.35
_NEAR = 2

_window = np.outer(np.hanning(_SIDE), np.hanning(_SIDE)).astype(np.float32)
_rows = np.fft.fftfreq(_SIDE)[:, None]
_radius = np.hypot(_rows, np.fft.rfftfreq(_SIDE)[None, :])
_outside = _radius < 1 / _COARSEST


def without_dots(image: Image) -> Image:
    """The picture without the dots of a printing screen.

    Args:
        image: ``(H, W, 3)`` RGB uint8.

    Returns:
        The picture itself where it has none.
    """
    parts = [(imaging.sharpness(part), part) for part in _parts(image)]
    fine = sorted((one for one in parts if one[0] >= _LEAST_SHARPNESS), key=lambda one: -one[0])
    if len(fine) < _LEAST_PARTS:
        return image
    found: list[float] = []
    # Few transforms for most photographs: two sharp parts without dots are enough to know.
    for looked_at, (_, part) in enumerate(fine):
        if looked_at - len(found) == _MOST_WITHOUT:
            break
        period = _screen(part)
        found += [] if period is None else [period]
    middle = float(np.median(found)) if found else 0.0
    if sum(abs(period - middle) <= _SAME * middle for period in found) < _LEAST_PARTS:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), _SMOOTHING * middle))


def _parts(image: Image) -> list[Image]:
    height, width = image.shape[:2]
    if min(height, width) < _SIDE:
        return []
    tops = (0, (height - _SIDE) // 2, height - _SIDE)
    lefts = (0, (width - _SIDE) // 2, width - _SIDE)
    return [
        imaging.to_gray(image[top : top + _SIDE, left : left + _SIDE])
        for top in tops
        for left in lefts
    ]


def _screen(part: Image) -> float | None:
    """The distance of the rows of dots in pixels; None where there are none."""
    waves = cv2.dft((part - part.mean(dtype=np.float32)) * _window, flags=cv2.DFT_COMPLEX_OUTPUT)
    real, imaginary = cv2.split(waves[:, : _radius.shape[1]])
    power = np.asarray(real * real + imaginary * imaginary)
    power[_outside] = 0
    y, x = divmod(int(power.argmax()), power.shape[1])
    total = float(power.sum())
    signed = y if y < _SIDE // 2 else y - _SIDE
    # The same wave turned by a quarter; of two opposite ones, the transform has one.
    across = (x, -signed) if signed <= 0 else (-x, signed)
    first, second = _energy(power, y, x) / total, _energy(power, *across) / total
    if second < _LEAST_SECOND or first + second < _LEAST_ENERGY:
        return None
    return float(1 / _radius[y, x]) if _radius[y, x] <= 1 / _FINEST else None


def _energy(power: npt.NDArray[np.floating], y: int, x: int) -> float:
    """Of a wave and its neighbors."""
    rows = np.arange(y - _NEAR, y + _NEAR + 1) % _SIDE
    return float(power[rows, max(0, x - _NEAR) : x + _NEAR + 1].sum())
