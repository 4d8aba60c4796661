"""Point indices of each landmark scheme. Left and right are as seen in the image."""

import math
from dataclasses import dataclass

import numpy as np

from mien.errors import InputError
from mien.types import FloatArray, Landmarks

_MESHES = frozenset({"mesh468", "mesh478"})
"""MediaPipe's meshes: ``"mesh478"`` is ``"mesh468"`` and then the irises."""

POINTS = {"mesh468": 468, "mesh478": 478, "ibug68": 68, "five": 5, "eyes2": 2, "blazeface6": 6}
"""Number of points of each scheme."""

_EYES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    **dict.fromkeys(_MESHES, ((33, 133), (362, 263))),
    "ibug68": ((36, 39), (42, 45)),
    "five": ((0,), (1,)),
    "eyes2": ((0,), (1,)),
    "blazeface6": ((0,), (1,)),
}

_Contour = tuple[int, ...]

EYE_CONTOURS: dict[str, tuple[_Contour, _Contour]] = {
    **dict.fromkeys(_MESHES, ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))),
    "ibug68": ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47)),
}
"""Left and right eye by scheme: left corner, two points of the upper lid, right corner, two points
of the lower lid from right to left."""


@dataclass(frozen=True, slots=True)
class _InnerLips:
    """Mouth corners, and opposite points of the inner lips from left to right."""

    corners: tuple[int, int]
    upper: tuple[int, int, int]
    lower: tuple[int, int, int]


INNER_LIPS: dict[str, _InnerLips] = {
    **dict.fromkeys(_MESHES, _InnerLips((61, 291), (82, 13, 312), (87, 14, 317))),
    "ibug68": _InnerLips((48, 54), (61, 62, 63), (67, 66, 65)),
}
"""Inner lips by scheme."""


def eye_centers(landmarks: Landmarks) -> FloatArray:
    """Centers of the left and the right eye, ``(2, 2)`` in pixels.

    Raises:
        InputError: the scheme is unknown.
    """
    if landmarks.scheme not in _EYES:
        raise InputError(
            f"expected landmarks of a scheme out of {', '.join(_EYES)}, got {landmarks.scheme!r}"
        )
    left, right = _EYES[landmarks.scheme]
    points = landmarks.points[[*left, *right], :2].reshape(2, len(left), 2)
    return np.asarray(points.sum(axis=1) / np.float32(len(left)))


def eye_line_angle_deg(landmarks: Landmarks) -> float:
    """Clockwise rotation of the line through the eyes, in degrees in (-180, 180]."""
    (left_x, left_y), (right_x, right_y) = eye_centers(landmarks).tolist()
    return math.degrees(math.atan2(right_y - left_y, right_x - left_x))


IBUG68_FROM_MESH: _Contour = (
    *(127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)
"""The mesh point at the position of each of the 68 points of the iBUG 300-W markup (Sagonas et al.
2016). The jaw differs: the mesh follows the skin, the markup the visible outline, so they diverge
as the head turns."""

# Nose tip and mouth corners; the eyes are the means of the eye corners.
_FIVE_FROM_MESH = (4, 61, 291)


@dataclass(frozen=True, slots=True)
class _MeshLine:
    """A line through mesh points in order; a closed one ends at its first point."""

    indices: _Contour
    closed: bool


MESH_LINES: dict[str, _MeshLine] = {
    "face_oval": _MeshLine(
        (
            *(10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148),
            *(152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356, 389, 251, 284, 332, 297),
            338,
        ),
        closed=True,
    ),
    "left_brow": _MeshLine((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), closed=True),
    "right_brow": _MeshLine((300, 293, 334, 296, 336, 285, 295, 282, 283, 276), closed=True),
    "left_eye": _MeshLine(
        (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7), closed=True
    ),
    "right_eye": _MeshLine(
        (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382),
        closed=True,
    ),
    "nose_bridge": _MeshLine((168, 6, 197, 195, 5, 4, 1, 19, 94, 2), closed=False),
    "nose_base": _MeshLine((98, 97, 2, 326, 327), closed=False),
    "outer_lips": _MeshLine(
        (
            *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
            *(375, 321, 405, 314, 17, 84, 181, 91, 146),
        ),
        closed=True,
    ),
    "inner_lips": _MeshLine(
        (
            *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
            *(324, 318, 402, 317, 14, 87, 178, 88, 95),
        ),
        closed=True,
    ),
}
"""Lines of a mesh for drawing, from MediaPipe's face_mesh_connections."""

IRISES: tuple[_Contour, _Contour] = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))
"""Left and right iris of ``"mesh478"``: the center, then four points on its edge."""


def is_mesh(landmarks: Landmarks) -> bool:
    """Whether these are the points of one of MediaPipe's meshes."""
    return landmarks.scheme in _MESHES


def to_ibug68(landmarks: Landmarks) -> Landmarks:
    """Convert a mesh to the 68 points of the iBUG markup.

    Raises:
        InputError: the landmarks are not a mesh.
    """
    _expect_mesh(landmarks)
    points = landmarks.points[list(IBUG68_FROM_MESH)]
    return Landmarks(points, "ibug68", landmarks.presence)


def to_five(landmarks: Landmarks) -> Landmarks:
    """Convert a mesh to eye centers, nose tip and mouth corners ``(5, 2)``.

    Raises:
        InputError: the landmarks are not a mesh.
    """
    _expect_mesh(landmarks)
    others = landmarks.points[list(_FIVE_FROM_MESH), :2]
    return Landmarks(np.concatenate([eye_centers(landmarks), others]), "five", landmarks.presence)


def _expect_mesh(landmarks: Landmarks) -> None:
    if not is_mesh(landmarks):
        raise InputError(
            f"expected landmarks of a mesh, mesh468 or mesh478, got {landmarks.scheme!r}"
        )
