from pathlib import Path

import pytest

from mien.errors import MienError, SettingError
from mien.labels import Expression
from mien.training import recipe as recipes
from mien.training.recipe import _SHIPPED, find_recipes, load_recipe


def test_reads_every_section(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path)
    assert recipe.network.labels == (
        Expression.NEUTRAL,
        Expression.HAPPINESS,
        Expression.SURPRISE,
    )
    assert recipe.input.points == ((0.25, 0.4), (0.75, 0.4))
    assert recipe.optimizer.batch_size == 8
    assert recipe.augmentation.flip == 0.5


@pytest.mark.parametrize("name", ["transfer", "scratch", "finetune"])
def test_shipped_recipes_are_complete(name: str) -> None:
    recipe = load_recipe(_SHIPPED / f"{name}.toml")
    assert recipe.name == name
    assert set(recipe.network.labels) == set(Expression)
    assert len(recipe.input.indices) == len(recipe.input.points)


def test_lists_recipes_of_every_route() -> None:
    found = {entry.path.stem: entry.route for entry in find_recipes()}
    assert found == {
        "classical": "classical",
        "fer2013": "mobilenet",
        "finetune": "mobilenet",
        "scratch": "compact",
        "transfer": "mobilenet",
    }


def test_finds_a_recipe_by_name_or_path(tmp_path: Path) -> None:
    assert recipes.recipe_path("scratch") == _SHIPPED / "scratch.toml"
    own = tmp_path / "own.toml"
    own.write_text("")
    assert recipes.recipe_path(str(own)) == own
    for missing in ("nothing", str(tmp_path / "scratch"), "nothing.toml"):
        with pytest.raises(SettingError, match=r"one of classical, .*there is no"):
            recipes.recipe_path(missing)


def test_reports_a_folder_without_recipes(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected recipes"):
        find_recipes(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3", "epoch = 3", "keys out of .*got 'optimizer.epoch'"),
        ("epochs = 3", "epochs = 3.5", "optimizer.epochs in .* a whole number, got 3.5"),
        ("epochs = 3", "", "expected optimizer.epochs in .*, got none"),
        ("labels = ", "# ", "expected network.labels in"),
        ("[input]", "[input", "expected TOML"),
        ("name = ", 'labeling = "ck"\nname = ', "expected labeling in .* out of ferplus, fer2013"),
    ],
)
def test_rejects_invalid_recipes(recipe_path: Path, old: str, new: str, message: str) -> None:
    recipe_path.write_text(recipe_path.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(MienError, match=message):
        load_recipe(recipe_path)


def test_reports_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected a recipe at"):
        load_recipe(tmp_path / "none.toml")
