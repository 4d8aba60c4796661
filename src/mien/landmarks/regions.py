"""The square region of an image that is the input of a landmark network."""

import math
from dataclasses import dataclass

import numpy as np

from mien import geometry
from mien.errors import InputError
from mien.landmarks import schemes
from mien.types import Box, Detection, Landmarks


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated square of an image.

    Attributes:
        center: in pixels.
        side: side length in pixels, positive.
        angle_deg: clockwise rotation of the face in it.
    """

    center: tuple[float, float]
    side: float
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        values = (*self.center, self.side, self.angle_deg)
        if not all(map(math.isfinite, values)) or self.side <= 0:
            raise InputError(f"expected a finite region with a positive side, got {values}")

    def transform(self, size: int) -> geometry.Array:
        """``(2, 3)``, from the image to the upright square of ``size`` pixels."""
        return geometry.square_to_frame(self.center, self.side, self.angle_deg, size)

    def distance(self, other: "Region") -> float:
        """Distance to another region, at least 0.

        The maximum of the distance between the centers relative to the side, the logarithm of the
        ratio of the sides, and the angle between the regions relative to 90 degrees.
        """
        shift = math.dist(self.center, other.center) / self.side
        angle_deg = (self.angle_deg - other.angle_deg + 180) % 360 - 180
        return max(shift, abs(math.log(other.side / self.side)), abs(angle_deg) / 90)


def roi_from_detection(detection: Detection, scale: float) -> Region:
    """The region of a detected face, rotated by the eye line if the detection has landmarks.

    Args:
        detection: with landmarks of a scheme that has eyes, or without landmarks.
        scale: side of the region relative to the longer side of the box.
    """
    box = detection.box
    angle_deg = 0.0
    if detection.landmarks is not None:
        angle_deg = schemes.eye_line_angle_deg(detection.landmarks)
    return Region(box.center, scale * max(box.width, box.height), angle_deg)


def roi_from_landmarks(landmarks: Landmarks, scale: float = 1.5) -> Region:
    """The region around known landmarks, for a second pass or for the next frame.

    Args:
        landmarks: of a scheme that covers the whole face.
        scale: side of the region relative to the longer side of the landmarks' rotated box.
    """
    angle_deg = schemes.eye_line_angle_deg(landmarks)
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    upright = np.array([[cos, sin], [-sin, cos]], np.float32) @ landmarks.points[:, :2].T
    (left, top), (right, bottom) = upright.min(axis=1).tolist(), upright.max(axis=1).tolist()
    x, y = (left + right) / 2, (top + bottom) / 2
    side = max(right - left, bottom - top, 1e-3)
    return Region((cos * x - sin * y, sin * x + cos * y), scale * side, angle_deg)


def box_from_landmarks(landmarks: Landmarks) -> Box:
    """The axis-aligned bounding box of all points."""
    xs, ys = landmarks.points[:, 0], landmarks.points[:, 1]
    return Box(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
