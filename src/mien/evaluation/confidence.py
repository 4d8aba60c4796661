"""How well confidence tells right answers from wrong ones."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import InputError

Array = npt.NDArray[np.float64]

ECE_BINS = 15


def reliability(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = ECE_BINS
) -> dict[str, Array]:
    """Accuracy against confidence in bins that hold equally many answers.

    Method: equal-mass bins after Nixon et al., "Measuring calibration in deep learning", 2019.

    Args:
        confidence: ``(N,)`` top probability in [0, 1].
        correct: ``(N,)`` whether the answer was right.
        bins: how many; fewer where there are fewer answers.

    Returns:
        ``n``, ``confidence`` (mean) and ``accuracy`` of each bin, from the least confident.

    Raises:
        InputError: there are no answers, or the shapes differ.
    """
    confidence, hits = _checked(confidence, correct)
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(confidence)))
    return {
        "n": np.array([len(part) for part in parts], np.float64),
        "confidence": np.array([confidence[part].mean() for part in parts]),
        "accuracy": np.array([hits[part].mean() for part in parts]),
    }


def ece(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = ECE_BINS) -> float:
    """Expected calibration error in [0, 1]: the mean gap between confidence and accuracy."""
    table = reliability(confidence, correct, bins=bins)
    gaps = np.abs(table["accuracy"] - table["confidence"])
    return float((gaps * table["n"]).sum() / table["n"].sum())


def brier(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Brier score in [0, 2]: mean squared distance to the right answer (Brier 1950).

    Args:
        probabilities: ``(N, K)``.
        truth: ``(N,)`` index of the label.
    """
    return float(brier_of_rows(probabilities, truth).mean())


def brier_of_rows(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> Array:
    """The squared distance of each row: ``(N,)`` in [0, 2]."""
    p = np.asarray(probabilities, np.float64)
    one_hot = np.eye(p.shape[1])[np.asarray(truth, np.int64)]
    return np.asarray(((p - one_hot) ** 2).sum(axis=1))


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> dict[str, Any]:
    """The error among the most confident answers, for every share of answers kept.

    Method: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", 2010;
    the area under the curve after Geifman et al. 2019. Answers of equal confidence are kept or
    left together, in proportion.

    Returns:
        ``coverage`` and ``risk``, ``(N,)`` each in [0, 1], from the most confident answer to all;
        ``aurc``, the mean risk; ``risk_at_80``, the error of the most confident 80 %.

    Raises:
        InputError: there are no answers, or the shapes differ.
    """
    confidence, hits = _checked(confidence, correct)
    order = np.argsort(-confidence, kind="stable")
    wrong = 1 - hits[order]
    # Within a tie the order is arbitrary, so each answer counts as the tie's mean.
    _, tie, size = np.unique(-confidence[order], return_inverse=True, return_counts=True)
    wrong = (np.bincount(tie, weights=wrong) / size)[tie]
    kept = np.arange(1, len(wrong) + 1)
    risk = np.cumsum(wrong) / kept
    return {
        "coverage": kept / len(wrong),
        "risk": risk,
        "aurc": float(risk.mean()),
        "risk_at_80": float(risk[max(0, round(0.8 * len(risk)) - 1)]),
    }


def _checked(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Array, Array]:
    c, hits = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if c.ndim != 1 or c.shape != hits.shape or not len(c):
        raise InputError(
            f"expected as many confidences as answers, at least one, got {c.shape} and {hits.shape}"
        )
    return c, hits
