"""Calibrating probabilities: the temperature, and the threshold of uncertainty."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mien.errors import InputError
from mien.evaluation.dataset import IntArray
from mien.evaluation.figures import risk_coverage
from mien.expression.priors import softmax
from mien.geometry import Array

_FOLDS = 5
_COVERAGE = 0.8
_GOLDEN = (math.sqrt(5) - 1) / 2
_LOG_T_RANGE = (math.log(0.05), math.log(20.0))
# Of the prior of a temperature's logarithm: one divided by its variance (docs/experiments.md).
_PRECISION = 10.0


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike, *, known: float = 0.0) -> float:
    """The most probable temperature, in [0.05, 20].

    Method: Guo et al., "On calibration of modern neural networks", 2017; found by golden-section
    search over its logarithm. As in Platt (1999) the truth counts for (N + 1) / (N + 2): a few rows
    that are all right do not make the next certain. Where the logits are of a model that is
    calibrated elsewhere, a prior around 1 does this better.

    Args:
        logits: ``(N, K)`` of rows that the model was not trained on.
        truth: ``(N,)`` index of the label.
        known: in [0, 1], how much the logits are of such a model.

    Raises:
        InputError: the shapes do not fit, or there are no rows.
    """
    z, y = _checked(logits, truth)
    smoothing = (1 - known) / (len(y) + 2)

    def cost(log_t: float) -> float:
        scaled = z / math.exp(log_t)
        scaled -= scaled.max(axis=1, keepdims=True)
        log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        of_truth = (1 - smoothing) * log_p[np.arange(len(y)), y] + smoothing * log_p.mean(axis=1)
        return float(known * _PRECISION / 2 * log_t**2 - of_truth.sum())

    return math.exp(_golden_section(cost, _LOG_T_RANGE))


def _golden_section(function: Callable[[float], float], bounds: tuple[float, float]) -> float:
    low, high = bounds
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 1e-5:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2


def fold_numbers(n: int, folds: int, seed: int, groups: npt.ArrayLike | None = None) -> IntArray:
    """The fold of each of `n` rows: ``(N,)`` in 0..folds-1, drawn in equal sizes.

    Rows of one of the ``(N,)`` groups, near-duplicates say, share a fold.
    """
    ids = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(ids.max(initial=-1)) + 1
    fold_of_group = np.random.default_rng(seed).permutation(count) % folds
    return np.asarray(fold_of_group[ids], np.int64)


def cross_fitted_probabilities(
    logits: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    known: float = 0.0,
) -> Array:
    """Calibrated probabilities for which no row helped to choose its own temperature.

    That of each of five folds is fitted on the others.

    Args:
        logits: ``(N, K)``.
        truth: ``(N,)`` index of the label.
        groups: ``(N,)`` rows that must share a fold.
        known: see :func:`fit_temperature`.

    Returns:
        ``(N, K)``.

    Raises:
        InputError: the shapes do not fit, or there are fewer rows than folds.
    """
    z, y = _checked(logits, truth)
    if len(z) < _FOLDS:
        raise InputError(f"expected at least {_FOLDS} rows, for as many folds, got {len(z)}")
    fold = fold_numbers(len(z), _FOLDS, 0, groups)
    probabilities = np.empty_like(z)
    for number in range(_FOLDS):
        held_out = fold == number
        if held_out.any():
            temperature = fit_temperature(z[~held_out], y[~held_out], known=known)
            probabilities[held_out] = softmax(z[held_out] / temperature)
    return probabilities


def uncertain_threshold(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, float]:
    """The documented rule of uncertainty: a top probability below a threshold is marked uncertain.

    It is that of the fifth of the predictions with the lowest.

    Args:
        probabilities: ``(N, K)``, calibrated.
        truth: ``(N,)`` index of the label.

    Returns:
        ``threshold`` (the ``uncertain_below`` of a spec), its ``coverage``, ``error`` of all
        predictions, ``error_covered`` of those not marked, and ``error_ratio`` of the two, all in
        [0, 1].

    Raises:
        InputError: the shapes do not fit.
    """
    p, y = _checked(probabilities, truth)
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    threshold = float(np.quantile(confidence, 1 - _COVERAGE))
    kept = confidence >= threshold
    error, error_covered = float(1 - correct.mean()), float(1 - correct[kept].mean())
    return {
        "threshold": threshold,
        "coverage": float(kept.mean()),
        "error": error,
        "error_covered": error_covered,
        "error_ratio": error_covered / error if error > 0 else 0.0,
        "aurc": float(risk_coverage(confidence, correct)[1].mean()),
    }


def _checked(scores: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Array, IntArray]:
    z, y = np.asarray(scores, np.float64), np.asarray(truth, np.int64)
    if z.ndim != 2 or y.shape != (len(z),) or not len(z):
        raise InputError(f"expected (N, K) scores and (N,) labels, got {z.shape} and {y.shape}")
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise InputError(f"expected labels from 0 to {z.shape[1] - 1}, got {y.min()} to {y.max()}")
    return z, y
