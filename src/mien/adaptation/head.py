"""A small classifier on what a network says and sees: from its outputs to the labels of a user.

The head is a multinomial logistic regression on the network's log probabilities, on its embedding
and on the blendshapes. Its weights are pulled toward the network's own mapping, in which every
label keeps its log probability, so that a few pictures change little and many change as much as
they can show.
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
        blendshapes: penalty of the weights of the blendshapes; None leaves them out.
    """

    outputs: float
    embedding: float | None
    blendshapes: float | None = None


STRENGTHS = (
    Strength(30.0, 1.0),
    Strength(100.0, None),
    Strength(100.0, 0.3),
    Strength(10.0, 1.0),
    Strength(3.0, 0.3),
    Strength(3.0, None),
    Strength(30.0, 1.0, 1.0),
    Strength(10.0, 1.0, 0.3),
    Strength(3.0, 0.3, 0.1),
)
"""The candidates of the cross-validation, the usual choice first (docs/adapting.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What a network says about pictures and their mirror images.

    Attributes:
        log_probabilities: ``(N, 2, C)`` under a uniform prior, from :data:`LOG_FLOOR` to 0.
        embedding: ``(N, 2, D)``; D is 0 where the network has none.
        blendshapes: ``(N, 2, 52)``, or ``(N, 2, 0)`` where the network has none.
    """

    log_probabilities: Array
    embedding: Array
    blendshapes: Array

    def __len__(self) -> int:
        return len(self.log_probabilities)

    def take(self, rows: IntArray) -> "Features":
        return Features(self.log_probabilities[rows], self.embedding[rows], self.blendshapes[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Logits are linear in log probabilities, embedding and blendshapes.

    Attributes:
        outputs: ``(C, K)`` weights of the log probabilities.
        embedding: ``(D, K)`` weights of the embedding.
        blendshapes: ``(52, K)`` or ``(0, K)`` weights of the blendshapes.
        bias: ``(K,)``.
    """

    outputs: Array
    embedding: Array
    blendshapes: Array
    bias: Array

    def logits(self, features: Features) -> Array:
        """``(N, K)`` of the pictures as they are."""
        of_outputs = features.log_probabilities[:, 0] @ self.outputs
        of_embedding = features.embedding[:, 0] @ self.embedding
        of_blendshapes = features.blendshapes[:, 0] @ self.blendshapes
        return np.asarray(of_outputs + of_embedding + of_blendshapes + self.bias)

    def divided(self, temperature: float) -> "Head":
        """The head whose logits are smaller by a factor."""
        parts = (self.outputs, self.embedding, self.blendshapes, self.bias)
        return Head(*(part / temperature for part in parts))


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Features as a few standardized components, which depend on no label.

    Attributes:
        mean: ``(D,)``.
        components: ``(D, P)``.
    """

    mean: Array
    components: Array

    def project(self, values: Array) -> Array:
        """``(..., D)`` to ``(..., P)``."""
        return np.asarray((values - self.mean) @ self.components)


def make_space(embedding: Array) -> Space:
    """The principal components of an embedding ``(N, 2, D)``, in which rows have length 1."""
    rows = _in_rows(embedding)
    if not rows.size:
        return Space(np.zeros(rows.shape[1]), np.zeros((rows.shape[1], 0)))
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    # Features that hardly vary in a few pictures would otherwise count as much as any other.
    scale = 1 / ((deviation + 0.05 * rows.std()) * np.sqrt(rows.shape[1]) + 1e-12)
    _, _, axes = np.linalg.svd((rows - mean) * scale, full_matrices=False)
    return Space(mean, scale[:, None] * axes[:_COMPONENTS].T)


def blendshape_space(blendshapes: Array) -> Space:
    """Blendshapes ``(N, 2, 52)`` around their means, in which those that vary count the same."""
    rows = _in_rows(blendshapes)
    scale = 1 / ((rows.std(axis=0) + 0.05) * np.sqrt(max(1, rows.shape[1])))
    return Space(rows.mean(axis=0), np.diag(scale))


def _in_rows(values: Array) -> Array:
    return values.reshape(values.shape[0] * values.shape[1], values.shape[2])


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
    features: Features,
    truth: IntArray,
    mapping: Array,
    strength: Strength,
    spaces: tuple[Space, Space],
) -> Head:
    """Fit a head with all labels counting the same.

    Args:
        features: of the pictures.
        truth: ``(N,)`` index of the label, each at least once.
        mapping: ``(C, K)`` weights that the head keeps without pictures.
        strength: of the pull toward them.
        spaces: of the embedding and of the blendshapes.
    """
    count = mapping.shape[1]
    views = features.log_probabilities.shape[1]
    logs = _in_rows(features.log_probabilities)
    parts = [logs - logs.mean(axis=1, keepdims=True)]
    penalty = [np.full(len(mapping), strength.outputs)]
    extras = (features.embedding, features.blendshapes)
    pulls = (strength.embedding, strength.blendshapes)
    for values, space, pull in zip(extras, spaces, pulls, strict=True):
        # Without a pull, no column: the weights are 0.
        kept = space.project(values) if pull is not None else values[..., :0]
        parts.append(_in_rows(kept))
        penalty.append(np.full(kept.shape[-1], pull or 1.0))
    rows = np.concatenate([*parts, np.ones((len(logs), 1))], axis=1)
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
    ends = np.cumsum([part.shape[1] for part in parts])
    of_outputs, *of_extras, bias = np.split(weights, ends)
    found = []
    for values, space, of_space in zip(extras, spaces, of_extras, strict=True):
        whole = np.zeros((values.shape[-1], count))
        if len(of_space):
            whole = space.components @ of_space
            bias = bias - space.mean @ whole
        found.append(whole)
    of_outputs = of_outputs - of_outputs.mean(axis=0)  # the same as centering the rows
    of_embedding, of_blendshapes = found
    return Head(of_outputs, of_embedding, of_blendshapes, bias.reshape(count))


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
