"""A small classifier on what a network says and sees: from its outputs to the labels of a user.

The head is a multinomial logistic regression on the network's log probabilities and embedding, and
where they help, on blendshapes and on those of other networks. Its weights are pulled toward the
networks' own mapping, in which every label keeps its log probability, so that a few pictures
change little and many change as much as they can show.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mien.evaluation.dataset import IntArray
from mien.geometry import Array
from mien.runtime.spec import EMBEDDING

BLENDSHAPE_OUTPUT = "blendshapes"
OTHER_LOGS, OTHER_EMBEDDING = "other_logs", "other_embedding"
"""Names of outputs in model files and in ``ModelSpec.outputs``."""


PARTS = (EMBEDDING, BLENDSHAPE_OUTPUT, OTHER_EMBEDDING)

LOG_FLOOR = -8.0
"""Log probabilities below are raised to this: how unlikely the unlikely is means little."""

# What the other networks' log probabilities count, where they are used, and each of the two.
_OTHERS_SHARE, _OTHER_SHARE = 0.5, 0.25
_BIAS_PENALTY = 3.0
_COMPONENTS = 128
_STEPS = 200
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Strength:
    """How strongly weights are pulled toward the networks' own mapping.

    Attributes:
        outputs: penalty of the weights of the log probabilities.
        embedding: penalty of the weights of the embeddings; None leaves them out.
        blendshapes: penalty of the weights of the blendshapes; None leaves them out.
        others: penalty of the weights of the other networks' log probabilities; None leaves the
            other networks out.
    """

    outputs: float
    embedding: float | None
    blendshapes: float | None = None
    others: float | None = None

    def needed(self) -> list[str]:
        """The names of the outputs that it uses."""
        found = [name for name in PARTS if self.of(name) is not None]
        return found if self.others is None else [*found, OTHER_LOGS]

    def of(self, part: str) -> float | None:
        """The penalty of a part of the features; None where it is left out."""
        if part == BLENDSHAPE_OUTPUT:
            return self.blendshapes
        return None if part == OTHER_EMBEDDING and self.others is None else self.embedding


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What networks say about pictures and their mirror images.

    Attributes:
        log_probabilities: ``(N, 2, C)`` under a uniform prior, from :data:`LOG_FLOOR` to 0.
        parts: ``(N, 2, D)`` by the name of the output: ``embedding``, ``blendshapes`` and
            ``other_embedding``, where the network has them.
        other_logs: ``(N, 2, O)`` log probabilities of other networks, less their mean; O may be 0.
    """

    log_probabilities: Array
    parts: Mapping[str, Array]
    other_logs: Array

    def __len__(self) -> int:
        return len(self.log_probabilities)

    def take(self, rows: IntArray) -> "Features":
        parts = {name: values[rows] for name, values in self.parts.items()}
        return Features(self.log_probabilities[rows], parts, self.other_logs[rows])

    def joined(self, others: "Features") -> "Features":
        """These rows, then others', with the parts that both have."""
        parts = {
            name: np.concatenate([self.parts[name], values])
            for name, values in others.parts.items()
            if name in self.parts
        }
        logs = np.concatenate([self.log_probabilities, others.log_probabilities])
        width = min(self.other_logs.shape[2], others.other_logs.shape[2])
        both = (self.other_logs[:, :, :width], others.other_logs[:, :, :width])
        return Features(logs, parts, np.concatenate(both))

    def spaces(self) -> dict[str, "Space"]:
        """Of each part, by its name."""
        return {
            name: _blendshape_space(values) if name == BLENDSHAPE_OUTPUT else _make_space(values)
            for name, values in self.parts.items()
        }

    def projected(self, spaces: Mapping[str, "Space"]) -> "Features":
        """The same, with each part in its space."""
        parts = {name: spaces[name].project(values) for name, values in self.parts.items()}
        return Features(self.log_probabilities, parts, self.other_logs)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Logits are linear in log probabilities and the parts of the features.

    Attributes:
        outputs: ``(C, K)`` weights of the log probabilities.
        other_outputs: ``(O, K)`` weights of those of the other networks.
        parts: ``(D, K)`` weights of each part, 0 where it is not used.
        bias: ``(K,)``.
    """

    outputs: Array
    other_outputs: Array
    parts: Mapping[str, Array]
    bias: Array

    def logits(self, features: Features) -> Array:
        """``(N, K)`` of the pictures as they are."""
        logits = features.log_probabilities[:, 0] @ self.outputs + self.bias
        logits = logits + features.other_logs[:, 0] @ self.other_outputs
        for name, weights in self.parts.items():
            logits = logits + features.parts[name][:, 0] @ weights
        return np.asarray(logits)

    def divided(self, temperature: float) -> "Head":
        """The head whose logits are smaller by a factor."""
        parts = {name: weights / temperature for name, weights in self.parts.items()}
        return Head(
            self.outputs / temperature,
            self.other_outputs / temperature,
            parts,
            self.bias / temperature,
        )

    def of_parts(self, spaces: Mapping[str, "Space"]) -> "Head":
        """The head for features as they are, of one that was fitted on their projection."""
        parts = {name: spaces[name].components @ found for name, found in self.parts.items()}
        means = [spaces[name].mean @ weights for name, weights in parts.items()]
        return Head(self.outputs, self.other_outputs, parts, self.bias - np.sum(means, axis=0))

    def used(self) -> list[str]:
        """The names of the outputs that it needs beside the first."""
        weights = {**self.parts, OTHER_LOGS: self.other_outputs}
        return [name for name, values in weights.items() if values.any()]


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


def _make_space(embedding: Array) -> Space:
    """The principal components of an embedding ``(N, 2, D)``, in which rows have length 1."""
    rows = _in_rows(embedding)
    if not rows.size:
        return Space(np.zeros(rows.shape[1]), np.zeros((rows.shape[1], 0)))
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    # Features that hardly vary in a few pictures would otherwise count as much as any other.
    scale = 1 / ((deviation + 0.05 * rows.std()) * np.sqrt(rows.shape[1]) + 1e-12)
    scaled = (rows - mean) * scale
    if len(rows) < rows.shape[1]:
        axes = np.linalg.svd(scaled, full_matrices=False)[2].T
    else:  # the same axes, in a fraction of the time
        axes = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1]
    return Space(mean, scale[:, None] * axes[:, :_COMPONENTS])


def _blendshape_space(blendshapes: Array) -> Space:
    """Blendshapes ``(N, 2, 52)`` around their means, in which those that vary count the same."""
    rows = _in_rows(blendshapes)
    scale = 1 / ((rows.std(axis=0) + 0.05) * np.sqrt(max(1, rows.shape[1])))
    return Space(rows.mean(axis=0), np.diag(scale))


def _in_rows(values: Array) -> Array:
    return values.reshape(values.shape[0] * values.shape[1], values.shape[2])


def starting_weights(mapping: Array, own: int, strength: Strength) -> tuple[Array, Array]:
    """``(C, K)`` and ``(O, K)`` weights that a head keeps without pictures.

    Args:
        mapping: ``(C + O, K)`` of the network's own outputs and of the other networks'.
        own: C.
        strength: says whether the other networks are used.
    """
    if strength.others is None:
        return mapping[:own], np.zeros_like(mapping[own:])
    return (1 - _OTHERS_SHARE) * mapping[:own], _OTHER_SHARE * mapping[own:]


def fit_head(features: Features, truth: IntArray, mapping: Array, strength: Strength) -> Head:
    """Fit a head with all labels counting the same.

    Args:
        features: of the pictures, with each part in its space (:meth:`Features.projected`).
        truth: ``(N,)`` index of the label, each at least once.
        mapping: ``(C + O, K)``, as for :func:`starting_weights`.
        strength: of the pull toward it.
    """
    count = mapping.shape[1]
    views = features.log_probabilities.shape[1]
    logs = _in_rows(features.log_probabilities)
    own, others = starting_weights(mapping, logs.shape[1], strength)
    blocks = [(logs - logs.mean(axis=1, keepdims=True), strength.outputs, own)]
    if strength.others is not None:
        blocks.append((_in_rows(features.other_logs), strength.others, others))
    names = [name for name in features.parts if strength.of(name) is not None]
    for name in names:
        rows = _in_rows(features.parts[name])
        blocks.append((rows, strength.of(name) or 0.0, np.zeros((rows.shape[1], count))))
    blocks.append((np.ones((len(logs), 1)), _BIAS_PENALTY, np.zeros((1, count))))
    share = len(truth) / (count * np.maximum(np.bincount(truth, minlength=count), 1))
    weights = _multinomial(
        np.concatenate([rows for rows, _, _ in blocks], axis=1),
        np.repeat(truth, views),
        np.repeat(share[truth], views) / views,
        np.concatenate([np.full(rows.shape[1], penalty) for rows, penalty, _ in blocks]),
        np.concatenate([start for _, _, start in blocks]),
    )
    of_outputs, *found, bias = np.split(weights, np.cumsum([r.shape[1] for r, _, _ in blocks])[:-1])
    of_outputs = of_outputs - of_outputs.mean(axis=0)  # the same as centering the rows
    if strength.others is not None:
        others = found.pop(0)
    parts = {name: np.zeros((values.shape[2], count)) for name, values in features.parts.items()}
    parts |= dict(zip(names, found, strict=True))
    return Head(of_outputs, others, parts, bias.reshape(count))


def _multinomial(
    rows: Array, truth: IntArray, row_weights: Array, penalty: Array, start: Array
) -> Array:
    """Minimize the weighted cross entropy plus half the penalized squared distance to `start`.

    Method: the Hessian has a bound that is the same at all weights (Böhning, "Multinomial logistic
    regression algorithm", 1992), so that its eigenvectors are computed once; accelerated steps with
    restarts (O'Donoghue and Candès, "Adaptive restart for accelerated gradient schemes", 2015).

    Args:
        rows, truth, row_weights: ``(N, F)``, ``(N,)`` index of the label, and ``(N,)``.
        penalty, start: ``(F,)`` above 0, and ``(F, K)``, as the result.
    """
    scale = 1 / np.sqrt(penalty)
    scaled = rows * scale
    curvature, axes = np.linalg.eigh((scaled * row_weights[:, None]).T @ scaled)
    # The steps are most of the time: half the precision, and labels in rows of memory.
    turned = np.asarray(scaled @ axes, np.float32)
    base = np.asarray((rows @ start).T, np.float32)
    step = np.asarray(1 / (np.maximum(curvature, 0) / 2 + 1), np.float32)
    share = np.asarray(row_weights, np.float32)
    at = truth, np.arange(len(truth))
    weights = ahead = np.zeros((start.shape[1], len(step)), np.float32)
    momentum = 1.0
    for _ in range(_STEPS):
        errors = base + ahead @ turned.T
        np.exp(errors - errors.max(axis=0), out=errors)
        errors /= errors.sum(axis=0)
        errors[at] -= 1
        found = ahead - step * ((errors * share) @ turned + ahead)
        change = found - weights
        if np.vdot(ahead - found, change) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = found + np.float32((momentum - 1) / following) * change
        weights, momentum = found, following
        if np.abs(change).max() < _TOLERANCE:
            break
    return np.asarray(start + scale[:, None] * (axes @ weights.T))
