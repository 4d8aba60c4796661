"""Which point is which, in each landmark scheme. Left and right are left and right in the image."""

import math
from dataclasses import dataclass

import numpy as np

from mien.errors import InputError
from mien.types import FloatArray, Landmarks

WHOLE_FACE = frozenset({"mesh468", "ibug68"})
"""Schemes whose points span the face from brow to chin."""

_EYES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "mesh468": ((33, 133), (362, 263)),
    "ibug68": ((36, 39), (42, 45)),
    "five": ((0,), (1,)),
    "eyes2": ((0,), (1,)),
    "blazeface6": ((0,), (1,)),
}

Contour = tuple[int, ...]

EYE_CONTOURS: dict[str, tuple[Contour, Contour]] = {
    "mesh468": ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380)),
    "ibug68": ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47)),
}
"""Left and right eye, by scheme: left corner, two points of the upper lid, right corner, two of
the lower lid from right to left."""


@dataclass(frozen=True, slots=True)
class InnerLips:
    """Corners of the mouth, and opposite points of the inner lips from left to right."""

    corners: tuple[int, int]
    upper: tuple[int, int, int]
    lower: tuple[int, int, int]


INNER_LIPS: dict[str, InnerLips] = {
    "mesh468": InnerLips((61, 291), (82, 13, 312), (87, 14, 317)),
    "ibug68": InnerLips((48, 54), (61, 62, 63), (67, 66, 65)),
}
"""By scheme."""


def eye_centers(landmarks: Landmarks) -> FloatArray:
    """Centres of the left and the right eye, ``(2, 2)`` in pixels.

    Raises:
        InputError: the scheme is unknown.
    """
    if landmarks.scheme not in _EYES:
        raise InputError(
            f"expected landmarks of a scheme out of {', '.join(_EYES)}, got {landmarks.scheme!r}"
        )
    left, right = _EYES[landmarks.scheme]
    points = landmarks.points[:, :2]
    return np.stack([points[list(left)].mean(axis=0), points[list(right)].mean(axis=0)])


def eye_line_angle_deg(landmarks: Landmarks) -> float:
    """How far the line through the eyes is turned clockwise, in degrees in (-180, 180]."""
    left, right = eye_centers(landmarks)
    return math.degrees(math.atan2(right[1] - left[1], right[0] - left[0]))
