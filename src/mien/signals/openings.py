"""How far the eyes and the mouth are open."""

import math

from mien.landmarks import schemes
from mien.types import FloatArray, Landmarks


def eye_openings(landmarks: Landmarks) -> tuple[float, float] | None:
    """Eye aspect ratio of the eye on the left and of the eye on the right in the image.

    Method: the mean of two distances between the lids over the distance between the corners
    (Soukupová and Čech, "Real-time eye blink detection using facial landmarks", 2016); about 0.3
    open and below 0.2 closed.

    Args:
        landmarks: of a scheme with eye contours, ``"mesh468"`` or ``"ibug68"``.

    Returns:
        Two numbers, at least 0; None for other landmarks, or where a contour is a single point.
    """
    contours = schemes.EYE_CONTOURS.get(landmarks.scheme)
    if contours is None:
        return None
    left, right = (_aspect_ratio(landmarks.points[list(contour)]) for contour in contours)
    return None if left is None or right is None else (left, right)


def _aspect_ratio(contour: FloatArray) -> float | None:
    # Six points are too few for numpy to be quicker.
    left, upper_left, upper_right, right, lower_right, lower_left = contour.tolist()
    width = math.dist(left, right)
    if width == 0:
        return None
    return (math.dist(upper_left, lower_left) + math.dist(upper_right, lower_right)) / 2 / width


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
