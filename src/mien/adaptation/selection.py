"""Choosing how strongly a head is pulled to the network's own mapping, by cross-validation."""

from dataclasses import dataclass

import numpy as np

from mien.adaptation.head import (
    BLENDSHAPE_OUTPUT,
    Features,
    Head,
    Strength,
    fit_head,
    starting_weights,
)
from mien.evaluation import calibration
from mien.evaluation.dataset import IntArray
from mien.expression.priors import softmax
from mien.geometry import Array

# The candidates of the cross-validation, the usual choice first (docs/adapting.md).
_STRENGTHS = (
    Strength(100.0, None),
    Strength(30.0, 1.0),
    Strength(100.0, 0.3),
    Strength(10.0, 1.0),
    Strength(3.0, 0.3),
    Strength(3.0, None),
    Strength(30.0, 1.0, 1.0),
    Strength(10.0, 1.0, 0.3),
    Strength(3.0, 0.3, 0.1),
    Strength(30.0, 1.0, 1.0, 30.0),
    Strength(30.0, 0.3, 0.3, 30.0),
)
_FOLDS = 5
# Above, one choice for all folds is biased by less than it is uncertain.
_NESTED_UP_TO = 700
_CLEARLY = 2.0
"""In standard errors: how much better a candidate must be than the usual choice."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The head for all pictures, and predictions for each by heads that did not see it.

    Attributes:
        head: fitted on all pictures; its softmax is calibrated.
        strength: of its pull.
        held_out: ``(N, K)`` calibrated probabilities.
    """

    head: Head
    strength: Strength
    held_out: Array


def choose_head(features: Features, truth: IntArray, mapping: Array, groups: IntArray) -> Chosen:
    """Fit a head with the strength that cross-validation prefers, and calibrate it.

    Args:
        features: of the pictures.
        truth: ``(N,)`` index of the label, each at least three times.
        mapping: ``(C + O, K)`` the networks' own; see :func:`mien.adaptation.head.fit_head`.
        groups: ``(N,)`` equal numbers for pictures of one person, which share a fold.
    """
    spaces = features.spaces()
    problem = _Problem(features.projected(spaces), mapping)
    fold = stratified_folds(truth, groups, _FOLDS)
    logits = _candidates(problem, truth, fold)
    best = _prefer(problem, logits, truth)
    held_out = logits[best].copy()
    for number in range(_FOLDS):
        if len(truth) <= _NESTED_UP_TO:
            train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            if not len(test):
                continue
            inner = stratified_folds(truth[train], groups[train], 3)
            part = _Problem(problem.features.take(train), mapping)
            found = _prefer(part, _candidates(part, truth[train], inner), truth[train])
            held_out[test] = logits[found][test]
    known = problem.known()
    temperature = calibration.fit_temperature(logits[best], truth, known=known)
    probabilities = calibration.cross_fitted_probabilities(
        held_out, truth, groups=groups, known=known
    )
    strength = problem.strengths()[best]
    head = fit_head(problem.features, truth, mapping, strength).of_parts(spaces)
    return Chosen(head.divided(temperature), strength, probabilities)


def choose_strength(
    features: Features, truth: IntArray, mapping: Array, groups: IntArray
) -> Strength:
    """The strength that cross-validation prefers; see :func:`choose_head`."""
    problem = _Problem(features.projected(features.spaces()), mapping)
    logits = _candidates(problem, truth, stratified_folds(truth, groups, _FOLDS))
    return problem.strengths()[_prefer(problem, logits, truth)]


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """Features with each part in its space, and the networks' own mapping."""

    features: Features
    mapping: Array

    def known(self) -> float:
        """The share of the labels that the networks know."""
        return float(self.mapping.any(axis=0).mean())

    def strengths(self) -> tuple[Strength, ...]:
        """The candidates: without those that use what is not there."""
        shapes, others = BLENDSHAPE_OUTPUT in self.features.parts, self.features.other_logs.size
        return tuple(
            s
            for s in _STRENGTHS
            if (shapes or s.blendshapes is None) and (others or s.others is None)
        )


def _candidates(problem: _Problem, truth: IntArray, fold: IntArray) -> Array:
    """``(S, N, K)`` logits of each strength for the rows of each fold, fitted on the others."""
    strengths = problem.strengths()
    logits = np.zeros((len(strengths), len(truth), problem.mapping.shape[1]))
    for number in np.unique(fold):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        seen, unseen = problem.features.take(train), problem.features.take(test)
        for place, strength in enumerate(strengths):
            head = fit_head(seen, truth[train], problem.mapping, strength)
            logits[place, test] = head.logits(unseen)
    return logits


def _prefer(problem: _Problem, logits: Array, truth: IntArray) -> int:
    """The strength of the lowest calibrated loss, or the usual one where that is not clearly worse.

    Half of the loss is that of the mapping that the weights are pulled to, which is known better
    than that of the fits. Every label counts the same.
    """
    share = len(truth) / np.maximum(np.bincount(truth, minlength=logits.shape[2]), 1)
    weights = (share / logits.shape[2])[truth]
    strengths = problem.strengths()
    losses = np.array([_loss(candidate, truth) for candidate in logits])
    losses += [_loss(_starting_logits(problem, strength), truth) for strength in strengths]
    losses *= weights
    best = int(losses.mean(axis=1).argmin())
    gain = losses[0] - losses[best]
    return best if gain.mean() > _CLEARLY * gain.std() / np.sqrt(len(gain)) else 0


def _starting_logits(problem: _Problem, strength: Strength) -> Array:
    """``(N, K)`` of a head without pictures."""
    logs, others = problem.features.log_probabilities, problem.features.other_logs
    own, other = starting_weights(problem.mapping, logs.shape[2], strength)
    centered = logs[:, 0] - logs[:, 0].mean(axis=1, keepdims=True)
    return np.asarray(centered @ own + others[:, 0] @ other)


def _loss(logits: Array, truth: IntArray) -> Array:
    temperature = calibration.fit_temperature(logits, truth)
    of_truth = softmax(logits / temperature)[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.maximum(of_truth, _TINY)))


def stratified_folds(truth: IntArray, groups: IntArray, folds: int) -> IntArray:
    """``(N,)`` fold of each row: groups stay together, and labels are spread over the folds.

    A single group is not kept together, as nothing would be left to fit on.
    """
    if len(np.unique(groups)) < 2:
        groups = np.arange(len(truth))
    rng = np.random.default_rng(0)
    found = np.zeros(len(truth), np.int64)
    filled = np.zeros((folds, int(truth.max()) + 1))
    numbers, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(numbers))
    for number in numbers[order[np.argsort(-sizes[order], kind="stable")]]:
        rows = groups == number
        counts = np.bincount(truth[rows], minlength=filled.shape[1])
        # The fold that has the fewest rows of these labels, and of all where several have.
        wanted = int(np.lexsort((filled.sum(axis=1), filled @ counts))[0])
        filled[wanted] += counts
        found[rows] = wanted
    return found
