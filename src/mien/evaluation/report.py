"""One evaluation from data to files: JSON with every prediction, Markdown tables, plots."""

import dataclasses
import json
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError, counted, import_extra
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.predict import Predictions, Progress, Selection, predict
from mien.evaluation.robustness import measure_robustness
from mien.evaluation.summary import (
    MIN_IN_CLASS,
    MIN_IN_SLICE,
    as_markdown,
    first_names,
    markdown_table,
    percent,
    summarize,
)
from mien.labels import exact_label
from mien.media.images import OWN_MARK
from mien.pipeline import FacePipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_FILES = ("confusion.png", "reliability.png", "risk-coverage.png", "robustness.png")
"""Every file that :func:`write_plots` may write."""


def evaluate(
    data: LabeledSet,
    pipeline: FacePipeline,
    selection: Selection | None = None,
    *,
    slices: Sequence[str] = (),
    robustness: bool = False,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Predictions]:
    """Run a pipeline on a labeled set and measure its predictions.

    Args:
        data: the labeled set.
        pipeline: whose classifier (face crops) or whose every step (photographs) is measured.
        selection: which rows; its seed is also that of the intervals and the corruptions.
        slices: columns to slice by.
        robustness: whether to measure accuracy under corruption as well.

    Returns:
        The summary, see :func:`mien.evaluation.summary.summarize`, with every row's prediction
        under ``rows`` and the robustness under ``robustness``; and the predictions.

    Raises:
        DataError: no row is left, or there is no such column.
    """
    selection = selection or Selection()
    rows, split = selection.apply(data, pipeline.classifier.spec.labels)
    found = predict(rows, pipeline, only=selection.only, progress=progress)
    found = dataclasses.replace(found, facts={**found.facts, "split": split})
    summary = summarize(found, slices=slices, seed=selection.seed)
    if robustness:
        summary["robustness"] = measure_robustness(
            rows, pipeline, only=selection.only, progress=progress, seed=selection.seed
        )
    summary["rows"] = _rows_of(found)
    return summary, found


def _rows_of(predictions: Predictions) -> dict[str, Any]:
    """Truth and prediction of every row, so that two evaluations can be compared later."""
    return {
        "names": list(predictions.names),
        "truth": [predictions.labels[i].value for i in predictions.truth],
        "outcome": predictions.outcome.tolist(),
        "probabilities": [
            [round(float(p), 5) for p in row] if np.isfinite(row).all() else None
            for row in predictions.probabilities
        ],
    }


def write_json(path: Path, summary: dict[str, Any]) -> None:
    """Write a summary as indented JSON, its rows on one line."""
    rows = summary.get("rows")
    text = json.dumps({k: v for k, v in summary.items() if k != "rows"}, indent=2)
    if rows is not None:
        text = f'{text[:-2]},\n  "rows": {json.dumps(rows)}\n}}'
    path.write_text(text + "\n", encoding="utf-8")


def read_predictions(path: Path) -> Predictions:
    """The rows of a file that :func:`write_json` wrote.

    Raises:
        DataError: it is no evaluation with rows.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        rows = summary["rows"]
        labels = tuple(exact_label(label) for label in summary["labels"])
        truth = [labels.index(exact_label(label)) for label in rows["truth"]]
        no_prediction = [np.nan] * len(labels)
        return Predictions(
            data=summary["data"],
            labels=labels,
            truth=np.array(truth, np.int64),
            probabilities=np.array(
                [no_prediction if p is None else p for p in rows["probabilities"]], np.float64
            ).reshape(-1, len(labels)),
            outcome=np.array(rows["outcome"], np.str_),
            names=tuple(rows["names"]),
            facts={key: summary[key] for key in ("model", "prior", "mode") if key in summary},
        )
    except OSError as error:
        raise DataError(f"expected an evaluation at {path}, but: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"expected the JSON file of `mien evaluate --json` at {path}, got another: {error}"
        ) from None


def to_markdown(summary: dict[str, Any]) -> str:
    """An evaluation as Markdown tables."""
    blocks = [
        as_markdown(f"# {summary['model']} on {summary['data']}"),
        as_markdown(_facts(summary)),
        _main_figures(summary),
        _classes(summary),
        _confusion(summary),
        *(_slice(name, table) for name, table in summary["slices"].items()),
    ]
    if summary.get("robustness"):
        blocks.append(_robustness(summary["robustness"]))
    if summary["left_out"]:
        lines = [
            as_markdown(f"- {reason}: {e['count']} ({first_names(e['names'], e['count'])})")
            for reason, e in summary["left_out"].items()
        ]
        blocks.append("\n".join(["## Left out", "", *lines]))
    return "\n\n".join(blocks) + "\n"


def _facts(summary: dict[str, Any]) -> str:
    parts = [f"Prior: {summary['prior']}", f"mode: {summary['mode']}"]
    parts += [f"split: {summary['split']}"] if summary.get("split") else []
    answered = f"{counted(summary['n'], 'picture')}; labels: {', '.join(summary['labels'])}"
    return f"{'; '.join(parts)}. {answered}. Intervals are 95 % intervals."


def _main_figures(summary: dict[str, Any]) -> str:
    rows = []
    for figure in ("accuracy", "balanced_accuracy", "macro_f1"):
        name = figure.replace("_", " ").replace("macro f1", "macro-F1")
        rows.append([name, *_figure(summary[figure], summary["intervals"][figure])])
        if figure != "accuracy":
            over = f"{name} over classes with {MIN_IN_CLASS} pictures or more"
            rows.append([over, *_figure(summary[f"{figure}_n{MIN_IN_CLASS}"])])
    rows.append(
        ["ECE, 15 equal-mass bins", *_figure(summary["ece"], summary["intervals"].get("ece"))]
    )
    brier, interval = summary["brier"], summary["intervals"].get("brier")
    between = "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    rows.append(["Brier score", "–" if brier is None else f"{brier:.3f}", between])
    if summary["risk_coverage"] is not None:
        at_80 = summary["risk_coverage"]["error_at_80"]
        rows.append(["error at 80 % coverage", *_figure(at_80)])
    rows += [
        ["wrong", str(summary["wrong"]), ""],
        ["… no face found", str(summary["missed"]), ""],
        ["… another face found", str(summary["wrong_face"]), ""],
        ["… another expression", str(summary["wrong_label"]), ""],
    ]
    return markdown_table(["figure", "value", "interval"], rows)


def _classes(summary: dict[str, Any]) -> str:
    rows = [
        [
            label,
            str(facts["n"]),
            *_figure(facts["recall"], facts["recall_interval"]),
            percent(facts["precision"]),
            percent(facts["f1"]),
        ]
        for label, facts in summary["per_class"].items()
    ]
    header = ["expression", "n", "recall", "interval", "precision", "F1"]
    return "## Each expression\n\n" + markdown_table(header, rows)


def _confusion(summary: dict[str, Any]) -> str:
    confusion = summary["confusion"]
    rows = [
        [label, *(str(count) for count in counts)]
        for label, counts in zip(summary["labels"], confusion["counts"], strict=True)
    ]
    return "## Confusion\n\n" + markdown_table(["truth ↓ predicted →", *confusion["columns"]], rows)


def _slice(name: str, table: dict[str, Any]) -> str:
    rows = [
        [
            value or "(none)",
            str(facts["n"]),
            *_figure(facts["accuracy"], facts["accuracy_interval"]),
            *_figure(facts["balanced_accuracy"], facts["balanced_accuracy_interval"]),
        ]
        for value, facts in table["values"].items()
    ]
    header = [name, "n", "accuracy", "interval", "balanced accuracy", "interval"]
    note = f"\n\nNot shown, under {MIN_IN_SLICE} people: {table['too_small']}."
    return (
        f"## By {as_markdown(name)}\n\n"
        + markdown_table(header, rows)
        + (note if table["too_small"] else "")
    )


def _robustness(robustness: dict[str, Any]) -> str:
    """The table of a robustness run."""
    rows = [
        [kind, *(percent(value) for value in facts["accuracy"]), percent(facts["mean_1_to_3"])]
        for kind, facts in robustness["corruptions"].items()
    ]
    header = ["corruption", "1", "2", "3", "4", "5", "mean 1 to 3"]
    return (
        f"## Robustness\n\n{counted(robustness['n'], 'picture')}, accuracy without corruption "
        f"{percent(robustness['clean'])}; mean over severities 1 to 3 "
        f"{percent(robustness['mean_1_to_3'])}, 1 to 5 {percent(robustness['mean_1_to_5'])}.\n\n"
        + markdown_table(header, rows)
    )


def _figure(value: float | None, interval: list[float] | None = None) -> list[str]:
    """The cells of a figure and of its interval."""
    between = "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
    return [percent(value), between]


def require_matplotlib() -> None:
    """Check that plots can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    import_extra("matplotlib", "eval", "draw plots")


def write_plots(summary: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the confusion matrix, the reliability diagram and the risk-coverage curve.

    Returns:
        The files, in a folder that is made if it is missing.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    draws = [_draw_confusion, _draw_reliability, _draw_risk_coverage, _draw_robustness]
    known = summary["reliability"] is not None
    drawn = [True, known, known, bool(summary.get("robustness"))]
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in compress(zip(PLOT_FILES, draws, strict=True), drawn):
        # Without pyplot: no window system, no state that outlives the call.
        figure = Figure(figsize=(6.4, 5.2), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(axes, summary)
        figure.savefig(folder / name, metadata={"Comment": OWN_MARK})
        written.append(folder / name)
    return written


def _title(axes: "Axes", summary: dict[str, Any], what: str) -> None:
    axes.set_title(f"{what}\n{summary['model']} on {summary['data']}, n = {summary['n']}")


def _draw_confusion(axes: "Axes", summary: dict[str, Any]) -> None:
    counts = np.array(summary["confusion"]["counts"], np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ink = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=ink, fontsize=8)
    columns = summary["confusion"]["columns"]
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(summary["labels"])), summary["labels"])
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    _title(axes, summary, "Confusion: counts, shaded by share of the truth")


def _draw_reliability(axes: "Axes", summary: dict[str, Any]) -> None:
    table = summary["reliability"]
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfect")
    axes.plot(table["confidence"], table["accuracy"], marker="o", label="measured")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    _title(axes, summary, f"Reliability: ECE {100 * summary['ece']:.1f} %, equal-mass bins")


def _draw_risk_coverage(axes: "Axes", summary: dict[str, Any]) -> None:
    curve = summary["risk_coverage"]
    axes.plot(curve["coverage"], curve["risk"])
    axes.axvline(0.8, color="0.6", linestyle=":")
    axes.set(xlabel="coverage, the most confident faces first", ylabel="error", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    _title(axes, summary, f"Risk and coverage: {100 * curve['error_at_80']:.1f} % error at 80 %")


def _draw_robustness(axes: "Axes", summary: dict[str, Any]) -> None:
    robustness = summary["robustness"]
    for kind, facts in robustness["corruptions"].items():
        axes.plot(range(6), [robustness["clean"], *facts["accuracy"]], marker="o", label=kind)
    axes.set(xlabel="severity", ylabel="accuracy", ylim=(0, 1))
    axes.legend(loc="lower left", fontsize=8)
    _title(axes, summary, "Accuracy under corruption")
