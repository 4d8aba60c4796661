"""Which point is which, in each landmark scheme. Left and right are left and right in the image."""

import math

import numpy as np

from mien.errors import InputError
from mien.types import FloatArray, Landmarks

MESH_EYE_CORNERS = ((33, 133), (362, 263))
"""Corners of the left and of the right eye in ``"mesh468"``, from left to right."""

_EYES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "mesh468": MESH_EYE_CORNERS,
    "ibug68": ((36, 39), (42, 45)),
    "five": ((0,), (1,)),
    "eyes2": ((0,), (1,)),
    "blazeface6": ((0,), (1,)),
}


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
