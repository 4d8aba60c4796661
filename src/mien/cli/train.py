"""``mien train`` and ``mien export``: expression models from a recipe and labeled pictures."""

import contextlib
import json as json_module
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, TaskID
from rich.table import Table

from mien.cli.console import print_json, progress_bars, stdout_console
from mien.cli.options import JsonFlag
from mien.errors import SettingError
from mien.runtime.catalog import CatalogEntry
from mien.training import Report
from mien.training.recipe import find_recipes, is_classical, load_classical_recipe, recipe_path

app = typer.Typer(add_completion=False)
export_app = typer.Typer(add_completion=False)


@app.command(
    "train",
    epilog="The same command resumes a run that was stopped. On several GPUs or processes: "
    "torchrun --nproc-per-node N -m mien train …",
)
def _train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Recipe: a name from --list, or a TOML file.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Labeled pictures, as for mien evaluate.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; by default runs/RECIPE.")
    ] = None,
    crops: Annotated[
        bool | None,
        typer.Option(
            "--crops/--photographs",
            help="Treat the pictures as face crops or as photographs.",
            show_default=False,
        ),
    ] = None,
    *,
    epochs: Annotated[
        int, typer.Option(help="Override the recipe's epochs; 0 keeps them.", min=0)
    ] = 0,
    workers: Annotated[int, typer.Option(help="Processes that prepare batches.", min=0)] = 1,
    formats: Annotated[
        str, typer.Option(help="Files to export: fp32, fp16, int8, separated by commas.")
    ] = "fp32,fp16",
    list_recipes: Annotated[
        bool, typer.Option("--list", help="List the recipes that ship with mien, and exit.")
    ] = False,
    json: JsonFlag = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the recipe as a template, and exit.")
    ] = False,
) -> None:
    """Train an expression model, then export, check, calibrate and measure it."""
    if list_recipes:
        _print_recipes(as_json=json)
        return
    if recipe is None or (data is None and not show):
        raise SettingError("expected a recipe and --data; mien train --list shows the recipes")
    path = recipe_path(recipe)
    if show or data is None:
        typer.echo(path.read_text(encoding="utf-8"), nl=False)
        return
    folder = out or Path("runs") / path.stem
    if folder.is_dir() and any(folder.iterdir()) and not _is_run(folder):
        raise SettingError(
            f"expected a new or empty folder, or one of an earlier run, for --out, got {folder}, "
            "which has other files: choose another"
        )
    if is_classical(path):
        _train_classical(path, data, folder, as_json=json)
        return
    from mien.training.train import Plan, run_training

    plan = Plan(
        recipe_path=path,
        data_path=data,
        folder=folder,
        crops=crops,
        epochs=epochs,
        workers=workers,
        formats=tuple(formats.split(",")),
    )
    with _progress_bars() as report:
        entries = run_training(plan, report)
    _print_files(entries, as_json=json)


@export_app.command("export")
def _export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; by default that of the run.")
    ] = None,
    formats: Annotated[
        str, typer.Option(help="fp32, fp16 (weights only), int8, separated by commas.")
    ] = "fp32,fp16,int8",
    name: Annotated[
        str | None, typer.Option(help="Model name; by default the recipe's name.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Export a training run to ONNX, each file with its spec and its measured accuracy."""
    from mien.training.train import export_run

    with _progress_bars() as report:
        entries = export_run(run, out or run, tuple(formats.split(",")), name, report)
    _print_files(entries, as_json=json)


def _print_recipes(*, as_json: bool) -> None:
    if as_json:
        rows = [asdict(found) | {"path": str(found.path)} for found in find_recipes()]
        print_json({"recipes": rows})
        return
    table = Table("recipe", "network", "input", "epochs", "summary", box=None)
    for found in find_recipes():
        rounds = str(found.epochs or "")
        table.add_row(found.path.stem, found.route, f"{found.size} px", rounds, found.summary)
    stdout_console().print(table)


def _train_classical(recipe: Path, data: Path, folder: Path, *, as_json: bool) -> None:
    from mien.training.classical import train_classical

    folder.mkdir(parents=True, exist_ok=True)
    with _progress_bars() as report:
        spec = train_classical(load_classical_recipe(recipe), data, folder, report=report)
    _print_files([CatalogEntry(spec, folder / spec.file, shipped=False)], as_json=as_json)


def _is_run(folder: Path) -> bool:
    """Whether a training run wrote a folder: its configuration, or its model, tells it."""
    try:
        config = json_module.loads((folder / "config.json").read_text(encoding="utf-8"))
        return isinstance(config, dict) and "recipe_path" in config
    except (OSError, ValueError):
        return any(path.with_suffix(".json").is_file() for path in folder.glob("*.npz"))


@contextlib.contextmanager
def _progress_bars() -> Iterator[Report]:
    """A bar on stderr for each stage that counts its steps; messages as lines.

    Where stderr is a file, which shows no bars, the note of each finished stage becomes a line.
    """
    bars = progress_bars(MofNCompleteColumn(), transient=False)
    tasks: dict[str, TaskID] = {}
    notes: dict[str, str] = {}

    def report(stage: str, done: int = 0, total: int = 0, note: str = "") -> None:
        if not total:
            bars.console.print(stage)
            return
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage)
        bars.update(tasks[stage], description=note or stage, completed=done, total=total)
        if bars.console.is_terminal or not note:
            return
        epoch = note.partition(",")[0]
        if notes.get(stage, epoch) != epoch or done == total:
            bars.console.print(note)
        notes[stage] = epoch

    with bars:
        yield report


def _print_files(entries: Sequence[CatalogEntry], *, as_json: bool) -> None:
    """The files written, with their size and figures."""
    if as_json:
        rows = [
            {
                "path": str(entry.path),
                "bytes": entry.path.stat().st_size,
                "metrics": dict(entry.spec.metrics),
            }
            for entry in entries
        ]
        print_json({"files": rows})
        return
    if not entries:
        return
    table = Table("file", "MB", "figure", "value", box=None)
    for entry in entries:
        size = f"{entry.path.stat().st_size / 1e6:.2f}"
        for name, value in entry.spec.metrics.items():
            table.add_row(str(entry.path), size, name, f"{value:.4f}")
    stdout_console().print(table)
