"""Figures of merit: from probabilities and true labels to numbers, with 95 % intervals.

A confusion matrix is ``(K, K + 1)``: rows are the true expressions, columns the predicted ones, and
the last column counts the rows without a prediction (a missed face, or the wrong one), which are
wrong. Functions of a matrix also work on a stack of resampled ones.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.errors import InputError
from mien.evaluation.dataset import IntArray
from mien.geometry import Array

_Interval = tuple[float, float]

NO_PREDICTION = -1
"""In an array of predicted labels: there is none."""

_ECE_BINS = 15
SAMPLES = 2000
"""Of a bootstrap."""

_Z95 = 1.959964
# A bootstrap of fewer rows is narrower than chance.
_MIN_RESAMPLED = 10
# How many resampled weights are held at once: 8 bytes each.
_WEIGHTS_AT_ONCE = 4_000_000
_TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """How good probabilities are. Fractions in [0, 1]; NaN where a figure does not exist.

    Attributes:
        matrix: ``(K, K + 1)`` confusion matrix.
        accuracy, balanced_accuracy, macro_f1: rows without a prediction count as wrong.
        recall, precision, f1: ``(K,)`` of each expression; NaN where it is absent, for precision
            where it was never predicted.
        ece: expected calibration error, over the rows that have a prediction.
        nll: mean of ``-log p(truth)`` in nats, over the rows that have a prediction.
        brier: Brier score in [0, 2], over the rows that have a prediction.
    """

    matrix: IntArray
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    recall: Array
    precision: Array
    f1: Array
    ece: float
    nll: float
    brier: float


def figures(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, prior: npt.ArrayLike | None = None
) -> Figures:
    """Measure probabilities against true labels.

    Args:
        probabilities: ``(N, K)``; rows of NaN have no prediction.
        truth: ``(N,)`` index of the label.
        prior: ``(K,)`` shares that the probabilities stand under: they are moved to a uniform prior
            first, see :mod:`mien.expression.priors`. None measures them as they are.

    Raises:
        InputError: the shapes do not fit, or an index is out of range.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(truth, np.int64)
    if p.ndim != 2:
        raise InputError(f"expected probabilities of shape (N, K), got {p.shape}")
    if prior is not None:
        p = p / np.maximum(np.asarray(prior, np.float64), _TINY)
        p /= p.sum(axis=1, keepdims=True)
    known = np.isfinite(p).all(axis=1)
    predicted = np.full(len(p), NO_PREDICTION)
    predicted[known] = p[known].argmax(axis=1)
    matrix = _confusion_matrix(y, predicted, p.shape[1])
    p, y, correct = p[known], y[known], (predicted == y)[known]
    some = bool(known.any())
    of_truth = p[np.arange(len(p)), y]
    return Figures(
        matrix=matrix,
        accuracy=float(accuracy(matrix)),
        balanced_accuracy=float(balanced_accuracy(matrix)),
        macro_f1=float(macro_f1(matrix)),
        recall=recall(matrix),
        precision=_precision(matrix),
        f1=_f1(matrix),
        ece=ece(p.max(axis=1), correct) if some else np.nan,
        nll=-float(np.log(np.maximum(of_truth, np.finfo(float).tiny)).mean()) if some else np.nan,
        brier=float(brier_of_rows(p, y).mean()) if some else np.nan,
    )


def _confusion_matrix(y: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Count every pair of true and predicted label: ``(K, K + 1)``."""
    if y.shape != predicted.shape or ((y < 0) | (y >= classes)).any():
        raise InputError(f"expected as many true as predicted labels, in 0..{classes - 1}")
    flat = y * (classes + 1) + np.where(predicted == NO_PREDICTION, classes, predicted)
    counts = np.bincount(flat, minlength=classes * (classes + 1))
    return counts.astype(np.int64).reshape(classes, classes + 1)


def accuracy(matrix: npt.ArrayLike) -> Array:
    """Share of right predictions: ``(..., K, K + 1)`` to ``(...)``, NaN without rows."""
    counts = np.asarray(matrix, np.float64)
    return _ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-1, -2)))


def recall(matrix: npt.ArrayLike) -> Array:
    """Share of each expression that was recognized: ``(..., K)``, NaN where it is absent."""
    counts = np.asarray(matrix, np.float64)
    return _ratio(_hits(counts), counts.sum(axis=-1))


def _precision(matrix: npt.ArrayLike) -> Array:
    """Share of each prediction that was right: ``(..., K)``, NaN where it was never made."""
    counts = np.asarray(matrix, np.float64)
    return _ratio(_hits(counts), counts[..., :-1].sum(axis=-2))


def _f1(matrix: npt.ArrayLike) -> Array:
    """Harmonic mean of precision and recall: ``(..., K)``, NaN where the expression is absent."""
    counts = np.asarray(matrix, np.float64)
    hits, true = _hits(counts), counts.sum(axis=-1)
    scores = _ratio(2 * hits, true + counts[..., :-1].sum(axis=-2))
    return np.where(true > 0, scores, np.nan)


def balanced_accuracy(matrix: npt.ArrayLike, classes: npt.ArrayLike | None = None) -> Array:
    """Mean recall over the expressions that occur, or over some of them: ``(...)``."""
    return _mean_over(recall(matrix), classes)


def macro_f1(matrix: npt.ArrayLike, classes: npt.ArrayLike | None = None) -> Array:
    """Mean F1 over the expressions that occur, or over some of them: ``(...)``.

    An expression that was predicted but never occurs has no F1 of its own; it lowers the others'.
    """
    return _mean_over(_f1(matrix), classes)


def _hits(counts: Array) -> Array:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: Array, whole: Array) -> Array:
    result = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _mean_over(values: Array, classes: npt.ArrayLike | None) -> Array:
    if classes is not None:
        values = values[..., np.asarray(classes, np.int64)]
    there = np.isfinite(values)
    return _ratio(np.where(there, values, 0).sum(axis=-1), there.sum(axis=-1).astype(np.float64))


def reliability(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = _ECE_BINS
) -> dict[str, Array]:
    """Accuracy against confidence in bins that hold equally many predictions.

    Method: equal-mass bins after Nixon et al., "Measuring calibration in deep learning", 2019.

    Args:
        confidence: ``(N,)`` top probability in [0, 1].
        correct: ``(N,)`` whether the prediction was right.
        bins: number of bins; fewer where there are fewer predictions.

    Returns:
        ``n``, ``confidence`` (mean) and ``accuracy`` of each bin, from the least confident.

    Raises:
        InputError: there are no predictions, or the shapes differ.
    """
    confidence, hits = _checked(confidence, correct)
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(confidence)))
    return {
        "n": np.array([len(part) for part in parts], np.float64),
        "confidence": np.array([confidence[part].mean() for part in parts]),
        "accuracy": np.array([hits[part].mean() for part in parts]),
    }


def ece(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = _ECE_BINS) -> float:
    """Expected calibration error in [0, 1]: the mean gap between confidence and accuracy."""
    table = reliability(confidence, correct, bins=bins)
    gaps = np.abs(table["accuracy"] - table["confidence"])
    return float((gaps * table["n"]).sum() / table["n"].sum())


def brier_of_rows(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> Array:
    """Squared distance of each row to the right answer: ``(N,)`` in [0, 2] (Brier 1950)."""
    p = np.asarray(probabilities, np.float64)
    one_hot = np.eye(p.shape[1])[np.asarray(truth, np.int64)]
    return np.asarray(((p - one_hot) ** 2).sum(axis=1))


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Array, Array]:
    """Error among the most confident predictions, for every share of predictions kept.

    Method: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", 2010.
    The mean risk is the area under the curve (AURC, Geifman et al. 2019). Predictions of equal
    confidence are kept or dropped together, in proportion.

    Returns:
        Coverage and risk, ``(N,)`` each in [0, 1], from the most confident prediction to all.

    Raises:
        InputError: there are no predictions, or the shapes differ.
    """
    confidence, hits = _checked(confidence, correct)
    order = np.argsort(-confidence, kind="stable")
    wrong = 1 - hits[order]
    # Within a tie the order is arbitrary, so each prediction counts as the tie's mean.
    _, tie, size = np.unique(-confidence[order], return_inverse=True, return_counts=True)
    wrong = (np.bincount(tie, weights=wrong) / size)[tie]
    kept = np.arange(1, len(wrong) + 1)
    return kept / len(wrong), np.cumsum(wrong) / kept


def _checked(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Array, Array]:
    c, hits = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if c.ndim != 1 or c.shape != hits.shape or not len(c):
        raise InputError(
            "expected equally many confidences and predictions, at least one, got "
            f"{c.shape} and {hits.shape}"
        )
    return c, hits


def share_interval(count: float, total: float) -> _Interval | None:
    """Interval of a share of independent cases; None without cases.

    Method: score interval (Wilson 1927), which does not shrink to a point where all cases agree.
    """
    if not total > 0:
        return None
    share, z2 = count / total, _Z95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    half = _Z95 * spread / (1 + z2 / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def intervals(matrix: npt.ArrayLike) -> dict[str, _Interval | None]:
    """Intervals of ``accuracy``, ``balanced_accuracy`` and ``macro_f1``.

    The latter two are means: of the recalls, and of F1 as the share of hits in hits and half of the
    errors.
    """
    counts = np.asarray(matrix, np.float64)
    hits, true = _hits(counts), counts.sum(axis=-1)
    there = true > 0
    cases = (true + counts[:, :-1].sum(axis=0)) / 2
    return {
        "accuracy": share_interval(hits.sum(), counts.sum()),
        "balanced_accuracy": _mean_share_interval(hits, true),
        "macro_f1": _mean_share_interval(hits[there], cases[there]),
    }


def _mean_share_interval(counts: Array, totals: Array) -> _Interval | None:
    """Interval of the mean of shares, each of its own cases.

    Method: variance estimates recovery (MOVER; Zou and Donner 2008) from Wilson's intervals.
    """
    shares = _ratio(counts, totals)
    shares = shares[np.isfinite(shares)]
    found = [share_interval(count, total) for count, total in zip(counts, totals, strict=True)]
    edges = np.array([interval for interval in found if interval is not None])
    if not len(edges):
        return None
    below, above = np.sqrt(((edges - shares[:, None]) ** 2).sum(axis=0)) / len(shares)
    return max(0.0, shares.mean() - below), min(1.0, shares.mean() + above)


def difference_interval(cells: npt.ArrayLike, *, balanced: bool = False) -> _Interval:
    """Interval of the difference (second minus first) of two models' accuracies on the same rows.

    Method: Wald interval with half a row added to each answer (Agresti and Min 2005), for each
    expression if the accuracies are balanced.

    Args:
        cells: ``(K, K + 1, K + 1)`` counts of truth, first and second prediction.
        balanced: whether of the balanced accuracies.
    """
    counts = np.asarray(cells, np.float64)
    right = np.eye(counts.shape[0], counts.shape[1])
    first = np.einsum("kab,ka,kb->k", counts, right, 1 - right)
    second = np.einsum("kab,ka,kb->k", counts, 1 - right, right)
    total = counts.sum(axis=(1, 2))
    if not balanced:
        first, second, total = (values.sum(keepdims=True) for values in (first, second, total))
    there = total > 0
    rows = total[there] + 2
    difference = (second - first)[there] / rows
    variance = ((first + second + 1)[there] / rows - difference**2) / rows
    middle, half = difference.mean(), _Z95 * math.sqrt(variance.sum()) / len(rows)
    return max(-1.0, middle - half), min(1.0, middle + half)


def percentile_interval(values: npt.ArrayLike) -> _Interval | None:
    """The middle share of resampled figures; None where they do not differ or are no numbers.

    Method: percentile bootstrap (Efron 1979).
    """
    resampled = np.asarray(values, np.float64)
    resampled = resampled[np.isfinite(resampled)]
    if not len(resampled) or np.ptp(resampled) == 0:
        return None
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def resample_counts(counts: npt.ArrayLike, *, samples: int = SAMPLES, seed: int = 0) -> Array:
    """Resample the rows that a table of counts sums up.

    Resampling rows and counting them again equals drawing the counts from a multinomial
    distribution, so that thousands of resamples cost as much as one sort.

    Returns:
        ``(samples, *counts.shape)``.

    Raises:
        InputError: the table is empty.
    """
    table = np.asarray(counts, np.int64)
    total = int(table.sum())
    if total < 1:
        raise InputError("expected at least one row to resample, got none")
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, table.reshape(-1) / total, size=samples)
    return drawn.reshape(samples, *table.shape).astype(np.float64)


def mean_interval(
    values: npt.ArrayLike, *, samples: int = SAMPLES, seed: int = 0
) -> _Interval | None:
    """Interval of the mean of ``(N,)`` values; None of fewer than ten."""
    rows = np.asarray(values, np.float64)
    sums = _weighted_sums(rows[:, None], samples, seed)[:, 0]
    return percentile_interval(sums / len(rows)) if len(rows) >= _MIN_RESAMPLED else None


def ece_interval(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, samples: int = SAMPLES, seed: int = 0
) -> _Interval | None:
    """Interval of the expected calibration error, with fixed bins; None of fewer than ten rows.

    Chance gaps add up in a resample, so that the interval leans upwards.
    """
    c, hits = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    parts = np.array_split(np.argsort(c, kind="stable"), min(_ECE_BINS, len(c)))
    table = np.zeros((len(c), len(parts)))
    for number, part in enumerate(parts):
        table[part, number] = hits[part] - c[part]
    gaps = np.abs(_weighted_sums(table, samples, seed)).sum(axis=1) / len(c)
    return percentile_interval(gaps) if len(c) >= _MIN_RESAMPLED else None


def _weighted_sums(table: Array, samples: int, seed: int) -> Array:
    """Column sums of resampled rows: ``(N, C)`` to ``(samples, C)``."""
    n = len(table)
    if n < 1:
        raise InputError("expected at least one row to resample, got none")
    rng = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // n)
    sums = [
        rng.multinomial(n, np.full(n, 1 / n), size=min(at_once, samples - start)) @ table
        for start in range(0, samples, at_once)
    ]
    return np.concatenate(sums)
