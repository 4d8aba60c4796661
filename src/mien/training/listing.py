"""The recipes that come with the package or lie in a folder, of whatever route."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mien.errors import SettingError
from mien.training.classical_recipe import is_classical, load_classical_recipe
from mien.training.recipe import load_recipe


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """One line of ``mien train --list``; ``epochs`` is 0 where there are none."""

    path: Path
    route: str
    size: int
    epochs: int
    summary: str


SHIPPED = Path(__file__).parent / "recipes"


def find_recipes(folder: Path = SHIPPED) -> list[RecipeSummary]:
    """The recipes in a folder, by name.

    Raises:
        SettingError: there are none, or one cannot be read.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise SettingError(f"expected recipes (*.toml) in {folder}, found none")
    return [_summarize(path) for path in paths]


def recipe_path(name_or_path: str) -> Path:
    """The file of a recipe: a path, or the name of one that comes with the package.

    Raises:
        SettingError: there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = SHIPPED / f"{name_or_path}.toml"
    if path.suffix == "" and len(path.parts) == 1 and shipped.is_file():
        return shipped
    raise SettingError(
        f"expected a recipe's file, or one of {_names(SHIPPED.glob('*.toml'))}; "
        f"there is no {name_or_path!r}"
    )


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(path.stem for path in paths))


def names_classical_route(path: Path) -> bool:
    """Whether a recipe is of the classical route; False where it cannot be read, which its own
    reader then tells.
    """
    try:
        return is_classical(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _summarize(path: Path) -> RecipeSummary:
    if names_classical_route(path):
        classical = load_classical_recipe(path)
        return RecipeSummary(path, "classical", classical.features.size_wh[0], 0, classical.summary)
    recipe = load_recipe(path)
    return RecipeSummary(
        path,
        recipe.network.architecture,
        recipe.input.size,
        recipe.optimizer.epochs,
        recipe.summary,
    )
