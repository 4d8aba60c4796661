"""Where things are in an image: boxes, landmarks, detections, crops."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import InputError

FloatArray = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
"""``(height, width, 3)`` RGB or ``(height, width)`` gray, uint8."""


def frozen_array(values: npt.ArrayLike, what: str) -> FloatArray:
    """A read-only float32 copy; raises InputError where a number is not finite."""
    array = np.array(values, dtype=np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"expected finite numbers in {what}, got NaN or infinity")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; the maxima are exclusive. It may reach beyond the image."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        values = (self.x_min, self.y_min, self.x_max, self.y_max)
        if (
            not all(map(math.isfinite, values))
            or self.x_max <= self.x_min
            or self.y_max <= self.y_min
        ):
            raise InputError(f"expected a box with x_min < x_max and y_min < y_max, got {values}")

    @property
    def width(self) -> float:
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        return self.y_max - self.y_min

    @property
    def center(self) -> tuple[float, float]:
        return (self.x_min + self.x_max) / 2, (self.y_min + self.y_max) / 2

    def to_array(self) -> FloatArray:
        """``(4,)`` float32: x_min, y_min, x_max, y_max."""
        return np.array([self.x_min, self.y_min, self.x_max, self.y_max], dtype=np.float32)

    def to_dict(self) -> dict[str, float]:
        return {
            "x_min": round(float(self.x_min), 2),
            "y_min": round(float(self.y_min), 2),
            "x_max": round(float(self.x_max), 2),
            "y_max": round(float(self.y_max), 2),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Points on a face.

    Attributes:
        points: ``(K, 2)`` or ``(K, 3)`` float32, pixels of the original image; a third column is
            depth in the same unit, smaller being nearer to the camera.
        scheme: which points these are: ``"mesh468"`` (MediaPipe FaceMesh), ``"ibug68"``,
            ``"five"`` (eyes, nose tip, mouth corners), ``"eyes2"`` or ``"blazeface6"``.
        presence: probability in [0, 1] that there is a face under the points, if the model gives
            one.
    """

    points: FloatArray
    scheme: str
    presence: float | None = None

    def __post_init__(self) -> None:
        points = frozen_array(self.points, "landmarks")
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise InputError(f"expected landmarks of shape (K, 2) or (K, 3), got {points.shape}")
        object.__setattr__(self, "points", points)

    def __len__(self) -> int:
        return len(self.points)

    def to_dict(self, *, points: bool = False) -> dict[str, Any]:
        document: dict[str, Any] = {
            "scheme": self.scheme,
            "presence": None if self.presence is None else round(float(self.presence), 4),
        }
        if points:
            document["points"] = [[round(float(v), 2) for v in point] for point in self.points]
        return document


@dataclass(frozen=True, slots=True)
class Detection:
    """A face that a detector found.

    Attributes:
        box: where.
        score: the detector's confidence in [0, 1]; 1 for boxes that the caller gave.
        landmarks: the few points that some detectors give with a box.
    """

    box: Box
    score: float
    landmarks: Landmarks | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise InputError(f"expected a detection score in [0, 1], got {self.score}")


@dataclass(frozen=True, slots=True, eq=False)
class AlignedCrop:
    """A face warped to a model's template.

    Attributes:
        image: ``(H, W)`` or ``(H, W, 3)`` uint8.
        transform: ``(2, 3)`` float64, from pixels of the original image to pixels of the crop.
    """

    image: Image
    transform: npt.NDArray[np.float64]
