"""The contract of expression classifiers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mien.types import ExpressionScores, Image, ModelSpec


@runtime_checkable
class ExpressionClassifier(Protocol):
    """Classifies apparent expressions. Safe to share between threads and to use after a fork.

    Attributes:
        name: shown in results.
        spec: labels, input size and alignment template, which define the crops.
        prior: name of the prior of the probabilities.
    """

    name: str
    spec: ModelSpec
    prior: str

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """Classify a batch of face crops.

        Args:
            crops: ``(H, W, 3)`` RGB or ``(H, W)`` gray uint8, aligned to ``spec.alignment`` and
                of the size ``spec.input.size_wh``.

        Returns:
            One per crop, in order.
        """
        ...
