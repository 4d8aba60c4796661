"""``mien image`` on the sample images."""

import base64
import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from PIL import Image

from mien.labels import Expression
from mien.media.images import read_image
from mien.testing import FakePipeline
from mien.types import result_schema

DOCUMENT = jsonschema.Draft202012Validator({**result_schema(), "$ref": "#/$defs/document"})
LINE = jsonschema.Draft202012Validator(result_schema())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """``mien image`` with fake stages instead of models."""
    monkeypatch.setattr("mien.cli.image.FacePipeline", FakePipeline)


def faces_by_source(document: dict[str, Any]) -> dict[str, list[str]]:
    return {
        Path(result["source"]).stem: [face["expression"]["label"] for face in result["faces"]]
        for result in document["results"]
    }


def test_json_of_sample_images(mien: Any, samples: dict[str, Path]) -> None:
    ran = mien("image", *samples.values(), "--json")
    assert ran.status == 0
    assert ran.stderr == ""
    document = json.loads(ran.stdout)
    DOCUMENT.validate(document)
    assert document["errors"] == []
    labels = faces_by_source(document)
    assert labels.pop("group") == ["happiness", "neutral", "happiness", "neutral"]
    assert len(labels) == 8
    assert labels == {
        name: ["happiness" if name.endswith("smiling") else "neutral"] for name in labels
    }


def test_reports_bad_inputs_and_continues(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    shutil.copy(group, tmp_path / "good.jpg")
    (tmp_path / "letter.jpg").write_text("plain text")
    (tmp_path / "cut.jpg").write_bytes(group.read_bytes()[:100])
    (tmp_path / "empty").mkdir()
    paths = [tmp_path, tmp_path / "missing.jpg", tmp_path / "empty", str(tmp_path / "*.tiff")]
    ran = mien("image", *paths, "--json")
    assert ran.status == 1
    document = json.loads(ran.stdout)
    DOCUMENT.validate(document)
    assert list(faces_by_source(document)) == ["good"]
    names = [Path(error["source"]).name for error in document["errors"]]
    assert names == ["cut.jpg", "letter.jpg", "missing.jpg", "empty", "*.tiff"]
    assert ran.stderr.count("Error: ") == 5
    for error in document["errors"]:
        assert f"Error: {error['error']}" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["a.jpg", "--nonsense"], "No such option"),
        (["a.jpg", "--json", "--jsonl"], "at most one of"),
        (["a.jpg", "--json", "--csv", "-"], "at most one of"),
        (["a.jpg", "--blur-faces"], "--annotate FOLDER"),
        (["a.jpg", "--min-score", "7"], "min_score from 0.0 to 1.0"),
        (["a.jpg", "--threads", "0"], "threads from 1"),
        (["a.jpg", "--preset", "best"], "fast, accurate"),
        (["a.jpg", "--tiles", "maybe"], "auto, off"),
        (["a.jpg", "--model", "nosuch"], "'nosuch'"),
        (["a.jpg", "--model", "nosuch.onnx"], "nosuch.onnx"),
        (["a.jpg", "--detector", "nosuch"], "'nosuch'"),
        (["a.jpg", "--provider", "abacus"], "cpu, cuda, openvino, coreml"),
        (["a.jpg", "--provider", "coreml"], "not in the installed onnxruntime"),
    ],
)
def test_rejects_invalid_usage(mien: Any, arguments: list[str], words: str) -> None:
    ran = mien("image", *arguments)
    assert ran.status == 2
    assert ran.stdout == ""
    assert words in " ".join(ran.stderr.replace("│", " ").split())


def test_loads_model_by_path(mien: Any, samples: dict[str, Path], quick: list[str]) -> None:
    [result] = json.loads(mien("image", samples["group"], "--json", *quick).stdout)["results"]
    assert result["models"]["expression"] == "tiny"
    assert set(result["faces"][0]["expression"]["probabilities"]) == {
        *("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
    }


def test_reads_truncated_images_with_a_warning(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(group.read_bytes()[:-2000])
    ran = mien("image", cut, "--json")
    assert ran.status == 0
    document = json.loads(ran.stdout)
    DOCUMENT.validate(document)
    [result] = document["results"]
    assert len(result["faces"]) == 4
    [warning] = result["warnings"]
    assert "the file is truncated or damaged" in warning
    assert f"Warning: {cut}: {warning}" in ran.stderr


def test_all_rows_include_images_without_a_face(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (90, 60)).save(blank)
    ran = mien("image", blank, group, "--csv", "-", "--all-rows")
    first, *others = csv.DictReader(io.StringIO(ran.stdout))
    assert (first["source"], first["score"], first["expression"]) == (str(blank), "", "")
    assert len(others) == 4
    assert len(mien("image", blank, group, "--csv", "-").stdout.splitlines()) == 5
    assert "--csv FILE" in " ".join(mien("image", blank, "--all-rows").stderr.split())


def test_crops_are_written_as_files(mien: Any, group: Path, tmp_path: Path, fake: None) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    shutil.copy(group, tmp_path / "in" / "deep" / "a.jpg")
    Image.open(group).save(tmp_path / "in" / "b.png")
    crops = tmp_path / "in" / "crops"
    assert mien("image", tmp_path / "in", "--crops", crops).status == 0
    names = sorted(path.relative_to(crops).as_posix() for path in crops.rglob("*.*"))
    faces = [f"b-face{number}.png" for number in range(1, 5)]
    assert names == [*faces, *(f"deep/a-face{number}.jpg" for number in range(1, 5))]
    crop, whole = read_image(crops / "b-face2.png"), read_image(tmp_path / "in" / "b.png")
    assert 1.5 * 80 <= crop.shape[1] <= 1.7 * 80  # the face of 80 pixels and a margin
    spots = cv2.matchTemplate(whole, crop, cv2.TM_SQDIFF_NORMED)
    assert spots.min() < 1e-6
    # Crops of an earlier run are no images to analyze.
    assert "/crops/" not in mien("image", tmp_path / "in", "--crops", crops, "--jsonl").stdout


def test_annotated_images_and_crops_share_a_folder(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    paths = [tmp_path / name for name in ("a.jpg", "a-face1.jpg")]
    for path in paths:
        shutil.copy(group, path)
    out = tmp_path / "out"
    assert mien("image", *paths, "--annotate", out, "--crops", out).status == 0
    # Two annotated images, and four faces of each, none of which replaces another.
    assert len(list(out.iterdir())) == 10
    assert read_image(out / "a-face1-2.jpg").shape == read_image(paths[0]).shape


def test_json_lines(mien: Any, group: Path, tmp_path: Path, fake: None) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (64, 64), "gray").save(blank)
    ran = mien("image", group, tmp_path / "missing", blank, "--jsonl")
    assert ran.status == 1
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    for line in lines:
        LINE.validate(line)
    assert [len(line["faces"]) for line in lines] == [4, 0]


def test_csv(mien: Any, group: Path, tmp_path: Path, fake: None) -> None:
    document = json.loads(mien("image", group, "--json").stdout)
    on_stdout = mien("image", group, "--csv", "-").stdout
    file = tmp_path / "faces.csv"
    ran = mien("image", group, "--csv", file)
    assert "Image" in ran.stdout
    assert file.read_text() == on_stdout
    rows = list(csv.DictReader(io.StringIO(on_stdout)))
    assert len(rows) == 4
    for row, face in zip(rows, document["results"][0]["faces"], strict=True):
        assert row["source"] == str(group)
        assert float(row["x_min"]) == face["box"]["x_min"]
        assert row["expression"] == face["expression"]["label"]
        assert float(row["p_happiness"]) == face["expression"]["probabilities"]["happiness"]
        assert float(row["size_px"]) == face["quality"]["size_px"]


def test_reports_unwritable_csv_file(mien: Any, group: Path, tmp_path: Path, fake: None) -> None:
    ran = mien("image", group, "--csv", tmp_path / "no" / "where.csv")
    assert ran.status == 2
    assert "where.csv, its folder does not exist" in " ".join(ran.stderr.split())


def test_table(mien: Any, group: Path, tmp_path: Path, fake: None) -> None:
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "blank.png")
    ran = mien("image", group, tmp_path, "missing.jpg")
    assert ran.status == 1
    assert "no face" in ran.stdout
    assert "not analyzed" in ran.stdout
    # Where the first line breaks depends on how long the picture's path is.
    faces = re.findall(rf"(\d+) +(?:{'|'.join(Expression)}) +\d+%", ran.stdout)
    assert faces == ["1", "2", "3", "4"]


def test_points_option_includes_landmarks(mien: Any, group: Path, fake: None) -> None:
    for options, expected in (([], False), (["--points"], True)):
        ran = mien("image", group, "--json", *options)
        [result] = json.loads(ran.stdout)["results"]
        assert ["points" in face["landmarks"] for face in result["faces"]] == [expected] * 4
        LINE.validate(result)


def test_annotated_images_get_unique_names(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    originals = [tmp_path / name for name in ("one/x.jpg", "two/x.jpg", "two/x.PNG", "two/X.webp")]
    picture = Image.open(group).resize((160, 160))
    for number, path in enumerate(originals):
        path.parent.mkdir(exist_ok=True)
        picture.rotate(90 * number).save(path)
    before = {path: path.read_bytes() for path in originals}
    out = tmp_path / "out"
    ran = mien("image", *originals, tmp_path / "two", "--annotate", out)
    assert ran.status == 0
    written = sorted(path.name for path in out.rglob("*") if path.is_file())
    assert written == [*("X-3.jpg", "X-4.jpg", "x-2.jpg", "x-2.png", "x-5.jpg", "x.jpg", "x.png")]
    assert {path: path.read_bytes() for path in originals} == before
    with Image.open(out / "x.jpg") as drawn:
        assert drawn.size == (160, 160)
        assert not drawn.getexif()


def test_annotated_images_keep_subfolders(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    shutil.copy(group, tmp_path / "in" / "deep" / "a.jpg")
    out = tmp_path / "in" / "out"
    for _ in range(2):  # the second run must not search the output folder
        assert mien("image", tmp_path / "in", "--annotate", out).status == 0
        assert [p for p in out.rglob("*") if p.is_file()] == [out / "deep" / "a.jpg"]


def test_refuses_to_overwrite_the_original(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    original = tmp_path / "a.jpg"
    shutil.copy(group, original)
    ran = mien("image", original, "--annotate", tmp_path)
    assert ran.status == 2
    assert "would be overwritten" in ran.stderr
    assert original.read_bytes() == group.read_bytes()


def test_blur_faces_removes_detail(mien: Any, group: Path, tmp_path: Path, fake: None) -> None:
    name = group
    drawn = {}
    for options in ([], ["--blur-faces"]):
        out = tmp_path / f"out{len(options)}"
        ran = mien("image", name, "--annotate", out, "--json", *options)
        drawn[len(options)] = read_image(out / name.name)
    box = json.loads(ran.stdout)["results"][0]["faces"][0]["box"]
    top, bottom = int(box["y_min"]) + 20, int(box["y_max"]) - 20
    left, right = int(box["x_min"]) + 20, int(box["x_max"]) - 20
    # Remaining detail inside the box: the mean difference between neighboring pixels.
    plain, blurred = (
        np.abs(np.diff(drawn[key][top:bottom, left:right].astype(int), axis=1)).mean()
        for key in (0, 1)
    )
    assert blurred < plain / 2


def test_stdin(mien: Any, group: Path, fake: None) -> None:
    ran = mien("image", "-", "--json", stdin=group.read_bytes())
    [result] = json.loads(ran.stdout)["results"]
    assert result["source"] == "-"
    assert len(result["faces"]) == 4
    empty = mien("image", "-", "--json")
    assert empty.status == 1
    assert "an empty file" in empty.stderr


def test_data_urls_are_named_in_short(mien: Any, group: Path, tmp_path: Path, fake: None) -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(group.read_bytes()).decode()
    ran = mien("image", url, url[:999] + "!", "--json", "--annotate", tmp_path)
    document = json.loads(ran.stdout)
    assert document["results"][0]["source"] == "data:image/jpeg;base64"
    assert len(document["results"][0]["faces"]) == 4
    assert document["errors"][0]["source"] == "data:image/jpeg;base64"
    assert len(ran.stderr) < 200
    assert (tmp_path / "data-url.jpg").is_file()


def test_option_overrides_preset_and_preset_overrides_environment(
    mien: Any, samples: dict[str, Path], quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_DETECTOR", "haar")

    def detector(*options: str) -> str:
        ran = mien("image", samples["person-a-smiling"], "--json", *quick[:2], *options)
        return str(json.loads(ran.stdout)["results"][0]["models"]["detector"])

    assert detector() == "haar"
    assert detector("--preset", "fast") == "blazeface-short"
    assert detector("--preset", "fast", "--detector", "blazeface") == "blazeface"


def test_max_faces_keeps_the_largest(mien: Any, group: Path, fake: None) -> None:
    ran = mien("image", group, "--json", "--max-faces", "2")
    assert len(json.loads(ran.stdout)["results"][0]["faces"]) == 2


def test_max_megapixels(mien: Any, tmp_path: Path, fake: None) -> None:
    Image.new("L", (1100, 1000)).save(tmp_path / "large.png")
    ran = mien("image", tmp_path, "--max-megapixels", "1")
    assert ran.status == 1
    assert "raise the setting max_megapixels" in ran.stderr


def test_action_units_from_a_neutral_photograph(mien: Any, samples: dict[str, Path]) -> None:
    smiling, neutral = samples["person-a-smiling"], samples["person-a-neutral"]
    ran = mien("image", smiling, neutral, "--neutral", neutral, "--json")
    assert ran.status == 0
    moved, rest = (result["faces"][0] for result in json.loads(ran.stdout)["results"])
    assert max(rest["action_units"].values()) == 0
    assert moved["action_units"]["AU12"] > 0.5


def test_a_neutral_photograph_has_exactly_one_face(mien: Any, samples: dict[str, Path]) -> None:
    for path, problem in (
        (samples["group"], "expected one face in the neutral photograph, got 4"),
        (Path("missing.jpg"), "no such file"),
    ):
        ran = mien("image", samples["person-a-smiling"], "--neutral", path)
        assert ran.status == 1
        assert "--neutral" in ran.stderr
        assert problem in ran.stderr


def test_draws_what_is_named(mien: Any, samples: dict[str, Path], tmp_path: Path) -> None:
    smiling = samples["person-a-smiling"]
    drawn = {}
    for layers in ("mesh", "gaze, aus"):
        ran = mien("image", smiling, "--annotate", tmp_path, "--draw", layers, "--json")
        assert ran.status == 0
        (face,) = json.loads(ran.stdout)["results"][0]["faces"]
        assert ("action_units" in face) == (layers != "mesh")
        drawn[layers] = read_image(tmp_path / smiling.name)
        (tmp_path / smiling.name).unlink()
    assert not np.array_equal(drawn["mesh"], drawn["gaze, aus"])


def test_draw_needs_names_and_a_folder(mien: Any, samples: dict[str, Path], tmp_path: Path) -> None:
    for options, problem in (
        (("--annotate", tmp_path, "--draw", "mesh,nose"), "mesh, gaze, aus, got nose"),
        (("--annotate", tmp_path, "--draw", ","), "got nothing"),
        (("--draw", "mesh"), "together with --draw"),
        (("--annotate", tmp_path, "--draw", "gaze", "--landmarks", "facemesh"), "face-landmarker"),
    ):
        ran = mien("image", samples["person-a-smiling"], *options)
        assert ran.status == 2
        assert problem in ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text_or_hold_commands(
    mien: Any, group: Path, tmp_path: Path, fake: None
) -> None:
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    for name in (b"bad\xff.jpg", b"esc\x1b[31m.jpg", b"=1+1.jpg"):
        shutil.copy(os.fsencode(group), os.path.join(folder, name))
    with open(os.path.join(folder, b"no\x1b]0;x\x07.jpg"), "wb") as file:
        file.write(b"no picture")
    table = tmp_path / "faces.csv"
    ran = mien("image", tmp_path / "in", "--csv", table)
    for text in (ran.stdout, ran.stderr):
        assert not {"\x1b", "\x07"} & set(text)
    assert "no\\x1b]0;x\\x07.jpg" in ran.stderr
    with table.open(encoding="utf-8", newline="") as csv_file:
        sources = {Path(row["source"]).name for row in csv.DictReader(csv_file)}
    assert sources == {"bad\\xff.jpg", "esc\x1b[31m.jpg", "=1+1.jpg"}
    document = json.loads(mien("image", tmp_path / "in", "--json").stdout)
    names = {Path(result["source"]).name for result in document["results"]}
    assert names == sources
    json.dumps(document, ensure_ascii=False).encode("utf-8")
