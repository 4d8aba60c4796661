"""A training run from recipe to model card."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from mien.config import Settings
from mien.errors import DataError
from mien.pipeline import FacePipeline
from mien.runtime.catalog import CatalogEntry
from mien.training import Report, no_report
from mien.training.batches import joined_processes
from mien.training.dataset import MAIN_HEAD, SECOND_HEAD, TrainingData, load_training_data
from mien.training.loop import load_best, read_metrics, train
from mien.training.networks import ExpressionNetwork, build_network
from mien.training.publish import check_formats, publish
from mien.training.recipe import Recipe, load_recipe
from mien.training.transfer import blend, distill, load_start

_CONFIG = "config.json"
_CURVES = "curves.png"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train, and how, as given on the command line.

    Attributes:
        recipe_path: of the TOML file.
        data_path: see :func:`mien.evaluation.readers.read_data`.
        folder: of the run; one with a checkpoint in it is resumed.
        crops: whether the pictures are face crops; None uses what the data set says.
        epochs: override the recipe's; 0 keeps them.
        workers: processes that prepare batches.
        formats: of the exported files; without any nothing is exported.
    """

    recipe_path: Path
    data_path: Path
    folder: Path
    crops: bool | None = None
    epochs: int = 0
    workers: int = 1
    formats: tuple[str, ...] = ("fp32", "fp16")


def run_training(plan: Plan, report: Report = no_report) -> list[CatalogEntry]:
    """Train, then export, check, calibrate, measure, and write the card.

    Returns:
        The files written; none in processes other than the first.

    Raises:
        MienError: the recipe, the data or the folder cannot be used.
    """
    check_formats(plan.formats)
    recipe = load_recipe(plan.recipe_path)
    if plan.epochs:
        optimizer = dataclasses.replace(recipe.optimizer, epochs=plan.epochs)
        recipe = dataclasses.replace(recipe, optimizer=optimizer)
    # OpenCV's threads would compete with torch's for the same cores.
    cv2.setNumThreads(0)
    with joined_processes() as processes:
        data = _load(plan.data_path, recipe, plan.crops, report)
        plan.folder.mkdir(parents=True, exist_ok=True)
        if processes.is_first:
            _write_config(plan.folder, recipe, _environment(plan))
        torch.manual_seed(recipe.optimizer.seed)
        network = _network(recipe, data)
        if recipe.network.start is not None:
            load_start(network, recipe, plan.recipe_path.parent, data.train)
        train(
            recipe,
            network,
            distill(data.train, recipe, plan.recipe_path.parent, report),
            data,
            folder=plan.folder,
            report=report,
            processes=processes,
            workers=plan.workers,
        )
        if not processes.is_first:
            return []
    _draw_curves(read_metrics(plan.folder), plan.folder / _CURVES)
    if not plan.formats:
        return []
    network = _trained_network(recipe, data, plan.folder, plan.recipe_path.parent)
    return publish(
        recipe, network, data, plan.folder, name=recipe.name, formats=plan.formats, report=report
    )


def export_run(
    folder: Path, output: Path, formats: Sequence[str], name: str | None, report: Report = no_report
) -> list[CatalogEntry]:
    """Export the best epoch of a run again.

    Args:
        folder: of the run; its config names the recipe and the data.
        output: where the files are written.
        name: of the model; by default the recipe's.

    Raises:
        DataError: there is no training run in the folder.
    """
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        recipe_path, data_path = Path(config["recipe_path"]), Path(config["data_path"])
        crops = config["crops"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"expected a training run in {folder}: {error}") from error
    recipe = load_recipe(recipe_path)
    data = _load(data_path, recipe, crops, report)
    output.mkdir(parents=True, exist_ok=True)
    network = _trained_network(recipe, data, folder, recipe_path.parent)
    return publish(
        recipe, network, data, output, name=name or recipe.name, formats=formats, report=report
    )


def _load(path: Path, recipe: Recipe, crops: bool | None, report: Report) -> TrainingData:
    pipeline = FacePipeline(Settings.from_environment())
    data = load_training_data(
        path, recipe, pipeline, crops=crops, seed=recipe.optimizer.seed, report=report
    )
    if data.unreadable:
        report(
            f"{len(data.unreadable)} unreadable pictures are left out, such as "
            f"{data.unreadable[0]}; mien data check lists them"
        )
    return data


def _network(recipe: Recipe, data: TrainingData) -> ExpressionNetwork:
    heads = {MAIN_HEAD: len(recipe.network.labels)}
    if data.second_labels:
        heads[SECOND_HEAD] = len(data.second_labels)
    plan = recipe.network
    pooling_size = recipe.input.size if plan.learned_pooling else 0
    return build_network(plan.architecture, 1, heads, plan.dropout, pooling_size=pooling_size)


def _trained_network(
    recipe: Recipe, data: TrainingData, run: Path, recipes: Path
) -> ExpressionNetwork:
    network = _network(recipe, data)
    load_best(run, network)
    if recipe.network.start is not None and recipe.network.start_share:
        start = _network(recipe, data)
        names = load_start(start, recipe, recipes, data.train)
        blend(network, start, names, recipe.network.start_share)
    return network


def _environment(plan: Plan) -> dict[str, str | bool | None]:
    packages = ("mien", "torch", "numpy", "opencv-contrib-python-headless")
    return {
        "recipe_path": str(plan.recipe_path.resolve()),
        "data_path": str(plan.data_path.resolve()),
        "crops": plan.crops,
        **{f"version_of_{name}": importlib.metadata.version(name) for name in packages},
    }


def _write_config(folder: Path, recipe: Recipe, more: dict[str, Any]) -> None:
    """Write ``config.json``: everything needed to repeat the run."""
    document = {**more, "recipe": dataclasses.asdict(recipe)}
    text = json.dumps(document, indent=2, default=str) + "\n"
    (folder / _CONFIG).write_text(text, encoding="utf-8")


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


def _draw_curves(metrics: list[dict[str, float]], path: Path) -> None:
    """Draw ``metrics.jsonl`` as PNG: losses on the left, accuracies on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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
