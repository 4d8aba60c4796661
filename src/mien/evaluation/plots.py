"""Figures of an evaluation as PNG files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_plots(document: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the confusion matrix, the reliability diagram and the risk-coverage curve.

    Args:
        document: of :func:`mien.evaluation.figures.measure`.
        folder: is made where it is missing.

    Returns:
        The files.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    plots = {"confusion.png": _confusion}
    if document["reliability"] is not None:
        plots |= {"reliability.png": _reliability, "risk-coverage.png": _risk_coverage}
    if document.get("robustness"):
        plots["robustness.png"] = _robustness
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "eval", "draw plots") from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in plots.items():
        # Without pyplot: no window system, no state that outlives the call.
        figure = Figure(figsize=(6.4, 5.2), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(axes, document)
        figure.savefig(folder / name)
        written.append(folder / name)
    return written


def _title(axes: "Axes", document: dict[str, Any], what: str) -> None:
    axes.set_title(f"{what}\n{document['model']} on {document['data']}, n = {document['n']}")


def _confusion(axes: "Axes", document: dict[str, Any]) -> None:
    counts = np.array(document["confusion"]["counts"], np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ink = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=ink, fontsize=8)
    columns = document["confusion"]["columns"]
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(document["labels"])), document["labels"])
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    _title(axes, document, "Confusion: counts, shaded by share of the truth")


def _reliability(axes: "Axes", document: dict[str, Any]) -> None:
    table = document["reliability"]
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfect")
    axes.plot(table["confidence"], table["accuracy"], marker="o", label="measured")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    _title(axes, document, f"Reliability: ECE {100 * document['ece']:.1f} %, equal-mass bins")


def _risk_coverage(axes: "Axes", document: dict[str, Any]) -> None:
    curve = document["risk_coverage"]
    axes.plot(curve["coverage"], curve["risk"])
    axes.axvline(0.8, color="0.6", linestyle=":")
    axes.set(xlabel="share of faces answered, the surest first", ylabel="error", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    _title(axes, document, f"Risk and coverage: {100 * curve['error_at_80']:.1f} % error at 80 %")


def _robustness(axes: "Axes", document: dict[str, Any]) -> None:
    robustness = document["robustness"]
    for kind, facts in robustness["corruptions"].items():
        axes.plot(range(6), [robustness["clean"], *facts["accuracy"]], marker="o", label=kind)
    axes.set(xlabel="severity", ylabel="accuracy", ylim=(0, 1))
    axes.legend(loc="lower left", fontsize=8)
    _title(axes, document, "Accuracy under corruption")
