"""The mean of two expression networks: ``--model both``."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mien import geometry, imaging
from mien.expression.crop import anchors
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import resolve_prior, softmax
from mien.geometry import Array
from mien.runtime import catalog
from mien.types import ExpressionScores, Image

# What the second network counts among the labels that both know. On lfw and FER2013's labels 0.3
# gains in balanced accuracy and calibration and costs FER+ a point; 0.5 gains little more and costs
# three (docs/experiments.md).
_SHARE = 0.3
_UNCERTAIN_BELOW = 0.6119  # covers 80 % of FER+ valid, as for the first network
_TINY = 1e-6


class MeanClassifier:
    """`transfer`, and among the labels that `direct` knows, the weighted geometric mean of both.

    The two were trained on different kinds of photographs by different people. See
    :class:`mien.expression.base.ExpressionClassifier`.

    Args:
        prior: of the first network; the second has no known prior and is taken as it is.
        threads: maximum number of threads per run.
        provider: execution provider.
    """

    def __init__(self, *, prior: str = "default", threads: int = 1, provider: str = "cpu") -> None:
        self._first, self._second = (
            NeuralClassifier(entry, prior="natural", threads=threads, provider=provider)
            for entry in map(catalog.find, (catalog.DEFAULT_EXPRESSION_MODEL, "direct"))
        )
        first, second = self._first.spec, self._second.spec
        self.name = catalog.MEAN_EXPRESSION_MODEL
        self.spec = dataclasses.replace(
            first,
            name=self.name,
            outputs=(),
            source=f"{first.source}; {second.source}",
            license=f"{first.license} AND {second.license}",
            training_data=f"{first.training_data}; {second.training_data}",
            uncertain_below=_UNCERTAIN_BELOW,
            sha256=None,
        )
        self.prior, self._log_ratio = resolve_prior(prior, first)
        self._common = [first.labels.index(label) for label in second.labels]
        self._to_second = geometry.estimate_similarity(anchors(first), anchors(second))

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """See :meth:`mien.expression.base.ExpressionClassifier.classify`."""
        if not len(crops):
            return []
        first, second = self._first.spec, self._second.spec
        shift = 0.0 if self._log_ratio is None else self._log_ratio
        logits = self._first.logits(crops).astype(np.float64)
        probabilities = softmax(logits / first.temperature + shift)
        size_wh = second.input.size_wh
        seen = [imaging.warp(imaging.as_rgb(c), self._to_second, size_wh) for c in crops]
        logits = self._second.logits(seen).astype(np.float64)
        probabilities = self._mixed(probabilities, softmax(logits / second.temperature))
        return [
            ExpressionScores(
                labels=self.spec.labels,
                probabilities=row.astype(np.float32),
                uncertain=bool(row.max() < self.spec.uncertain_below),
            )
            for row in probabilities
        ]

    def _mixed(self, first: Array, second: Array) -> Array:
        """``(N, K)`` of the first network, with other shares of the common labels."""
        known = first[:, self._common]
        logs = (1 - _SHARE) * np.log(known + _TINY) + _SHARE * np.log(second + _TINY)
        mixed = first.copy()
        mixed[:, self._common] = known.sum(axis=1, keepdims=True) * softmax(logs)
        return mixed

    def warm_up(self) -> None:
        """Load both models now rather than at the first face."""
        self._first.warm_up()
        self._second.warm_up()
