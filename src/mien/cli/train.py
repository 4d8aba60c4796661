"""``mien train``: an expression model of your own, from a recipe and labelled pictures."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mien.cli.console import stdout_console
from mien.cli.training_progress import print_files, told_on_terminal
from mien.errors import SettingError
from mien.runtime.catalog import CatalogEntry
from mien.training.classical_recipe import load_classical_recipe
from mien.training.listing import find_recipes, names_classical_route

app = typer.Typer(add_completion=False)


@app.command(
    epilog="A run that was stopped goes on where it was: give the same command again. On several "
    "GPUs or processes: torchrun --nproc-per-node N -m mien train …"
)
def train(
    recipe: Annotated[
        Path | None, typer.Argument(help="The recipe, a TOML file.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled pictures, as for mien evaluate.", show_default=False),
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
    recipes: Annotated[Path, typer.Option(help="Folder that --list looks into.")] = Path("recipes"),
    list_recipes: Annotated[
        bool, typer.Option("--list", help="Show the recipes, and stop.")
    ] = False,
) -> None:
    """Train an expression model, then export, check, calibrate and measure it."""
    if list_recipes:
        _print_recipes(recipes)
        return
    if recipe is None or data is None:
        raise SettingError("expected a recipe and --data; mien train --list shows the recipes")
    folder = out or Path("runs") / recipe.stem
    if names_classical_route(recipe):
        _train_classical(recipe, data, folder)
        return
    from mien.training.run import Plan, run_training

    plan = Plan(
        recipe_path=recipe,
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


def _print_recipes(folder: Path) -> None:
    table = Table("recipe", "network", "input", "epochs", "summary", box=None)
    for found in find_recipes(folder):
        rounds = str(found.epochs or "")
        table.add_row(str(found.path), found.route, f"{found.size} px", rounds, found.summary)
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
