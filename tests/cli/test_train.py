"""What ``mien train`` does without torch: its list, its recipes, and its errors."""

import json
import tomllib
from pathlib import Path

from tests.cli.conftest import Mien


def test_the_recipes_are_listed(mien: Mien) -> None:
    rows = json.loads(mien("train", "--list", "--json").stdout)["recipes"]
    names = {Path(row["path"]).stem for row in rows}
    assert names >= {"classical", "finetune", "scratch", "transfer"}
    shown = mien("train", "--list").stdout
    assert all(name in shown for name in names)


def test_a_recipe_is_shown_to_be_changed(mien: Mien) -> None:
    ran = mien("train", "finetune", "--show")
    assert tomllib.loads(ran.stdout)["network"]["start"] == "transfer"


def test_what_is_missing_is_told(mien: Mien) -> None:
    ran = mien("train", "finetune")
    assert ran.status != 0
    assert "expected a recipe and --data" in ran.stderr
    ran = mien("train", "nothing", "--data", "x")
    assert ran.status != 0
    assert "one of classical, fer2013, finetune" in ran.stderr.replace("\n", " ")
