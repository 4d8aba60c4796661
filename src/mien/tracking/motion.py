"""What tells the faces of a stream apart: where they move, and how they look."""

import math
from dataclasses import dataclass, replace

import numpy as np

from mien import imaging
from mien.geometry import Array
from mien.landmarks.schemes import is_mesh
from mien.types import Box, FloatArray, Image, Landmarks

# Heads rarely keep their velocity for longer than this.
_VELOCITY_DECAY_S = 0.5
# Time constant of the velocity estimate; a longer one lags behind a turning head.
_VELOCITY_TIME_S = 0.1


@dataclass(frozen=True, slots=True)
class Motion:
    """Position, size and velocity of a face.

    The velocity decays exponentially, in time rather than in frames.

    Attributes:
        x, y: center in pixels.
        width, height: in pixels.
        velocity_x, velocity_y: pixels per second.
        timestamp_s: time of the last update.
    """

    x: float
    y: float
    width: float
    height: float
    velocity_x: float
    velocity_y: float
    timestamp_s: float

    @classmethod
    def start(cls, box: Box, timestamp_s: float) -> "Motion":
        x, y = box.center
        return cls(x, y, box.width, box.height, 0.0, 0.0, timestamp_s)

    @property
    def box(self) -> Box:
        half_width, half_height = self.width / 2, self.height / 2
        return Box(
            self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height
        )

    def seen(self, box: Box, timestamp_s: float) -> "Motion":
        """The motion updated with a new box."""
        x, y = box.center
        elapsed = timestamp_s - self.timestamp_s
        if elapsed <= 0:
            return Motion(
                x, y, box.width, box.height, self.velocity_x, self.velocity_y, timestamp_s
            )
        weight = 1 - math.exp(-elapsed / _VELOCITY_TIME_S)
        return Motion(
            x,
            y,
            box.width,
            box.height,
            (1 - weight) * self.velocity_x + weight * (x - self.x) / elapsed,
            (1 - weight) * self.velocity_y + weight * (y - self.y) / elapsed,
            timestamp_s,
        )

    def resized(self, scale_x: float, scale_y: float) -> "Motion":
        """The motion in frames of another size."""
        return replace(
            self,
            x=self.x * scale_x,
            y=self.y * scale_y,
            width=self.width * scale_x,
            height=self.height * scale_y,
            velocity_x=self.velocity_x * scale_x,
            velocity_y=self.velocity_y * scale_y,
        )

    def predict(self, timestamp_s: float, *, keeps_velocity: bool = False) -> tuple[float, float]:
        """Expected center at a time, in pixels."""
        elapsed = max(0.0, timestamp_s - self.timestamp_s)
        reach = _VELOCITY_DECAY_S * (1 - math.exp(-elapsed / _VELOCITY_DECAY_S))
        reach = elapsed if keeps_velocity else reach
        return self.x + self.velocity_x * reach, self.y + self.velocity_y * reach

    def distance(self, box: Box, timestamp_s: float, *, keeps_velocity: bool = False) -> float:
        """Distance of a box from the expected position, in units of the mean face size.

        Includes the change of size: double or half the size counts as 0.7 face sizes.
        """
        x, y = self.predict(timestamp_s, keeps_velocity=keeps_velocity)
        box_x, box_y = box.center
        own, other = math.sqrt(self.width * self.height), math.sqrt(box.area)
        apart = math.hypot(box_x - x, box_y - y) / ((own + other) / 2)
        return math.hypot(apart, math.log(other / own))


_SIZE = 20
# Outer eye corners of the 468-point mesh, and where they go.
_EYES = (33, 263)
_EYE_Y, _EYE_DISTANCE = 0.38, 0.62
# The border of the picture may cut off this share of the side.
_MOST_CUT = 0.15


def face_patch(image: Image, landmarks: Landmarks | None) -> FloatArray | None:
    """The gray levels of an upright face, ``(400,)`` float32 of mean 0 and length 1.

    Independent of brightness and contrast. It says whether two pictures of one stream, at most
    seconds apart, show the same face; it is too coarse to recognize a person.

    Args:
        image: ``(H, W, 3)`` RGB uint8.
        landmarks: of the face.

    Returns:
        None without a mesh, for a face that the border cuts, or for one without contrast.
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
    # A part of the border's pixels would say more than the face.
    height, width = image.shape[:2]
    center_x = middle_x - (0.5 - _EYE_Y) * across_y / _EYE_DISTANCE
    center_y = middle_y + (0.5 - _EYE_Y) * across_x / _EYE_DISTANCE
    reach = (0.5 - _MOST_CUT) * distance / _EYE_DISTANCE
    if not (reach <= center_x <= width - reach and reach <= center_y <= height - reach):
        return None
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


# Points that move little with the expression: eye corners, bridge and tip of the nose, temples,
# cheek bones, forehead, and the jaw near the ears.
_RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 1, 10, 151, 9, 127, 356, 234, 454, 93, 323, 50, 280)


def face_shape(landmarks: Landmarks | None) -> Array | None:
    """Centered rigid points of unit size, ``(P, 3)``; None without a mesh with depth."""
    if landmarks is None or not is_mesh(landmarks) or landmarks.points.shape[1] != 3:
        return None
    points = landmarks.points[list(_RIGID)].astype(np.float64)
    points -= points.mean(axis=0)
    size = float(np.sqrt((points**2).sum()))
    return points / size if size > 0 else None


def shape_distance(a: Array, b: Array) -> float:
    """Distance of two shapes after rotating one onto the other, in [0, about 1].

    Method: partial Procrustes distance (Dryden and Mardia 1998) with the Kabsch rotation (Kabsch
    1976), which makes it independent of the head pose.
    """
    singular = np.linalg.svd(a.T @ b, compute_uv=False)
    if np.linalg.det(a.T @ b) < 0:
        singular[-1] = -singular[-1]
    return float(np.sqrt(max(0.0, 2 - 2 * singular.sum())))


def blend_shapes(mean: Array, new: Array, weight: float) -> Array:
    """Move the running mean of a shape toward a new one by a weight in [0, 1]."""
    u, _, vt = np.linalg.svd(new.T @ mean)
    turn = u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt
    mixed: Array = (1 - weight) * mean + weight * (new @ turn)
    return mixed / float(np.sqrt((mixed**2).sum()))
