"""The course of a training run as a picture."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_PANELS = (
    ("loss", {"train_loss": "training", "nll": "valid"}, "nats"),
    (
        "accuracy",
        {
            "accuracy": "natural prior",
            "balanced_accuracy_uniform": "balanced, uniform prior",
            "second_accuracy": "second head",
        },
        "share",
    ),
)


def draw_curves(metrics: list[dict[str, float]], path: Path) -> None:
    """Draw ``metrics.jsonl`` as PNG: losses on the left, accuracies on the right."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] for row in metrics]
    for axes, (title, curves, unit) in zip(figure.subplots(1, 2), _PANELS, strict=True):
        for key, label in curves.items():
            if key in metrics[0]:
                axes.plot(epochs, [row[key] for row in metrics], marker=".", label=label)
        axes.set(title=title, xlabel="epoch", ylabel=unit)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
