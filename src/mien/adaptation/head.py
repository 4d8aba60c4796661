"""A small classifier on what a network says and sees: from its outputs to the labels of a user.

The head is a multinomial logistic regression on the network's log probabilities and on its
embedding. Its weights are pulled toward the network's own mapping, in which every label keeps its
log probability, so that a few pictures change little and many change as much as they can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.evaluation.dataset import IntArray
from mien.expression.priors import softmax
from mien.geometry import Array
from mien.labels import Expression, labels_of
from mien.types import ModelSpec

LOG_FLOOR = -8.0
"""Log probabilities below are raised to this: how unlikely the unlikely is means little."""

_BIAS_PENALTY = 3.0
_COMPONENTS = 128
_STEPS = 200
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Strength:
    """How strongly weights are pulled toward the network's own mapping.

    Attributes:
        outputs: penalty of the weights of the log probabilities.
        embedding: penalty of the weights of the embedding; None leaves it out.
    """

    outputs: float
    embedding: float | None


STRENGTHS = (
    Strength(30.0, 1.0),
    Strength(100.0, None),
    Strength(100.0, 0.3),
    Strength(10.0, 1.0),
    Strength(3.0, 0.3),
    Strength(3.0, None),
)
"""The candidates of the cross-validation, the usual choice first (docs/adapting.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What a network says about pictures and their mirror images.

    Attributes:
        log_probabilities: ``(N, 2, C)`` under a uniform prior, from :data:`LOG_FLOOR` to 0.
        embedding: ``(N, 2, D)``; D is 0 where the network has none.
    """

    log_probabilities: Array
    embedding: Array

    def __len__(self) -> int:
        return len(self.log_probabilities)

    def take(self, rows: IntArray) -> "Features":
        return Features(self.log_probabilities[rows], self.embedding[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Logits are linear in log probabilities and embedding.

    Attributes:
        outputs: ``(C, K)`` weights of the log probabilities.
        embedding: ``(D, K)`` weights of the embedding.
        bias: ``(K,)``.
    """

    outputs: Array
    embedding: Array
    bias: Array

    def logits(self, features: Features) -> Array:
        """``(N, K)`` of the pictures as they are."""
        of_outputs = features.log_probabilities[:, 0] @ self.outputs
        return np.asarray(of_outputs + features.embedding[:, 0] @ self.embedding + self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """The embedding as a few standardized components, which depend on no label.

    Attributes:
        mean: ``(D,)``.
        components: ``(D, P)``.
    """

    mean: Array
    components: Array

    def project(self, embedding: Array) -> Array:
        """``(..., D)`` to ``(..., P)``."""
        return np.asarray((embedding - self.mean) @ self.components)


def make_space(embedding: Array) -> Space:
    """The principal components of an embedding ``(N, 2, D)``, in which rows have length 1."""
    rows = embedding.reshape(-1, embedding.shape[-1])
    if not rows.size:
        return Space(np.zeros(rows.shape[1]), np.zeros((rows.shape[1], 0)))
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    # Features that hardly vary in a few pictures would otherwise count as much as any other.
    scale = 1 / ((deviation + 0.05 * rows.std()) * np.sqrt(rows.shape[1]) + 1e-12)
    _, _, axes = np.linalg.svd((rows - mean) * scale, full_matrices=False)
    return Space(mean, scale[:, None] * axes[:_COMPONENTS].T)


def own_mapping(spec: ModelSpec, labels: Sequence[Expression]) -> Array:
    """``(C, K)``: 1 where an output of the network means a label of the user."""
    mapping = np.zeros((len(spec.labels), len(labels)))
    meaning = labels_of(spec.labels)([label.value for label in labels])
    for column, label in enumerate(labels):
        if meaning.get(label.value) in spec.labels:
            mapping[spec.labels.index(meaning[label.value]), column] = 1
    # Where two labels mean the same output, it cannot say which of them a picture shows.
    return mapping


def fit_head(
    features: Features, truth: IntArray, mapping: Array, strength: Strength, space: Space
) -> Head:
    """Fit a head with all labels counting the same.

    Args:
        features: of the pictures.
        truth: ``(N,)`` index of the label, each at least once.
        mapping: ``(C, K)`` weights that the head keeps without pictures.
        strength: of the pull toward them.
        space: of the embedding.
    """
    count = mapping.shape[1]
    views = features.log_probabilities.shape[1]
    logs = features.log_probabilities.reshape(-1, len(mapping))
    centered = logs - logs.mean(axis=1, keepdims=True)
    parts, penalty = [centered], [np.full(len(mapping), strength.outputs)]
    if strength.embedding is not None:
        seen = space.project(features.embedding).reshape(len(centered), -1)
        parts.append(seen)
        penalty.append(np.full(seen.shape[1], strength.embedding))
    rows = np.concatenate([*parts, np.ones((len(centered), 1))], axis=1)
    start = np.zeros((rows.shape[1], count))
    start[: len(mapping)] = mapping
    share = len(truth) / (count * np.maximum(np.bincount(truth, minlength=count), 1))
    weights = _multinomial(
        rows,
        np.eye(count)[np.repeat(truth, views)],
        np.repeat(share[truth], views) / views,
        np.concatenate([*penalty, [_BIAS_PENALTY]]),
        start,
    )
    of_outputs, bias = weights[: len(mapping)], weights[-1]
    of_outputs = of_outputs - of_outputs.mean(axis=0)  # the same as centering the rows
    of_embedding = np.zeros((features.embedding.shape[-1], count))
    if strength.embedding is not None:
        of_embedding = space.components @ weights[len(mapping) : -1]
        bias = bias - space.mean @ of_embedding
    return Head(of_outputs, of_embedding, bias)


def _multinomial(
    rows: Array, targets: Array, row_weights: Array, penalty: Array, start: Array
) -> Array:
    """Minimize the weighted cross entropy plus half the penalized squared distance to `start`.

    Method: the Hessian has a bound that is the same at all weights (Böhning, "Multinomial logistic
    regression algorithm", 1992), so that its eigenvectors are computed once; accelerated steps with
    restarts (O'Donoghue and Candès, "Adaptive restart for accelerated gradient schemes", 2015).

    Args:
        rows: ``(N, F)``.
        targets: ``(N, K)`` one-hot.
        row_weights: ``(N,)``.
        penalty: ``(F,)`` above 0.
        start: ``(F, K)``.

    Returns:
        ``(F, K)``.
    """
    base, scale = rows @ start, 1 / np.sqrt(penalty)
    scaled = rows * scale
    curvature, axes = np.linalg.eigh((scaled * row_weights[:, None]).T @ scaled)
    turned = scaled @ axes
    step = (1 / (np.maximum(curvature, 0) / 2 + 1))[:, None]
    weights = ahead = np.zeros_like(start)
    momentum = 1.0
    for _ in range(_STEPS):
        errors = (softmax(base + turned @ ahead) - targets) * row_weights[:, None]
        found = ahead - step * (turned.T @ errors + ahead)
        if np.sum((ahead - found) * (found - weights)) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        change = found - weights
        ahead = found + (momentum - 1) / following * change
        weights, momentum = found, following
        if np.abs(change).max() < _TOLERANCE:
            break
    return np.asarray(start + scale[:, None] * (axes @ weights))
