"""How far the mouth is open."""

import numpy as np

from mien.landmarks import schemes
from mien.types import Landmarks


def mouth_opening(landmarks: Landmarks) -> float | None:
    """Mean distance between the inner lips, at three places, over the width of the mouth.

    Method: the eye aspect ratio of Soukupová and Čech (2016) carried over to the inner lips, as is
    usual in yawn detection.

    Args:
        landmarks: of a scheme with inner lips, ``"mesh468"`` or ``"ibug68"``.

    Returns:
        At least 0; near 0 for a closed mouth. None for other landmarks, or a mouth without width.
    """
    lips = schemes.INNER_LIPS.get(landmarks.scheme)
    if lips is None:
        return None
    points = landmarks.points
    left, right = points[list(lips.corners)]
    width = float(np.linalg.norm(left - right))
    if width == 0:
        return None
    gaps = np.linalg.norm(points[list(lips.upper)] - points[list(lips.lower)], axis=1)
    return float(gaps.mean()) / width
