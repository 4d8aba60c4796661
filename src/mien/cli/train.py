"""``mien train``: an expression model of your own, from a recipe and labeled pictures."""

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mien.cli.console import stdout_console
from mien.cli.training_progress import print_files, told_on_terminal
from mien.errors import SettingError
from mien.runtime.catalog import CatalogEntry
from mien.training.classical_recipe import load_classical_recipe
from mien.training.listing import find_recipes, names_classical_route, recipe_path

app = typer.Typer(add_completion=False)


@app.command(
    epilog="A run that was stopped goes on where it was: give the same command again. On several "
    "GPUs or processes: torchrun --nproc-per-node N -m mien train …"
)
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="The recipe: a name of --list, or a TOML file.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Labeled pictures, as for mien evaluate.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; by default runs/ and the recipe's name."),
    ] = None,
    crops: Annotated[
        bool | None,
        typer.Option("--crops/--photographs", help="What the pictures are.", show_default=False),
    ] = None,
    *,
    epochs: Annotated[
        int, typer.Option(help="In the place of the recipe's; 0 keeps it.", min=0)
    ] = 0,
    workers: Annotated[int, typer.Option(help="Processes that prepare batches.", min=0)] = 1,
    formats: Annotated[
        str, typer.Option(help="Files to export: fp32, fp16, int8, with commas between.")
    ] = "fp32,fp16",
    list_recipes: Annotated[
        bool, typer.Option("--list", help="Show the recipes that come with mien, and stop.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print that list as JSON.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the recipe, to be changed, and stop.")
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
    if names_classical_route(path):
        _train_classical(path, data, folder)
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
    with told_on_terminal() as told:
        entries = run_training(plan, told)
    print_files(entries)


def _print_recipes(*, as_json: bool) -> None:
    if as_json:
        rows = [asdict(found) | {"path": str(found.path)} for found in find_recipes()]
        typer.echo(json_module.dumps({"recipes": rows}, indent=2))
        return
    table = Table("recipe", "network", "input", "epochs", "summary", box=None)
    for found in find_recipes():
        rounds = str(found.epochs or "")
        table.add_row(found.path.stem, found.route, f"{found.size} px", rounds, found.summary)
    stdout_console().print(table)


def _train_classical(recipe: Path, data: Path, folder: Path) -> None:
    from mien.training.classical import train_classical

    folder.mkdir(parents=True, exist_ok=True)
    with told_on_terminal() as told:
        spec = train_classical(
            load_classical_recipe(recipe),
            data,
            folder,
            tell=lambda _, done, total: told.prepared(done, total),
        )
    print_files([CatalogEntry(spec, folder / spec.file, shipped=False)])
