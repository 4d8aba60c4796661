"""``mien evaluate``, ``mien data check`` and ``mien explain`` on the sample photographs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage


@pytest.fixture
def photographs(tmp_path: Path, samples: dict[str, Path]) -> Path:
    folder = tmp_path / "photographs"
    for name in ("person-a", "person-c"):
        for kind, label in (("neutral", "Neutral"), ("smiling", "happy")):
            (folder / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(samples[f"{name}-{kind}"], folder / label)
    return folder


def test_figures_in_a_file_and_in_tables(mien: Any, photographs: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "out.json", tmp_path / "out.md"
    ran = mien("evaluate", photographs, "--model", "scratch", "--json", file, "--markdown", page)
    assert ran.status == 0
    assert "balanced accuracy" in ran.stdout
    document = json.loads(file.read_text())
    assert {
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "ece",
        "n",
        "missed",
        "per_class",
    } <= document.keys()
    assert (document["n"], document["missed"], document["accuracy"]) == (4, 0, 1)
    assert document["per_class"]["happiness"]["n"] == 2
    assert document["mode"] == "photographs"
    assert len(document["rows"]["probabilities"]) == 4
    assert "| accuracy | 100.0 % |" in page.read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_full_disk_is_named(mien: Any, photographs: Path, quick: list[str], option: str) -> None:
    ran = mien("evaluate", photographs, *quick, option, "/dev/full")
    assert ran.status == 1
    assert ran.stderr.strip() == "Error: /dev/full: No space left on device"


def test_json_on_stdout_is_all_that_is_printed(
    mien: Any, photographs: Path, quick: list[str]
) -> None:
    ran = mien("evaluate", photographs, *quick, "--labels", "happy,neutral", "--json", "-")
    assert ran.status == 0
    document = json.loads(ran.stdout)
    assert sorted(document["labels"]) == ["happiness", "neutral"]


def test_labels_that_are_not_allowed_are_counted(
    mien: Any, photographs: Path, quick: list[str]
) -> None:
    ran = mien("evaluate", photographs, *quick, "--labels", "neutral,sad", "--json", "-")
    document = json.loads(ran.stdout)
    assert document["n"] == 2
    (entry,) = document["left_out"].values()
    assert entry["count"] == 2


@pytest.mark.parametrize("labels", ["neutral", "happy,happiness"])
def test_one_label_is_no_choice(
    mien: Any, photographs: Path, quick: list[str], labels: str
) -> None:
    ran = mien("evaluate", photographs, *quick, "--labels", labels)
    assert ran.status == 1
    assert "expected at least two labels to choose from" in " ".join(ran.stderr.split())


def test_unreadable_pictures_are_counted(mien: Any, tmp_path: Path, quick: list[str]) -> None:
    for label in ("happy", "sad"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_text("no picture")
    ran = mien("evaluate", tmp_path, *quick)
    assert ran.status == 1
    assert "the picture cannot be read (happy/a.jpg)" in " ".join(ran.stderr.split())


def test_crops_skip_the_detector(mien: Any, tmp_path: Path, quick: list[str]) -> None:
    for label, level in (("happy", 250), ("neutral", 5)):
        (tmp_path / "crops" / label).mkdir(parents=True)
        PillowImage.new("L", (48, 48), level).save(tmp_path / "crops" / label / "a.png")
    ran = mien("evaluate", tmp_path / "crops", "--crops", *quick, "--json", "-")
    document = json.loads(ran.stdout)
    assert (document["mode"], document["n"], document["accuracy"]) == ("crops", 2, 1)


def test_two_models_and_two_files_are_compared(
    mien: Any, photographs: Path, tmp_path: Path, quick: list[str]
) -> None:
    tiny = quick[quick.index("--model") + 1]
    options = ["--tiles", "off", "--prior", "natural"]
    direct = mien("evaluate", photographs, "--compare", tiny, "scratch", *options, "--json", "-")
    assert direct.status == 0
    document = json.loads(direct.stdout)
    assert document["n"] == 4
    assert (document["a"]["model"], document["b"]["model"]) == ("tiny", "scratch")
    files = [str(tmp_path / f"{name}.json") for name in "ab"]
    for name, file in zip((tiny, "scratch"), files, strict=True):
        assert mien("evaluate", photographs, "--model", name, *options, "--json", file).status == 0
    again = mien("evaluate", "--compare", *files, "--json", "-")
    for figure in ("accuracy", "mcnemar_p", "only_b_right"):
        assert json.loads(again.stdout)[figure] == document[figure]
    assert "McNemar" in mien("evaluate", "--compare", *files).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nothing is there"),
        (["--compare", "a", "b"], "expected a data set with labeled"),
        (["--compare", "a.json", "b.json"], "expected an evaluation"),
        ([], "expected a data set with labeled pictures"),
        (["PHOTOGRAPHS", "--labels", "boredom"], "expected an expression"),
        (["PHOTOGRAPHS", "--split", "valid"], "expected the split 'valid'"),
        (["PHOTOGRAPHS", "--split", "half"], "expected a split"),
        (["PHOTOGRAPHS", "--labeling", "mine"], "expected a labeling"),
        (["PHOTOGRAPHS", "--slice", "age"], "expected a column"),
    ],
)
def test_rejects_invalid_arguments(
    mien: Any, photographs: Path, quick: list[str], arguments: list[str], words: str
) -> None:
    arguments = [str(photographs) if a == "PHOTOGRAPHS" else a for a in arguments]
    ran = mien("evaluate", *arguments, *quick)
    assert ran.status in (1, 2)
    assert words in " ".join(ran.stderr.replace("│", " ").split())
    assert "Traceback" not in ran.stderr


def test_a_limit_draws_the_same_rows(mien: Any, photographs: Path, quick: list[str]) -> None:
    ran = [
        mien("evaluate", photographs, *quick, "--limit", 2, "--seed", seed, "--json", "-")
        for seed in (3, 3)
    ]
    one, two = (json.loads(r.stdout)["rows"]["names"] for r in ran)
    assert one == two
    assert len(one) == 2


def test_valid_data_pass_the_check(mien: Any, photographs: Path) -> None:
    ran = mien("data", "check", photographs)
    assert ran.status == 0
    assert "4 rows" in ran.stdout


def test_reports_duplicates_conflicts_and_unreadable_files(
    mien: Any, photographs: Path, samples: dict[str, Path]
) -> None:
    shutil.copy(samples["person-a-smiling"], photographs / "Neutral" / "copy.jpg")
    (photographs / "happy" / "broken.jpg").write_text("no picture")
    ran = mien("data", "check", photographs, "--json")
    assert ran.status == 1
    document = json.loads(ran.stdout)
    assert document["unreadable"]["names"] == ["happy/broken.jpg"]
    assert document["label_conflicts"]["groups"] == [
        {"Neutral/copy.jpg": "neutral", "happy/person-a-smiling.jpg": "happiness"}
    ]
    ran = mien("data", "check", photographs)
    assert "1 cannot be read: happy/broken.jpg" in ran.stdout
    assert "copy.jpg neutral" in ran.stdout


def test_explained_faces_are_drawn(
    mien: Any, samples: dict[str, Path], tmp_path: Path, quick: list[str]
) -> None:
    PillowImage.new("RGB", (64, 64)).save(tmp_path / "empty.png")
    (tmp_path / "broken.png").write_text("no picture")
    ran = mien(
        "explain",
        samples["group"],
        tmp_path / "empty.png",
        tmp_path / "broken.png",
        *quick,
        "--masks",
        10,
        "--out",
        tmp_path / "out",
        "--json",
    )
    assert ran.status == 1
    assert "broken.png" in ran.stderr
    group, empty = json.loads(ran.stdout)["results"]
    assert len(group["faces"]) == 4
    assert (empty["faces"], empty["drawn"]) == ([], None)
    drawn = np.asarray(PillowImage.open(group["drawn"]))
    assert drawn.shape == (4 * 288, 512, 3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["group.explained.png"]
