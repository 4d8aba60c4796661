"""Where things are in an image: boxes, landmarks, detections, crops."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from mien.errors import InputError
from mien.types.document import Declared, Document, FloatArray

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
class Box(Document):
    """A rectangle in pixels; the maxima are exclusive. It may reach beyond the image.

    Examples:
        >>> import mien
        >>> box = mien.Box(40, 60, 140, 190)
        >>> box.width, box.height
        (100, 130)
    """

    schema_name: ClassVar[str] = "box"

    x_min: Annotated[float, Declared("Left edge.", digits=2, rank=20)]
    y_min: Annotated[float, Declared("Top edge.", digits=2, rank=20)]
    x_max: Annotated[float, Declared("Right edge.", digits=2, rank=20)]
    y_max: Annotated[float, Declared("Bottom edge.", digits=2, rank=20)]

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

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Box":
        """The box scaled about the origin, then moved."""
        return Box(
            self.x_min * scale + x, self.y_min * scale + y,
            self.x_max * scale + x, self.y_max * scale + y,
        )  # fmt: skip

    def to_array(self) -> FloatArray:
        """``(4,)`` float32: x_min, y_min, x_max, y_max."""
        return np.array([self.x_min, self.y_min, self.x_max, self.y_max], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks(Document):
    """Points on a face.

    Examples:
        >>> import mien
        >>> landmarks = mien.analyze("photo.jpg")[0].landmarks
        >>> landmarks.points.shape[0]
        468
    """

    schema_name: ClassVar[str] = "landmarks"

    points: Annotated[
        FloatArray,
        Declared(
            "Coordinates (K, 2) or (K, 3) in pixels of the original image; a third is depth in "
            "the same unit, smaller being nearer. Only on request.",
            digits=2,
            place=2,
            on_request=True,
        ),
    ]
    scheme: Annotated[
        str,
        Declared(
            "Which points these are: mesh468 (MediaPipe FaceMesh), mesh478 (the same "
            "and the irises), ibug68, five (eyes, nose tip, "
            "mouth corners), eyes2 or blazeface6."
        ),
    ]
    presence: Annotated[
        float | None,
        Declared(
            "Probability that there is a face under the points, where the model has one.",
            digits=4,
            minimum=0,
            maximum=1,
        ),
    ] = None

    def __post_init__(self) -> None:
        points = frozen_array(self.points, "landmarks")
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise InputError(f"expected landmarks of shape (K, 2) or (K, 3), got {points.shape}")
        object.__setattr__(self, "points", points)

    def __len__(self) -> int:
        return len(self.points)

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Landmarks":
        """The points scaled about the origin, depth too, then moved."""
        points = self.points.astype(np.float64) * scale
        points[:, :2] += x, y
        return replace(self, points=points.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Detection(Document):
    """A face that a detector found.

    Attributes:
        landmarks: the few points that some detectors return with a box.

    Examples:
        >>> import mien
        >>> detection = mien.Detection(mien.Box(40, 60, 140, 190), 0.9)
        >>> detection.score
        0.9
    """

    schema_name: ClassVar[str] = "detection"

    box: Annotated[Box, Declared("Where the face is.")]
    score: Annotated[
        float,
        Declared(
            "The detector's confidence; 1 for boxes that the caller gave.",
            digits=4,
            minimum=0,
            maximum=1,
            rank=21,
        ),
    ]
    landmarks: Landmarks | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise InputError(f"expected a detection score in [0, 1], got {self.score}")

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Detection":
        """The detection scaled about the origin, then moved."""
        landmarks = self.landmarks and self.landmarks.moved(x, y, scale)
        return Detection(self.box.moved(x, y, scale), self.score, landmarks)


@dataclass(frozen=True, slots=True, eq=False)
class AlignedCrop:
    """A face warped to a model's template.

    Attributes:
        image: ``(H, W)`` or ``(H, W, 3)`` uint8.
        transform: ``(2, 3)`` float64, from pixels of the original image to pixels of the crop.
    """

    image: Image
    transform: npt.NDArray[np.float64]
