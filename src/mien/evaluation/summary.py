"""All figures about the predictions of a model, or of two on the same rows, ready for JSON."""

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation import figures as f
from mien.evaluation.dataset import SUBJECT
from mien.evaluation.predict import MISSED, WRONG_FACE, Predictions

_SCHEMA_VERSION = 1

MIN_IN_CLASS = 30
"""Figures over classes with at least as many pictures are given beside those over all classes."""

MIN_IN_SLICE = 20
"""A slice with fewer people says something about persons, not about the model, and is not shown.
Where the data set does not name the subjects, each picture counts as one."""

NAMES_SHOWN = 50
_NAMES_IN_LINE = 5


def summarize(
    predictions: Predictions, *, slices: Sequence[str] = (), seed: int = 0
) -> dict[str, Any]:
    """Every figure, with 95 % intervals.

    Rows without a prediction count as wrong in accuracy, recall and F1; figures about
    probabilities (ECE, Brier, risk-coverage) are over the rows that have them.

    Args:
        predictions: at least one.
        slices: columns to slice by.
        seed: of the bootstrap, for ECE and Brier score.

    Returns:
        Plain numbers, lists and mappings; fractions in [0, 1], None where a figure does not exist.

    Raises:
        DataError: there is no such column.
    """
    main = f.figures(predictions.probabilities, predictions.truth)
    matrix = main.matrix
    large = np.flatnonzero(matrix.sum(axis=1) >= MIN_IN_CLASS)
    wrong = int(len(predictions) - predictions.correct.sum())
    missed, wrong_face = (
        int((predictions.outcome == outcome).sum()) for outcome in (MISSED, WRONG_FACE)
    )
    summary: dict[str, Any] = {
        "schema_version": _SCHEMA_VERSION,
        "data": predictions.data,
        **predictions.facts,
        "labels": [label.value for label in predictions.labels],
        "n": len(predictions),
        "accuracy": main.accuracy,
        "balanced_accuracy": main.balanced_accuracy,
        "macro_f1": main.macro_f1,
        f"balanced_accuracy_n{MIN_IN_CLASS}": f.balanced_accuracy(matrix, large),
        f"macro_f1_n{MIN_IN_CLASS}": f.macro_f1(matrix, large),
        "wrong": wrong,
        "missed": missed,
        "wrong_face": wrong_face,
        "wrong_label": wrong - missed - wrong_face,
        "intervals": f.intervals(matrix),
        "per_class": _per_class(predictions, main),
        "confusion": {
            "rows": "truth",
            "columns": [*(label.value for label in predictions.labels), "none"],
            "counts": matrix,
        },
        "slices": {name: _slice_by(predictions, name) for name in slices},
        "left_out": {reason: name_rows(names) for reason, names in predictions.left_out.items()},
        "ece": main.ece,
        "brier": main.brier,
        "reliability": None,
        "risk_coverage": None,
    }
    answered = predictions.take(predictions.has_prediction)
    if len(answered):
        _add_confidence(summary, answered, seed)
    return dict(plain(summary))


def _add_confidence(summary: dict[str, Any], answered: Predictions, seed: int) -> None:
    top, correct = answered.confidence, answered.correct
    coverage, risk = f.risk_coverage(top, correct)
    # A hundred points draw the curve; the rows themselves are in the file of predictions.
    shown = np.unique(np.linspace(0, len(top) - 1, 101).round().astype(int))
    error, error_at_80 = float(1 - correct.mean()), float(risk[max(0, round(0.8 * len(risk)) - 1)])
    summary |= {
        "confidence": float(top.mean()),
        "reliability": f.reliability(top, correct),
        "risk_coverage": {
            "aurc": float(risk.mean()),
            "error": error,
            "error_at_80": error_at_80,
            "error_ratio_at_80": error_at_80 / error if error > 0 else None,
            "coverage": coverage[shown],
            "risk": risk[shown],
        },
    }
    distances = f.brier_of_rows(answered.probabilities, answered.truth)
    summary["intervals"] |= {
        "ece": f.ece_interval(top, correct, seed=seed),
        "brier": f.mean_interval(distances, seed=seed),
    }


def _per_class(predictions: Predictions, main: f.Figures) -> dict[str, dict[str, Any]]:
    table, matrix = {}, main.matrix
    for index, label in enumerate(predictions.labels):
        of_class = predictions.truth == index
        table[label.value] = {
            "n": int(of_class.sum()),
            "precision": main.precision[index],
            "recall": main.recall[index],
            "recall_interval": f.share_interval(matrix[index, index], matrix[index].sum()),
            "f1": main.f1[index],
            "missed": int((of_class & (predictions.outcome == MISSED)).sum()),
            "wrong_face": int((of_class & (predictions.outcome == WRONG_FACE)).sum()),
        }
    return table


def _slice_by(predictions: Predictions, column: str) -> dict[str, Any]:
    """Accuracy and balanced accuracy of each value of a column, with intervals.

    Slices under :data:`MIN_IN_SLICE` people are left out and only counted.
    """
    if column not in predictions.columns:
        known = ", ".join(predictions.columns) or "none"
        raise DataError(f"expected a column out of {known} to slice by, got {column!r}")
    values = predictions.columns[column]
    shown: dict[str, Any] = {}
    too_small = 0
    for value in sorted({str(v) for v in values}):
        part = predictions.take(values == value)
        if len(set(part.columns.get(SUBJECT, part.names))) < MIN_IN_SLICE:
            too_small += 1
            continue
        main = f.figures(part.probabilities, part.truth)
        intervals = f.intervals(main.matrix)
        shown[value] = {
            "n": len(part),
            "accuracy": main.accuracy,
            "accuracy_interval": intervals["accuracy"],
            "balanced_accuracy": main.balanced_accuracy,
            "balanced_accuracy_interval": intervals["balanced_accuracy"],
            "missed": int((part.outcome == MISSED).sum()),
        }
    return {"values": shown, "too_small": too_small}


def name_rows(names: Sequence[str]) -> dict[str, Any]:
    """The number of rows, and the names of the first :data:`NAMES_SHOWN`."""
    return {"count": len(names), "names": list(names[:NAMES_SHOWN])}


def first_names(names: Sequence[str], count: int) -> str:
    """The first of `count` names, for a line of a report."""
    return ", ".join(names[:_NAMES_IN_LINE]) + (", …" if count > _NAMES_IN_LINE else "")


def plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's own; None for a float that is not finite."""
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


_MARKUP = re.compile(r"[\\|<`*\[]")


def as_markdown(text: str) -> str:
    """A text that Markdown shows as it is, such as a label or the name of a file."""
    return _MARKUP.sub(r"\\\g<0>", text)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown, whose cells are shown as they are."""
    first, *others = [list(map(as_markdown, line)) for line in (header, *rows)]
    lines = [first, ["---"] * len(first), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float | None) -> str:
    """A fraction as a percentage; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f} %"


def _mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value that two models are right equally often (McNemar 1947).

    Of the rows that only one of them has right, either should have half: a binomial distribution.
    """
    n, least = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    log_half = n * math.log(0.5)
    tail = math.fsum(
        math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + log_half)
        for k in range(least + 1)
    )
    return min(1.0, 2 * tail)


def compare(
    a: Predictions, b: Predictions, *, samples: int = f.SAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Paired comparison over the rows that both were run on.

    Args:
        a, b: the predictions of two models for pictures of the same names.
        samples, seed: of the bootstrap, for macro F1.

    Returns:
        Plain numbers: the figures of each, the differences (second minus first) with 95 %
        intervals, and McNemar's test.

    Raises:
        DataError: they have no rows in common, or disagree about their labels.
    """
    a, b = _same_rows(a, b)
    k = len(a.labels)
    # One cell for each truth and pair of predictions; both confusion matrices are sums over it.
    answers = (np.where(side.predicted < 0, k, side.predicted) for side in (a, b))
    flat = np.ravel_multi_index((a.truth, *answers), (k, k + 1, k + 1))
    cells = np.bincount(flat, minlength=k * (k + 1) ** 2).reshape(k, k + 1, k + 1)
    drawn = f.resample_counts(cells, samples=samples, seed=seed)
    only_a = int((a.correct & ~b.correct).sum())
    only_b = int((b.correct & ~a.correct).sum())
    differences = {}
    for name, figure in (
        ("accuracy", f.accuracy),
        ("balanced_accuracy", f.balanced_accuracy),
        ("macro_f1", f.macro_f1),
    ):
        in_a, in_b = float(figure(cells.sum(axis=-1))), float(figure(cells.sum(axis=-2)))
        if figure is f.macro_f1:
            resampled = figure(drawn.sum(axis=-2)) - figure(drawn.sum(axis=-1))
            interval = f.percentile_interval(resampled)
        else:
            interval = f.difference_interval(cells, balanced=figure is f.balanced_accuracy)
        differences[name] = {"a": in_a, "b": in_b, "difference": in_b - in_a, "interval": interval}
    summary = {
        "data": a.data,
        "a": dict(a.facts),
        "b": dict(b.facts),
        "n": len(a),
        **differences,
        "both_right": int((a.correct & b.correct).sum()),
        "only_a_right": only_a,
        "only_b_right": only_b,
        "mcnemar_p": _mcnemar(only_a, only_b),
    }
    return dict(plain(summary))


def _same_rows(a: Predictions, b: Predictions) -> tuple[Predictions, Predictions]:
    place_in_b = {name: row for row, name in enumerate(b.names)}
    shared = [(row, place_in_b[name]) for row, name in enumerate(a.names) if name in place_in_b]
    if not shared:
        raise DataError(
            f"expected two evaluations of the same pictures, got {a.data} and {b.data}, which "
            "have none in common"
        )
    a, b = a.take([row for row, _ in shared]), b.take([row for _, row in shared])
    if set(a.labels) != set(b.labels):
        raise DataError(
            "expected two evaluations with the same labels, got "
            f"{', '.join(a.labels)} and {', '.join(b.labels)}: restrict both with --labels"
        )
    order = [b.labels.index(label) for label in a.labels]
    truth = np.argsort(order)[b.truth]
    if (a.truth != truth).any():
        raise DataError("expected two evaluations with the same true labels, but they differ")
    probabilities = b.probabilities[:, order]
    return a, dataclasses.replace(b, labels=a.labels, truth=truth, probabilities=probabilities)


def compared_markdown(summary: dict[str, Any]) -> str:
    """A comparison as Markdown."""
    names = [_name(summary[side]) for side in "ab"]
    a, b = map(as_markdown, names)
    rows = []
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        entry = summary[name]
        edges = (f"{100 * edge:+.1f}" for edge in entry["interval"] or ())
        difference = f"{100 * entry['difference']:+.1f}"
        both = percent(entry["a"]), percent(entry["b"])
        rows.append([name.replace("_", " "), *both, difference, " to ".join(edges)])
    return (
        f"# {b} against {a} on {as_markdown(summary['data'])}\n\n"
        f"{summary['n']} pictures that both models saw. Differences are {b} minus {a}, with "
        "95 % intervals over the pictures.\n\n"
        + markdown_table(["figure", *names, "difference", "interval"], rows)
        + f"\n\nOnly {a} right: {summary['only_a_right']}; only {b} right: "
        f"{summary['only_b_right']}; McNemar's exact test: p = {summary['mcnemar_p']:.3g}.\n"
    )


def _name(facts: dict[str, str]) -> str:
    return f"{facts.get('model', 'a model')} ({facts.get('prior', 'unknown')} prior)"
