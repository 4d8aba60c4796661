"""Comparing two models on the same rows."""

import dataclasses
import math
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation import figures as f
from mien.evaluation.predict import Predictions
from mien.evaluation.report import markdown_table, percent
from mien.evaluation.summary import plain


def _mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value that two models are right equally often.

    Method: McNemar 1947, by the binomial distribution: of the rows that one model has right and
    the other wrong, either should have half.

    Args:
        only_a: rows that only the first has right.
        only_b: rows that only the second has right.
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
        differences[name] = {
            "a": in_a,
            "b": in_b,
            "difference": in_b - in_a,
            "interval": interval,
        }
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


def to_markdown(summary: dict[str, Any]) -> str:
    """A comparison as Markdown."""
    a, b = (_name(summary[side]) for side in "ab")
    rows = []
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        entry = summary[name]
        edges = (f"{100 * edge:+.1f}" for edge in entry["interval"] or ())
        difference = f"{100 * entry['difference']:+.1f}"
        both = percent(entry["a"]), percent(entry["b"])
        rows.append([name.replace("_", " "), *both, difference, " to ".join(edges)])
    return (
        f"# {b} against {a} on {summary['data']}\n\n"
        f"{summary['n']} pictures that both models saw. Differences are {b} minus {a}, with "
        "95 % intervals over the pictures.\n\n"
        + markdown_table(["figure", a, b, "difference", "interval"], rows)
        + f"\n\nOnly {a} right: {summary['only_a_right']}; only {b} right: "
        f"{summary['only_b_right']}; McNemar's exact test: p = {summary['mcnemar_p']:.3g}.\n"
    )


def _name(facts: dict[str, str]) -> str:
    return f"{facts.get('model', 'a model')} ({facts.get('prior', 'unknown')} prior)"
