"""All figures about a model's answers, as one document."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.evaluation import confidence, confusion, resampling
from mien.evaluation.dataset import SUBJECT
from mien.evaluation.predictions import MISSED, WRONG_FACE, Answers

SCHEMA_VERSION = 1

FEWEST_IN_CLASS = 30
"""Figures over classes with as many pictures stand beside those over all classes."""

FEWEST_IN_SLICE = 20
"""A slice with fewer people tells about persons, not about the model, and is not shown. Where the
data set does not tell who is in a picture, each picture counts as one."""

_NAMES_SHOWN = 50


def measure(
    answers: Answers,
    *,
    slices: Sequence[str] = (),
    samples: int = resampling.SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Every figure, with 95 % bootstrap intervals.

    Rows without an answer count as wrong in accuracy, recall and F1; figures about probabilities
    (ECE, Brier, risk-coverage) are over the rows that have them.

    Args:
        answers: at least one.
        slices: columns to slice by.
        samples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A document of plain numbers, lists and mappings, ready for JSON; fractions in [0, 1], and
        None where a figure does not exist.

    Raises:
        DataError: there is no such column.
    """
    matrix = matrix_of(answers)
    drawn = resampling.resample_counts(matrix, samples=samples, seed=seed)
    large = np.flatnonzero(matrix.sum(axis=1) >= FEWEST_IN_CLASS)
    outcome = answers.outcome
    wrong = int(len(answers) - answers.correct.sum())
    missed, wrong_face = int((outcome == MISSED).sum()), int((outcome == WRONG_FACE).sum())
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "data": answers.data,
        **answers.facts,
        "labels": [label.value for label in answers.labels],
        "n": len(answers),
        "accuracy": confusion.accuracy(matrix),
        "balanced_accuracy": confusion.balanced_accuracy(matrix),
        "macro_f1": confusion.macro_f1(matrix),
        f"balanced_accuracy_n{FEWEST_IN_CLASS}": confusion.balanced_accuracy(matrix, large),
        f"macro_f1_n{FEWEST_IN_CLASS}": confusion.macro_f1(matrix, large),
        "wrong": wrong,
        "missed": missed,
        "wrong_face": wrong_face,
        "wrong_label": wrong - missed - wrong_face,
        "intervals": {
            "accuracy": resampling.percentile_interval(confusion.accuracy(drawn)),
            "balanced_accuracy": resampling.percentile_interval(confusion.balanced_accuracy(drawn)),
            "macro_f1": resampling.percentile_interval(confusion.macro_f1(drawn)),
        },
        "per_class": _per_class(answers, matrix, drawn),
        "confusion": {
            "rows": "truth",
            "columns": [*(label.value for label in answers.labels), "none"],
            "counts": matrix,
        },
        "slices": {name: slice_by(answers, name, samples=samples, seed=seed) for name in slices},
        "left_out": {
            reason: {"count": len(names), "names": list(names[:_NAMES_SHOWN])}
            for reason, names in answers.left_out.items()
        },
    }
    document |= {"ece": None, "brier": None, "reliability": None, "risk_coverage": None}
    answered = answers.take(answers.has_answer)
    if len(answered):
        about, intervals = _about_probabilities(answered, samples, seed)
        document |= about
        document["intervals"] |= intervals
    return dict(plain(document))


def matrix_of(answers: Answers) -> npt.NDArray[np.int64]:
    """The confusion matrix: ``(K, K + 1)``, see :mod:`mien.evaluation.confusion`."""
    return confusion.confusion_matrix(answers.truth, answers.answer, len(answers.labels))


def _about_probabilities(
    answered: Answers, samples: int, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    top, correct = answered.confidence, answered.correct
    distances = confidence.brier_of_rows(answered.probabilities, answered.truth)
    curve = confidence.risk_coverage(top, correct)
    # A hundred points draw the curve; the rows themselves are in the answers.
    shown = np.unique(np.linspace(0, len(top) - 1, 101).round().astype(int))
    error = float(1 - correct.mean())
    figures = {
        "ece": confidence.ece(top, correct),
        "brier": float(distances.mean()),
        "confidence": float(top.mean()),
        "reliability": confidence.reliability(top, correct),
        "risk_coverage": {
            "aurc": curve["aurc"],
            "error": error,
            "error_at_80": curve["risk_at_80"],
            "error_ratio_at_80": curve["risk_at_80"] / error if error > 0 else None,
            "coverage": curve["coverage"][shown],
            "risk": curve["risk"][shown],
        },
    }
    intervals = {
        "ece": resampling.ece_interval(top, correct, samples=samples, seed=seed),
        "brier": resampling.mean_interval(distances, samples=samples, seed=seed),
    }
    return figures, intervals


def _per_class(
    answers: Answers, matrix: npt.NDArray[np.int64], drawn: npt.NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    recall, precision, f1 = (
        f(matrix) for f in (confusion.recall, confusion.precision, confusion.f1)
    )
    drawn_recall = confusion.recall(drawn)
    table = {}
    for index, label in enumerate(answers.labels):
        of_class = answers.truth == index
        table[label.value] = {
            "n": int(of_class.sum()),
            "precision": precision[index],
            "recall": recall[index],
            "recall_interval": resampling.percentile_interval(drawn_recall[:, index]),
            "f1": f1[index],
            "missed": int((of_class & (answers.outcome == MISSED)).sum()),
            "wrong_face": int((of_class & (answers.outcome == WRONG_FACE)).sum()),
        }
    return table


def slice_by(
    answers: Answers, column: str, *, samples: int = resampling.SAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Accuracy and balanced accuracy of each value of a column, with intervals.

    Args:
        answers: to slice.
        column: whose values make the slices; slices under :data:`FEWEST_IN_SLICE` people are
            left out and only counted.

    Raises:
        DataError: there is no such column.
    """
    if column not in answers.columns:
        known = ", ".join(answers.columns) or "none"
        raise DataError(f"expected a column out of {known} to slice by, got {column!r}")
    values = answers.columns[column]
    shown: dict[str, Any] = {}
    too_small = 0
    for value in sorted({str(v) for v in values}):
        part = answers.take(values == value)
        if len(set(part.columns.get(SUBJECT, part.names))) < FEWEST_IN_SLICE:
            too_small += 1
            continue
        matrix = matrix_of(part)
        drawn = resampling.resample_counts(matrix, samples=samples, seed=seed)
        shown[value] = {
            "n": len(part),
            "accuracy": confusion.accuracy(matrix),
            "accuracy_interval": resampling.percentile_interval(confusion.accuracy(drawn)),
            "balanced_accuracy": confusion.balanced_accuracy(matrix),
            "balanced_accuracy_interval": resampling.percentile_interval(
                confusion.balanced_accuracy(drawn)
            ),
            "missed": int((part.outcome == MISSED).sum()),
        }
    return {"values": shown, "too_small": too_small}


def plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's own, and what is no number as None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
