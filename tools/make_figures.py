"""Draw the pictures of the documentation, for `make figures`.

    python tools/make_figures.py

Each plot is made from benchmarks/results: an SVG file in docs/images with a transparent ground, in
colors that are readable on a light and on a dark page. live.webp is an analysis of the sample clip.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image as PillowImage

import mien

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"
OUT = ROOT / "docs/images"
CLIP = ROOT / "src/mien/web/static/sample.mp4"

# Middle gray, and colors of middle lightness that differ for color-blind readers, too.
_GRAY = "#808890"
_COLORS = ("#0f9d8a", "#d9822b", "#5b7fd4", "#c2528b", "#7a9a2e", "#8d6fc9", "#b0803c")
_STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": _GRAY,
    "axes.labelcolor": _GRAY,
    "axes.titlecolor": _GRAY,
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=_COLORS),
    "grid.color": _GRAY,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.labelcolor": _GRAY,
    "legend.fontsize": 9,
    "text.color": _GRAY,
    "xtick.color": _GRAY,
    "ytick.color": _GRAY,
    "font.size": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    # Text stays text, and the same results give the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "mien",
}
_LIVE_S = 7.0
_LIVE_SIZE = (640, 360)
_SETS = {"ferplus": "FER+ valid", "lfw-expressions": "lfw-expressions"}


def result(name: str) -> Any:
    """A file of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def reliability(figure: Figure) -> None:
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_GRAY, linewidth=1, linestyle="--", label="calibrated")
    for name, measured in result("curves").items():
        bins = measured["reliability"]
        axes.plot(bins["confidence"], bins["accuracy"], "o-", label=_SETS[name])
    axes.set(xlabel="probability of the label", ylabel="share that is right")
    axes.set(xlim=(0.2, 1), ylim=(0.2, 1), aspect="equal")
    axes.legend(loc="upper left")


def risk_coverage(figure: Figure) -> None:
    axes = figure.subplots()
    for name, measured in result("curves").items():
        curve = measured["risk_coverage"]
        axes.plot(curve["coverage"], curve["risk"], label=_SETS[name])
    axes.set(xlabel="share of faces kept, most confident first", ylabel="share that is wrong")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.legend(loc="upper left")


def confusion(figure: Figure) -> None:
    # One below the other, so that the labels are readable on a phone.
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (name, measured) in zip(panels, result("curves").items(), strict=True):
        _confusion_panel(axes, measured)
        axes.set_title(_SETS[name])
        axes.set_ylabel("true label")
    panels[-1].set_xlabel("predicted")


def _confusion_panel(axes: Axes, measured: dict[str, Any]) -> None:
    labels, rows = measured["labels"], measured["confusion"]["counts"]
    axes.grid(visible=False)
    for y, counts in enumerate(rows):
        for x, count in enumerate(counts[: len(labels)]):
            share = count / sum(counts) if sum(counts) else 0
            axes.fill_between([x - 0.5, x + 0.5], y - 0.5, y + 0.5, color=_COLORS[0], alpha=share)
            if share >= 0.01:
                color = "white" if share > 0.5 else _GRAY
                text = f"{100 * share:.0f}"
                axes.text(x, y, text, color=color, ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5), aspect="equal")


def robustness(figure: Figure) -> None:
    axes = figure.subplots()
    measured = result("robustness")
    for name, found in measured["corruptions"].items():
        accuracy = [measured["clean"], *found["accuracy"]]
        axes.plot(range(6), accuracy, "o-", label=name.replace("_", " "))
    axes.set(xlabel="severity", ylabel="accuracy", ylim=(0, 1))
    axes.legend(ncols=2, loc="lower left")


def throughput(figure: Figure) -> None:
    axes = figure.subplots()
    measured = result("web-load")
    runs = [run for run in measured["runs"] if run["rate_each"] is None]
    clients = [run["clients"] for run in runs]
    axes.plot(clients, [run["fps"] for run in runs], "o-", label="server")
    same = [run["bare_same_streams_fps"] for run in runs]
    axes.plot(clients, same, "o-", label="pipeline alone, same streams")
    axes.set(xlabel="clients, each with one frame in flight", ylabel="frames a second")
    axes.set(ylim=(0, None), xticks=clients)
    axes.legend()


def cost(figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    runs = [run for run in result("pipeline")["runs"] if run["threads"] == 1]
    names, base = [f"faces: {run['faces']}" for run in runs], [0.0] * len(runs)
    parts = {step: [run["cpu_ms"][step] for run in runs] for step in _STEPS}
    parts["rest"] = [
        run["cpu_ms"]["whole"] - sum(run["cpu_ms"][step] for step in _STEPS) for run in runs
    ]
    for step, values in parts.items():
        left.bar(names, values, 0.6, bottom=base, label=step)
        base = [low + value for low, value in zip(base, values, strict=True)]
    left.set(ylabel="CPU ms", title="a picture of 640×360")
    left.legend(loc="upper left")
    large = result("field-large")
    for side in sorted({run["face px"] for run in large}):
        rows = [run for run in large if run["face px"] == side]
        x, y = [run["megapixels"] for run in rows], [run["cpu_s"] for run in rows]
        right.plot(x, y, "o-", label=f"faces of {side} px")
    right.set(xlabel="megapixels", ylabel="CPU s", ylim=(0, None), title="a picture of 100 faces")
    right.legend(loc="lower right")


_STEPS = ("detect", "landmarks", "classify")


def memory(figure: Figure) -> None:
    axes = figure.subplots()
    seconds, megabytes = zip(*result("streams-soak")["figures"]["samples"], strict=True)
    axes.plot([second / 60 for second in seconds], megabytes, label="a video of an hour")
    soak = result("web-soak")
    step_s = soak["seconds"] / len(soak["memory_pss_mb"])
    minutes = [i * step_s / 60 for i in range(len(soak["memory_pss_mb"]))]
    axes.plot(minutes, soak["memory_pss_mb"], label="a server with 200 clients")
    axes.set(xlabel="minutes", ylabel="MB", ylim=(0, None))
    axes.legend(loc="lower right")


FIGURES: dict[str, tuple[Callable[[Figure], None], tuple[float, float]]] = {
    "reliability": (reliability, (4.2, 4.0)),
    "risk-coverage": (risk_coverage, (5.2, 3.2)),
    "confusion": (confusion, (4.6, 8.4)),
    "robustness": (robustness, (5.6, 3.6)),
    "throughput": (throughput, (5.2, 3.0)),
    "cost": (cost, (7.2, 3.2)),
    "memory": (memory, (5.2, 3.0)),
}


def live() -> None:
    """Write live.webp: six frames a second of the sample clip with what is found in them.

    It plays once, so that nothing moves beside the text for long, and ends where one person smiles.
    """
    kept = []

    class Annotated:
        def write(self, frame: Any, found: mien.FrameResult, events: Any) -> None:
            if frame.index % 4 == 0 and found.timestamp_s < _LIVE_S:
                kept.append(mien.annotate(frame.image, found, draw=["mesh", "aus"]))

        def close(self, events: Any, *, complete: bool) -> None:
            """All frames are kept."""

    for _ in mien.stream(CLIP, landmarks="face-landmarker", sinks=[Annotated()]):
        pass
    first, *rest = (PillowImage.fromarray(image).resize(_LIVE_SIZE) for image in kept)
    first.save(
        OUT / "live.webp", save_all=True, append_images=rest, duration=167, loop=1, quality=45
    )


def main() -> None:
    live()
    with mpl.rc_context(_STYLE):
        for name, (draw, size) in FIGURES.items():
            figure = Figure(figsize=size, layout="constrained")
            draw(figure)
            figure.savefig(OUT / f"{name}.svg", transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
