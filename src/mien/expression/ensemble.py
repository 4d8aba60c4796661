"""Three expression networks that know different photographs: the default for photographs."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mien import geometry, imaging
from mien.expression.crop import anchors
from mien.expression.neural import NeuralClassifier
from mien.expression.noise import without_noise
from mien.expression.priors import resolve_prior, scores_from_logits, softmax, uniform_shift
from mien.geometry import Array
from mien.runtime import catalog
from mien.types import ExpressionScores, Image

# What the others count among the labels that both know: on pictures of few pixels, such as those
# that the first was trained on, and on sharp ones. All constants: docs/experiments.md.
_SHARES = {"direct": (0.2, 0.4), "opencv-fer": (0.1, 0.4)}
# How much the others' probabilities follow the label frequencies of the first network's data.
_FOLLOWS_PRIOR = 0.5
# Where the first is this sure, the others would hardly ever change the label. They cost three times
# its time, and run for a sixth to a third of the faces of a data set.
_SURE = 0.65
_GATE_SLOPE, _GATE_CENTER, _GATE_FLOOR = -19.0, -0.82, 0.02
_UNCERTAIN_BELOW = 0.6675  # covers 80 % of FER+ valid, as for the first network
_TINY = 1e-6


class EnsembleClassifier:
    """`transfer`, `direct` and `opencv-fer`, which were trained on photographs of different kinds.

    The weighted geometric mean of their probabilities among the labels that they share. A mixture
    of experts after Jacobs et al., "Adaptive mixtures of local experts", 1991, with a gate that
    looks at the sharpness of the crop, and a cascade that asks the others only where the first is
    not sure. See :class:`mien.expression.ExpressionClassifier`.

    Args:
        prior: see :func:`mien.expression.priors.resolve_prior`.
        threads: maximum number of threads per run.
        provider: execution provider.
    """

    def __init__(self, *, prior: str = "default", threads: int = 1, provider: str = "cpu") -> None:
        self._first, *others = (
            NeuralClassifier(
                catalog.find(name),
                prior="natural",
                threads=threads,
                provider=provider,
                noise_removed=True,
            )
            for name in catalog.ENSEMBLE
        )
        first = self._first.spec
        self.name = catalog.DEFAULT_EXPRESSION_MODEL
        specs = [first, *(other.spec for other in others)]
        self.spec = dataclasses.replace(
            first,
            name=self.name,
            outputs=(),
            temperature=1.0,
            source="; ".join(spec.source for spec in specs),
            license=" AND ".join(sorted({spec.license for spec in specs})),
            training_data="; ".join(spec.training_data for spec in specs),
            uncertain_below=_UNCERTAIN_BELOW,
            sha256=None,
        )
        self.prior, self._log_ratio = resolve_prior(prior, first)
        default_ratio = resolve_prior("default", first)[1]
        self._default_shift = 0.0 if default_ratio is None else default_ratio
        self._others = [_Other(other, self._first) for other in others]

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """See :meth:`mien.expression.ExpressionClassifier.classify`."""
        if not len(crops):
            return []
        crops = [without_noise(crop) for crop in crops]
        logits = self._first.logits(crops).astype(np.float64)
        logs = np.log(softmax(logits / self._first.spec.temperature) + _TINY)
        unsure = np.flatnonzero(softmax(logs + self._default_shift).max(axis=1) < _SURE)
        if unsure.size:
            few = [crops[index] for index in unsure.tolist()]
            sharp = np.array([1 - _share_of_small(crop) for crop in few])
            for other in self._others:
                logs[unsure] = other.mixed(logs[unsure], few, sharp)
        return scores_from_logits(logs, self.spec, self._log_ratio)

    def warm_up(self) -> None:
        """Load the models now rather than at the first face."""
        self._first.warm_up()
        for other in self._others:
            other.network.warm_up()


class _Other:
    """Another network, which sees the part of the first one's crop that it was trained for."""

    def __init__(self, network: NeuralClassifier, first: NeuralClassifier) -> None:
        self.network = network
        spec = network.spec
        self._to_crop = geometry.estimate_similarity(anchors(first.spec), anchors(spec))
        self._common = [first.spec.labels.index(label) for label in spec.labels]
        self._shares = _SHARES[spec.name]
        frequencies = np.array(first.spec.training_prior)[self._common] ** _FOLLOWS_PRIOR
        self._shift = np.log(frequencies) + uniform_shift(spec)

    def mixed(self, logs: Array, crops: Sequence[Image], sharp: Array) -> Array:
        """``(N, K)`` log probabilities, with other shares of the common labels.

        Args:
            logs: ``(N, K)`` log probabilities.
            crops: of the first network.
            sharp: ``(N,)`` in [0, 1], how much a crop is a sharp one.
        """
        spec = self.network.spec
        size_wh = spec.input.size_wh
        seen = [imaging.warp(imaging.as_rgb(crop), self._to_crop, size_wh) for crop in crops]
        logits = self.network.logits(seen).astype(np.float64)
        other = softmax(logits / spec.temperature + self._shift)
        small, large = self._shares
        share = (small + (large - small) * sharp)[:, np.newaxis]
        known = logs[:, self._common]
        total = np.log(np.exp(known).sum(axis=1, keepdims=True))
        mixed = logs.copy()
        mean = softmax((1 - share) * known + share * np.log(other + _TINY))
        mixed[:, self._common] = total + np.log(mean + _TINY)
        return mixed


def _share_of_small(crop: Image) -> float:
    """In [0, 1], how much a crop looks like a picture of few pixels that was enlarged.

    `transfer` has the same gate inside (``tools/mix_heads.py``), with another center.
    """
    gray = imaging.to_gray(crop).astype(np.float64)
    half = (gray[::2, ::2] + gray[1::2, ::2] + gray[::2, 1::2] + gray[1::2, 1::2]) / 4
    ratio = np.log((_detail(gray) + _GATE_FLOOR) / (_detail(half) + _GATE_FLOOR))
    return float(1 / (1 + np.exp(-_GATE_SLOPE * (ratio - _GATE_CENTER))))


def _detail(gray: Array) -> float:
    """The mean distance of a pixel to the weighted mean of itself and its neighbors."""
    rows = gray[:-2] + 2 * gray[1:-1] + gray[2:]
    smooth = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return float(np.abs(gray[1:-1, 1:-1] - smooth).mean())
