"""The mesh of a fake face."""

import math

import numpy as np

from mien.landmarks.schemes import EYE_CONTOURS, INNER_LIPS, MESH_LINES
from mien.signals.pose import RIGID_FACE
from mien.types import Box, FloatArray

_MESH_POINTS = 468


def face_mesh(
    box: Box, *, eye_opening: float = 0.3, mouth_opening: float = 0.05, yaw_deg: float = 0.0
) -> FloatArray:
    """A symmetric mesh that fills a box: ``(468, 3)`` float32 of the scheme ``"mesh468"``.

    The points that mien measures (eyes, lips, those of the head's pose, the oval) are where they
    are on a canonical face; the others are spread over it.

    Args:
        box: in pixels.
        eye_opening: eye aspect ratio of both eyes; about 0.3 is open, below 0.2 is closed.
        mouth_opening: inner lip distance over mouth width, at least 0.
        yaw_deg: turn to the side in degrees, positive toward the right edge of the image.

    Examples:
        >>> face_mesh(Box(40, 30, 120, 110)).shape
        (468, 3)
    """
    mesh = _SPREAD.copy()
    for contour, middle in zip(EYE_CONTOURS["mesh468"], (-0.5, 0.5), strict=True):
        left, upper_left, upper_right, right, lower_right, lower_left = contour
        half_gap = eye_opening * _EYE_WIDTH / 2
        for index, side in ((left, -1), (right, 1)):
            mesh[index] = (middle + side * _EYE_WIDTH / 2, 0.0, 0.0)
        for index, side in ((upper_left, -1), (upper_right, 1)):
            mesh[index] = (middle + side * 0.07, -half_gap, 0.0)
        for index, side in ((lower_left, -1), (lower_right, 1)):
            mesh[index] = (middle + side * 0.07, half_gap, 0.0)
    lips = INNER_LIPS["mesh468"]
    half_gap = mouth_opening * _MOUTH_WIDTH / 2
    mesh[list(lips.upper)] = [(x, _MOUTH_Y - half_gap, -0.4) for x in (-0.2, 0.0, 0.2)]
    mesh[list(lips.lower)] = [(x, _MOUTH_Y + half_gap, -0.4) for x in (-0.2, 0.0, 0.2)]
    mesh[list(lips.corners)] = [(x, _MOUTH_Y, -0.4) for x in (-_MOUTH_WIDTH / 2, _MOUTH_WIDTH / 2)]
    cos, sin = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    x, z = mesh[:, 0].copy(), mesh[:, 2].copy()
    mesh[:, 0], mesh[:, 2] = cos * x - sin * z, sin * x + cos * z
    scale = np.array([box.width, box.height, (box.width + box.height) / 2]) / _MESH_SIDE
    center_x, center_y = box.center
    offset = np.array([center_x, center_y - _MESH_MIDDLE_Y * scale[1], 0])
    return np.asarray(mesh * scale + offset, np.float32)


# The mesh in distances between the eyes, from their middle.
_MESH_SIDE = 2.24
_MESH_MIDDLE_Y = 0.35
_EYE_WIDTH = 0.448
_MOUTH_WIDTH = 0.8
_MOUTH_Y = 0.95
# Of the canonical face, in which the eyes are 2.6 cm above the origin: small enough for the box.
_CM = 1 / 7.4
_EYES_CM = -2.6


def _spread_points() -> FloatArray:
    """All points of the mesh on a bowl, then those of the oval and the rigid ones."""
    numbers = np.arange(_MESH_POINTS)
    radius = 0.95 * np.sqrt((numbers + 0.5) / _MESH_POINTS)
    turn = numbers * math.pi * (3 - math.sqrt(5))
    half = _MESH_SIDE / 2
    mesh = np.column_stack(
        [
            half * radius * np.cos(turn),
            _MESH_MIDDLE_Y + half * radius * np.sin(turn),
            1.2 * radius**2 - 0.5,
        ]
    )
    oval = MESH_LINES["face_oval"].indices
    turn = 2 * math.pi * np.arange(len(oval)) / len(oval)
    mesh[list(oval), 0] = -half * np.sin(turn)
    mesh[list(oval), 1] = _MESH_MIDDLE_Y - half * np.cos(turn)
    mesh[list(oval), 2] = 0.6
    mesh[list(RIGID_FACE)] = [
        (x * _CM, (y - _EYES_CM) * _CM, z * _CM) for x, y, z in RIGID_FACE.values()
    ]
    return mesh.astype(np.float32)


_SPREAD = _spread_points()
