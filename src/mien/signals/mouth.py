"""How far the mouth is open."""

import math

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
    points = landmarks.points[[*lips.corners, *lips.upper, *lips.lower]].tolist()
    (left, right), upper, lower = points[:2], points[2:5], points[5:]
    width = math.dist(left, right)
    if width == 0:
        return None
    return sum(map(math.dist, upper, lower)) / len(upper) / width
