"""A small picture of a face, to check whether it is the same one as a moment ago."""

import math

import numpy as np

from mien import imaging
from mien.landmarks.schemes import is_mesh
from mien.types import FloatArray, Image, Landmarks

_SIZE = 20
# Outer eye corners of the 468-point mesh, and where they go.
_EYES = (33, 263)
_EYE_Y, _EYE_DISTANCE = 0.38, 0.62


def face_patch(image: Image, landmarks: Landmarks | None) -> FloatArray | None:
    """The gray levels of an upright face, ``(400,)`` float32 of mean 0 and length 1.

    Independent of brightness and contrast. It says whether two pictures of one stream, at most
    seconds apart, show the same face; it is too coarse to recognize a person.

    Args:
        image: ``(H, W, 3)`` RGB uint8.
        landmarks: of the face.

    Returns:
        None without a mesh, or for a face without contrast.
    """
    if landmarks is None or not is_mesh(landmarks):
        return None
    (left_x, left_y), (right_x, right_y) = landmarks.points[list(_EYES), :2].astype(float).tolist()
    across_x, across_y = right_x - left_x, right_y - left_y
    distance = math.hypot(across_x, across_y)
    if distance < 1:
        return None
    scale = _EYE_DISTANCE * _SIZE / distance
    cos, sin = scale * across_x / distance, scale * across_y / distance
    middle_x, middle_y = (left_x + right_x) / 2, (left_y + right_y) / 2
    transform = np.array(
        [
            [cos, sin, _SIZE / 2 - cos * middle_x - sin * middle_y],
            [-sin, cos, _EYE_Y * _SIZE + sin * middle_x - cos * middle_y],
        ]
    )
    gray = imaging.to_gray(imaging.warp(image, transform, (_SIZE, _SIZE))).astype(np.float32)
    centered = gray.ravel() - gray.mean()
    length = float(np.linalg.norm(centered))
    # Less than one gray level of contrast is noise.
    return centered / length if length > _SIZE else None


def similarity(a: FloatArray | None, b: FloatArray | None) -> float | None:
    """Correlation of two patches in [-1, 1]; None where one is missing."""
    return None if a is None or b is None else float(a @ b)
