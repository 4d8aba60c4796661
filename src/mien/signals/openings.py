"""How far the eyes and the mouth are open."""

import math

from mien.landmarks import schemes
from mien.types import FloatArray, Landmarks


def eye_openings(landmarks: Landmarks) -> tuple[float, float] | None:
    """Eye aspect ratio of the left and the right eye as seen in the image.

    Method: the mean of two distances between the lids divided by the distance between the corners
    (Soukupová and Čech, "Real-time eye blink detection using facial landmarks", 2016); about 0.3
    open and below 0.2 closed.

    Args:
        landmarks: of a scheme with eye contours, a mesh or ``"ibug68"``.

    Returns:
        Two numbers, at least 0; None for other schemes, or for an eye of zero width.
    """
    contours = schemes.EYE_CONTOURS.get(landmarks.scheme)
    if contours is None:
        return None
    left, right = (_aspect_ratio(landmarks.points[list(contour)]) for contour in contours)
    return None if left is None or right is None else (left, right)


def _aspect_ratio(contour: FloatArray) -> float | None:
    # For six points, plain Python is faster than numpy.
    left, upper_left, upper_right, right, lower_right, lower_left = contour.tolist()
    width = math.dist(left, right)
    if width == 0:
        return None
    return (math.dist(upper_left, lower_left) + math.dist(upper_right, lower_right)) / 2 / width


def mouth_opening(landmarks: Landmarks) -> float | None:
    """Mean distance between the inner lips at three places divided by the mouth width.

    Method: the eye aspect ratio of Soukupová and Čech (2016) applied to the inner lips, as is
        common
    in yawn detection.

    Args:
        landmarks: of a scheme with inner lips, a mesh or ``"ibug68"``.

    Returns:
        At least 0; near 0 for a closed mouth. None for other schemes, or a mouth of zero width.
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
