"""``mien train`` without torch: list, recipes and errors."""

import json
import tomllib
from pathlib import Path

from tests.cli.conftest import Mien


def test_list_prints_the_recipes(mien: Mien) -> None:
    rows = json.loads(mien("train", "--list", "--json").stdout)["recipes"]
    names = {Path(row["path"]).stem for row in rows}
    assert names >= {"classical", "finetune", "scratch", "transfer"}
    shown = mien("train", "--list").stdout
    assert all(name in shown for name in names)


def test_show_prints_a_recipe(mien: Mien) -> None:
    ran = mien("train", "finetune", "--show")
    assert tomllib.loads(ran.stdout)["network"]["start"] == "transfer"


def test_reports_missing_arguments(mien: Mien) -> None:
    ran = mien("train", "finetune")
    assert ran.status != 0
    assert "expected a recipe and --data" in ran.stderr
    ran = mien("train", "nothing", "--data", "x")
    assert ran.status != 0
    assert "one of classical, fer2013, finetune" in ran.stderr.replace("\n", " ")


def test_files_of_others_are_not_mixed_with_a_run(mien: Mien, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"mine": 1}')
    ran = mien("train", "classical", "--data", tmp_path, "--out", tmp_path)
    assert ran.status == 2
    assert "expected a new or empty folder" in ran.stderr
