"""The contract of expression classifiers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mien.types import ExpressionScores, Image, ModelSpec


@runtime_checkable
class ExpressionClassifier(Protocol):
    """Tells the apparent expression of faces. May be shared between threads, used after a fork.

    Attributes:
        name: as it stands in results.
        spec: labels, input size, alignment template, prior: what a caller must know to crop.
        prior: name of the prior that the probabilities stand under.
    """

    name: str
    spec: ModelSpec
    prior: str

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """Classify faces, as one batch.

        Args:
            crops: ``(H, W, 3)`` RGB or ``(H, W)`` gray uint8, aligned to ``spec.alignment`` and
                of size ``spec.input.size_wh``.

        Returns:
            One for each crop, in order.
        """
        ...
