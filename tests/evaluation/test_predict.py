"""Predictions of the real pipeline for the sample photographs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.config import Settings
from mien.errors import DataError
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.predict import choose_face, predict_crops, predict_photographs
from mien.evaluation.predictions import MISSED, PREDICTED, WRONG_FACE
from mien.evaluation.readers import read_data
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import Box, Detection, Face


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(Settings(model="transfer"))


@pytest.fixture
def photographs(tmp_path: Path, samples: dict[str, Path]) -> LabeledSet:
    for name in ("person-a", "person-c"):
        for kind, folder in (("neutral", "neutral"), ("smiling", "happy")):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(samples[f"{name}-{kind}"], tmp_path / "set" / folder)
    return read_data(tmp_path / "set")


def table(folder: Path, rows: list[str]) -> LabeledSet:
    path = folder / "table.csv"
    path.write_text("\n".join(["image,expression,x_min,y_min,x_max,y_max", *rows]) + "\n")
    return read_data(path)


def test_predicts_photographs(photographs: LabeledSet, pipeline: FacePipeline) -> None:
    answers = predict_photographs(photographs, pipeline)
    assert answers.correct.all()
    assert answers.outcome.tolist() == [PREDICTED] * 4
    assert answers.columns["faces_found"].tolist() == ["one"] * 4
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)
    assert answers.facts["mode"] == "photographs"


def test_allowed_labels_share_the_whole_probability(
    photographs: LabeledSet, pipeline: FacePipeline
) -> None:
    only = (Expression.SURPRISE, Expression.NEUTRAL)
    answers = predict_photographs(photographs, pipeline, only=only)
    assert set(answers.labels) == set(only)
    assert len(answers) == 2
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)
    (left_out,) = answers.left_out.items()
    assert left_out[0] == "the answers do not include happiness"
    assert len(left_out[1]) == 2


def test_counts_missed_faces_wrong_faces_and_unreadable_files_separately(
    tmp_path: Path, samples: dict[str, Path], pipeline: FacePipeline
) -> None:
    shutil.copy(samples["person-a-neutral"], tmp_path / "face.jpg")
    PillowImage.new("RGB", (320, 240), (90, 90, 90)).save(tmp_path / "empty.png")
    (tmp_path / "broken.jpg").write_text("no picture")
    data = table(
        tmp_path,
        [
            "face.jpg,neutral,,,,",
            "face.jpg,neutral,0,0,40,40",
            "empty.png,neutral,,,,",
            "broken.jpg,neutral,,,,",
        ],
    )
    answers = predict_photographs(data, pipeline)
    assert answers.outcome.tolist() == [PREDICTED, WRONG_FACE, MISSED]
    assert answers.correct.tolist() == [True, False, False]
    assert answers.left_out == {"the picture cannot be read": ("broken.jpg",)}


def test_aligns_and_predicts_all_crops(
    photographs: LabeledSet, pipeline: FacePipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "crops"
    for name in photographs.names:
        image = photographs.load(photographs.names.index(name))
        box = pipeline.detect(image)[0].box
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        corners = (int(box.x_min), int(box.y_min), int(box.x_max), int(box.y_max))
        PillowImage.fromarray(image).crop(corners).resize((48, 48)).save(folder / name)
    PillowImage.new("L", (48, 48), 128).save(folder / "neutral" / "gray.png")
    done: list[tuple[int, int]] = []
    answers = predict_crops(
        read_data(folder), pipeline, progress=lambda part, of: done.append((part, of))
    )
    by_name = dict(zip(answers.names, answers.columns["aligned"], strict=True))
    assert by_name.pop("neutral/gray.png") == "false"
    assert set(by_name.values()) == {"true"}
    assert (answers.outcome == PREDICTED).all()
    assert answers.correct[[name in by_name for name in answers.names]].all()
    assert done[-1] == (5, 5)


def test_applies_a_change_first(photographs: LabeledSet, pipeline: FacePipeline) -> None:
    answers = predict_photographs(
        photographs, pipeline, change=lambda image, _: np.zeros_like(image)
    )
    assert answers.outcome.tolist() == [MISSED] * 4


def test_rejects_data_without_usable_rows(tmp_path: Path, pipeline: FacePipeline) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    data = table(tmp_path, ["a.jpg,neutral,,,,"])
    with pytest.raises(DataError, match="readable pictures"):
        predict_photographs(data, pipeline)
    with pytest.raises(DataError, match="found none"):
        predict_crops(data, pipeline, only=(Expression.FEAR,))


def test_chooses_the_labeled_face() -> None:
    small = Face(Detection(Box(0, 0, 10, 10), 0.9))
    large = Face(Detection(Box(20, 0, 60, 40), 0.6))
    assert choose_face([small, large], None) is large
    assert choose_face([small, large], [np.nan] * 4) is large
    assert choose_face([small, large], [1, 1, 11, 11]) is small
    # An overlap of 20x20 in 40x40 is an IoU of 0.25, below 0.3.
    assert choose_face([small, large], [20, 0, 40, 20]) is None
