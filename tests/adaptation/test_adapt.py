"""From pictures to a file that the rest of mien takes."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import mien
from mien import adaptation
from mien.adaptation.faces import read_features
from mien.adaptation.head import OTHER_LOGS, Features
from mien.adaptation.model_file import _CARD_KEY
from mien.cli.app import app
from mien.errors import DataError, ModelError, SettingError
from mien.expression.neural import NeuralClassifier
from mien.runtime import catalog
from mien.runtime.session import Session
from mien.types import Image

SAMPLE = catalog.shipped_folder().parent / "samples" / "person-a-neutral.jpg"
FAST = mien.Settings(model="scratch")


def _folders(folder: Path, names: tuple[str, ...], each: int = 4) -> Path:
    """Pictures whose brightness depends on the label."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for row in range(each):
            pixels = rng.integers(0, 60, (48, 48)) + 190 * number // max(1, len(names) - 1)
            cv2.imencode(".png", pixels.astype(np.uint8))[1].tofile(folder / name / f"{row}.png")
    return folder


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> mien.Adaptation:
    folder = tmp_path_factory.mktemp("adapted")
    data = _folders(folder / "data", ("bored", "Schmerz, groß"), each=8)
    (folder / "my.json").write_text("{}")  # no sidecar
    return mien.adapt(data, folder / "my.onnx", crops=True, settings=FAST)


def test_writes_one_file_with_spec_and_card(adapted: mien.Adaptation) -> None:
    assert adapted.kept
    assert adapted.before is None
    assert adapted.after["balanced_accuracy"] > 0.9
    assert adapted.model is not None
    spec = catalog.find(adapted.model).spec
    assert [label.value for label in spec.labels] == ["Schmerz, groß", "bored"]
    assert spec.training_prior == (0.5, 0.5)
    assert spec.outputs[1] == "embedding"
    card = Session(adapted.model)._loaded().get_modelmeta().custom_metadata_map[_CARD_KEY]
    assert card.startswith("# scratch adapted to data")


def test_asks_for_other_labels_before_any_work(tmp_path: Path) -> None:
    data = _folders(tmp_path / "data", ("bored", "uncertain"))
    done = CliRunner().invoke(app, ["adapt", str(data), "--out", str(tmp_path / "my.onnx")])
    assert done.exit_code == 1
    assert "got 'uncertain': rename it" in " ".join(done.stderr.split())
    assert not (tmp_path / "my.onnx").exists()


def test_results_have_the_labels(adapted: mien.Adaptation) -> None:
    face = mien.analyze(SAMPLE, model=str(adapted.model)).faces[0]
    assert face.expression is not None
    assert face.expression.label.value in {"bored", "Schmerz, groß"}
    document = face.to_dict()["expression"]
    assert document["probabilities"]["bored"] == pytest.approx(face.expression["bored"], abs=1e-4)
    again = type(face).from_dict(face.to_dict()).expression
    assert again is not None
    assert again.labels == face.expression.labels


def test_an_adapted_model_can_be_adapted_and_evaluated(
    adapted: mien.Adaptation, tmp_path: Path
) -> None:
    data = _folders(tmp_path / "data", ("Bored", "happy"), each=5)
    again = mien.adapt(
        data, tmp_path / "b.onnx", crops=True, settings=mien.Settings(model=str(adapted.model))
    )
    assert again.facts["labels"] == ["happiness", "Bored"]
    done = CliRunner().invoke(
        app, ["evaluate", str(data), "--crops", "--model", str(adapted.model), "--json", "-"]
    )
    assert json.loads(done.stdout)["n"] == 5, done.stderr


@pytest.fixture
def tries_few(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """For each reading of features: the number of faces, and whether of all networks."""
    asked: list[tuple[int, bool]] = []

    def read(crops: Sequence[Image], network: NeuralClassifier, progress: None) -> Features:
        asked.append((len(crops), OTHER_LOGS in network.spec.outputs))
        return read_features(crops, network, progress)

    monkeypatch.setattr(adaptation, "read_features", read)
    monkeypatch.setattr(adaptation, "_TRIED", 0)
    monkeypatch.setattr(adaptation, "_LEAST_TRIED", 3)
    return asked


@pytest.mark.usefixtures("tries_few")
def test_command_writes_json_and_page(tmp_path: Path) -> None:
    data = _folders(tmp_path / "data", ("happy", "sad"), each=6)
    arguments = ["adapt", str(data), "--crops", "--out", str(tmp_path / "m.onnx")]
    arguments += ["--json", str(tmp_path / "m.json"), "--report", "--model", "scratch"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    document = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert document["kept"] is True
    for part in ("before", "after"):
        assert {"balanced_accuracy", "ece", "n"} <= document[part].keys()
    assert document["labels"] == ["happiness", "sadness"]
    assert "<table>" in (tmp_path / "m.html").read_text(encoding="utf-8")


def test_refuses_labels_that_mean_nothing(
    tmp_path: Path, tries_few: list[tuple[int, bool]]
) -> None:
    data = _folders(tmp_path / "a", ("x",), each=12)
    (data / "y").mkdir()
    for path in sorted((data / "x").iterdir())[::2]:
        path.rename(data / "y" / path.name)
    result = mien.adapt(data, tmp_path / "m.onnx", crops=True, settings=FAST)
    assert tries_few == [(6, True), (6, False)]  # the others would not have helped
    assert result.after["n"] == 12
    assert not result.kept
    assert result.model is None
    assert not (tmp_path / "m.onnx").exists()
    assert "Not kept" in result.to_markdown()


@pytest.mark.parametrize(
    ("names", "each", "message"),
    [
        (("happy",), 4, "at least two labels in data, got happiness"),
        (("happy", "sad"), 2, "at least 3 usable pictures of each label, got happiness: 2"),
        (("happy", "a" * 61), 3, "at most 60 printable characters"),
        ((), 0, "expected one folder for each expression"),
    ],
)
def test_rejects_too_little(
    tmp_path: Path, names: tuple[str, ...], each: int, message: str
) -> None:
    (tmp_path / "data").mkdir()
    data = _folders(tmp_path / "data", names, each)
    with pytest.raises(DataError, match=message):
        mien.adapt(data, tmp_path / "m.onnx", crops=True, settings=FAST)


def test_the_same_picture_under_two_labels_is_left_out(tmp_path: Path) -> None:
    data = _folders(tmp_path / "data", ("happy", "sad"), 4)
    for name in ("0.png", "1.png", "2.png"):
        (data / "sad" / name).write_bytes((data / "happy" / name).read_bytes())
    with pytest.raises(
        DataError,
        match=r"got happiness: 1, sadness: 1; the same picture has another label, too: 6 \(",
    ):
        mien.adapt(data, tmp_path / "m.onnx", crops=True, settings=FAST)


def test_one_person_alone_is_refused(tmp_path: Path) -> None:
    _folders(tmp_path / "data", ("happy", "sad"), 3)
    rows = [f"{n}/{i}.png,{n},one" for n in ("happy", "sad") for i in range(3)]
    table = tmp_path / "data" / "rows.csv"
    table.write_text("\n".join(["image,expression,person", *rows]))
    with pytest.raises(DataError, match="expected pictures of several people in"):
        mien.adapt(table, tmp_path / "m.onnx", crops=True, settings=FAST)


def test_names_pictures_without_face_and_unreadable_ones(tmp_path: Path) -> None:
    data = _folders(tmp_path / "data", ("happy", "sad"), 3)
    (data / "sad" / "0.png").write_bytes(b"damaged")
    with pytest.raises(
        DataError,
        match=r"no face was found: 5 \(.*; the picture cannot be read: 1 \(sad/0.png\) \(use",
    ):
        mien.adapt(data, tmp_path / "m.onnx", settings=FAST)


def test_rejects_bad_targets_and_models(tmp_path: Path) -> None:
    # In /proc nothing can be written, by root either; a name has at most 255 bytes.
    for path in (tmp_path / "none/m.onnx", Path("/proc/m.onnx"), tmp_path / f"{'m' * 300}.onnx"):
        with pytest.raises(SettingError, match=r"an \.onnx file in a folder that can be written"):
            mien.adapt(tmp_path, path)
    with pytest.raises(SettingError, match=r"an \.onnx file"):
        mien.adapt(tmp_path, tmp_path / "m.bin")
    with pytest.raises(ModelError, match="expected a network to adapt, got 'classical'"):
        mien.adapt(tmp_path, tmp_path / "m.onnx", settings=mien.Settings(model="classical"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"photo,what\na.png,x\n",
            r"columns image and label \(or expression\) in .*, got photo, what",
        ),
        (b"image,label\na.png,\nb.png,\n", "no usable row; the label is empty: line 2, line 3"),
        (b"image,label\na.png,x,1\n", "shorter or longer than the header: line 2"),
        (b"image,label\na.png,x\nb.png,\n", r"got x; the label is empty: 1 \(line 3\)"),
        (b"\x89PNG\xff\xfe\0", "expected UTF-8 in .*: save it as UTF-8"),
        (b'image,label\n"a.png,x\nb.png,y\n', "row at line 2 cannot be read: .*; check its quotes"),
        (
            b"image,label\na.png,x\nb.png,y\nhttps://a.org/c.png,y\n",
            r"missing: 1 \(b.png\); the picture is at a URL: .*: 1 \(https://a.org/c.png\)",
        ),
    ],
)
def test_says_what_is_wrong_with_a_table(tmp_path: Path, content: bytes, message: str) -> None:
    _folders(tmp_path, ("x",), 1)
    table = tmp_path / "rows.csv"
    table.write_bytes(content)
    (tmp_path / "a.png").write_bytes((tmp_path / "x" / "0.png").read_bytes())
    with pytest.raises(DataError, match=message):
        mien.adapt(table, tmp_path / "m.onnx", crops=True, settings=FAST)


def test_warns_of_few_people(adapted: mien.Adaptation) -> None:
    facts = {**adapted.facts, "groups": 4, "groups_per_label": {"bored": 4, "pain": 1}}
    alone = dataclasses.replace(adapted, kept=False, model=None, facts=facts)
    assert alone.warnings[0].startswith("all pictures of pain are of one person, or copies of one")
    facts["groups_per_label"]["pain"] = 2
    assert alone.warnings[0].startswith("the pictures are of 4 people only")


def test_warns_of_a_kept_model_that_chance_explains(adapted: mien.Adaptation) -> None:
    assert adapted.warnings == ()
    after = {**adapted.after, "intervals": {"balanced_accuracy": [0.412, 0.8]}}
    by_chance = dataclasses.replace(adapted, after=after)
    (warning,) = by_chance.warnings
    assert "is 41.2 to 80.0 % (95 % interval), and chance is 50.0 %" in warning
    assert by_chance.to_dict()["warnings"] == [warning]
    assert dataclasses.replace(by_chance, kept=False, model=None).warnings == ()


def test_the_command_prints_that_warning(
    adapted: mien.Adaptation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = {**adapted.after, "intervals": {**adapted.after["intervals"]}}
    after["intervals"]["balanced_accuracy"] = [0.412, 0.8]
    by_chance = dataclasses.replace(adapted, after=after)
    monkeypatch.setattr("mien.adaptation.adapt", lambda *_, **__: by_chance)
    done = CliRunner().invoke(app, ["adapt", str(tmp_path), "--out", str(tmp_path / "m.onnx")])
    assert done.exit_code == 0
    assert done.stderr.startswith("Warning: the balanced accuracy of the adapted model")
    assert "Warning: the balanced accuracy" in done.stdout
