"""Probabilities of the expressions of one face."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np

from mien.errors import InputError
from mien.labels import Expression, parse_expression
from mien.types.document import Declared, Document, FloatArray
from mien.types.regions import frozen_array


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
        probabilities = frozen_array(self.probabilities, "probabilities")
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
