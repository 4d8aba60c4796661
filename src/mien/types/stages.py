"""What the stages find in an image: boxes, landmarks, detections, crops, and probabilities."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from mien.errors import InputError
from mien.labels import Expression, parse_expression
from mien.types.contract import as_number, check_kind
from mien.types.document import Declared, Document, FloatArray

Image = npt.NDArray[np.uint8]
"""``(height, width, 3)`` RGB or ``(height, width)`` gray, uint8."""


def _frozen_array(values: npt.ArrayLike, what: str) -> FloatArray:
    """A read-only float32 copy; raises InputError where something is not a finite number."""
    try:
        array = np.array(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(f"expected an array of numbers in {what}") from None
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
        for value in values:
            as_number(value, "an edge of a box")
        if self.x_max <= self.x_min or self.y_max <= self.y_min:
            raise InputError(f"expected a box with x_min < x_max and y_min < y_max, got {values}")

    @property
    def width(self) -> float:
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        return self.y_max - self.y_min

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        return (self.x_min + self.x_max) / 2, (self.y_min + self.y_max) / 2

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Box":
        """The box scaled about the origin, then moved.

        Args:
            x, y: shift in pixels.
            scale: by which the coordinates are multiplied first.
        """
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
        points = _frozen_array(self.points, "landmarks")
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise InputError(f"expected landmarks of shape (K, 2) or (K, 3), got {points.shape}")
        object.__setattr__(self, "points", points)

    def __len__(self) -> int:
        return len(self.points)

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Landmarks":
        """The points scaled about the origin, depth too, then moved.

        Args:
            x, y: shift in pixels.
            scale: by which the coordinates are multiplied first.
        """
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
        check_kind(self.box, Box, "the box of a detection")
        if not 0 <= as_number(self.score, "a detection score") <= 1:
            raise InputError(f"expected a detection score in [0, 1], got {self.score}")

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Detection":
        """The detection scaled about the origin, then moved.

        Args:
            x, y: shift in pixels.
            scale: by which the coordinates are multiplied first.
        """
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


@dataclass(frozen=True, slots=True, eq=False)
class ExpressionScores(Document):
    """Probabilities of the expressions of one face: how it looks, not what the person feels.

    Attributes:
        labels: the expressions, in the order of the model.
        probabilities: ``(K,)`` float32 in [0, 1], summing to 1.
        held: in a stream, the smoothed label, kept until another has clearly replaced it.

    Examples:
        >>> import mien
        >>> scores = mien.analyze("photo.jpg")[0].expression
        >>> scores.label.value, scores["happiness"] > 0.5, scores.uncertain
        ('happiness', True, False)
    """

    schema_name: ClassVar[str] = "expression"

    labels: tuple[Expression, ...]
    probabilities: FloatArray
    uncertain: Annotated[
        bool,
        Declared(
            "Whether the prediction has low confidence, by the model's documented rule.",
            place=1,
            rank=32,
        ),
    ] = False
    held: Expression | None = None

    def __post_init__(self) -> None:
        probabilities = _frozen_array(self.probabilities, "probabilities")
        if probabilities.shape != (len(self.labels),) or not self.labels:
            raise InputError(
                f"expected {len(self.labels)} probabilities, got shape {probabilities.shape}"
            )
        if probabilities.min() < -1e-6 or abs(float(probabilities.sum()) - 1) > 1e-3:
            raise InputError(f"expected probabilities in [0, 1] that sum to 1, got {probabilities}")
        object.__setattr__(self, "probabilities", probabilities)

    @property
    def top(self) -> Expression:
        """The most probable expression, always."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def label(
        self,
    ) -> Annotated[
        Expression,
        Declared(
            "The label to show: the most probable one, or in a stream the smoothed one.",
            column="expression",
            rank=30,
        ),
    ]:
        """The label to show: the most probable one, or in a stream the smoothed one."""
        return self.held or self.top

    @property
    def _by_label(
        self,
    ) -> Annotated[
        Mapping[Expression, float],
        Declared(
            "Of each label that the model knows; they sum to 1.",
            digits=5,
            minimum=0,
            maximum=1,
            key="probabilities",
            place=2,
            column="p_",
            rank=34,
        ),
    ]:
        return dict(zip(self.labels, self.probabilities.tolist(), strict=True))

    def __getitem__(self, expression: Expression | str) -> float:
        if not isinstance(expression, str):
            raise InputError(
                f"expected the name of an expression, got {expression!r}: for example "
                '["happiness"]; `ranked()` has all in order'
            )
        label = expression if expression in self.labels else parse_expression(expression)
        if label not in self.labels:
            known = ", ".join(self.labels)
            raise InputError(f"expected one of the model's expressions ({known}), got {label}")
        return float(self.probabilities[self.labels.index(label)])

    def as_dict(self) -> dict[str, float]:
        """The probability of each label, unrounded, in the order of the model."""
        return {label.value: value for label, value in self._by_label.items()}

    def ranked(self) -> list[tuple[Expression, float]]:
        """All expressions with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return [(self.labels[i], float(self.probabilities[i])) for i in order]

    @classmethod
    def _construct(cls, values: dict[str, Any]) -> Self:
        probabilities = values["_by_label"]
        scores = cls(
            tuple(probabilities),
            np.array(list(probabilities.values()), np.float32),
            uncertain=values.get("uncertain", False),
        )
        held = values["label"]
        return scores if held is scores.top else dataclasses.replace(scores, held=held)
