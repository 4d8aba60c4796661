"""Figures that follow from a confusion matrix, for one matrix or for a stack of resampled ones.

A confusion matrix is ``(K, K + 1)``: rows are the true expressions, columns the answers, and the
last column counts the rows without an answer (a missed face, or the wrong one), which are wrong.
"""

import numpy as np
import numpy.typing as npt

from mien.errors import InputError

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NO_ANSWER = -1
"""In an array of answers: there was none."""


def confusion_matrix(truth: npt.ArrayLike, answers: npt.ArrayLike, classes: int) -> IntArray:
    """Count every pair of truth and answer.

    Args:
        truth: ``(N,)`` in 0..classes-1.
        answers: ``(N,)`` in 0..classes-1, or :data:`NO_ANSWER`.
        classes: K.

    Returns:
        ``(K, K + 1)``.

    Raises:
        InputError: an index is out of range.
    """
    y, a = np.asarray(truth, np.int64), np.asarray(answers, np.int64)
    if y.shape != a.shape or ((y < 0) | (y >= classes)).any() or ((a < -1) | (a >= classes)).any():
        raise InputError(f"expected equally many truths and answers in 0..{classes - 1}")
    flat = y * (classes + 1) + np.where(a == NO_ANSWER, classes, a)
    counts = np.bincount(flat, minlength=classes * (classes + 1))
    return counts.astype(np.int64).reshape(classes, classes + 1)


def accuracy(matrix: npt.ArrayLike) -> Array:
    """Share of right answers: ``(..., K, K + 1)`` to ``(...)``, NaN without rows."""
    counts = np.asarray(matrix, np.float64)
    return _ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-1, -2)))


def recall(matrix: npt.ArrayLike) -> Array:
    """Of each expression, the share that was recognized: ``(..., K)``, NaN where it is absent."""
    counts = np.asarray(matrix, np.float64)
    return _ratio(_hits(counts), counts.sum(axis=-1))


def precision(matrix: npt.ArrayLike) -> Array:
    """Of each answer, the share that was right: ``(..., K)``, NaN where it was never given."""
    counts = np.asarray(matrix, np.float64)
    return _ratio(_hits(counts), counts[..., :-1].sum(axis=-2))


def f1(matrix: npt.ArrayLike) -> Array:
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

    An expression that was answered but never occurs has no F1 of its own; it lowers the others'.
    """
    return _mean_over(f1(matrix), classes)


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
