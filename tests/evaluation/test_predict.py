"""Predictions of a pipeline for labeled pictures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.errors import DataError
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.predict import MISSED, PREDICTED, WRONG_FACE, choose_face, predict
from mien.evaluation.readers import read_data
from mien.labels import Expression
from mien.testing import FakeLandmarks, FakePipeline, face_image
from mien.types import Box, Detection, Face, Image, Landmarks

FACE = Box(100, 60, 200, 160)


def save(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(image).save(path)


@pytest.fixture(scope="module")
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def photographs(tmp_path: Path) -> LabeledSet:
    for name in "ab":
        save(tmp_path / "set" / "neutral" / f"{name}.png", face_image([(FACE, "neutral")]))
        save(tmp_path / "set" / "happy" / f"{name}.png", face_image([(FACE, "happiness")]))
    return read_data(tmp_path / "set")


def table(folder: Path, rows: list[str]) -> LabeledSet:
    path = folder / "table.csv"
    path.write_text("\n".join(["image,expression,x_min,y_min,x_max,y_max", *rows]) + "\n")
    return read_data(path)


def test_predicts_photographs(photographs: LabeledSet, pipeline: FakePipeline) -> None:
    answers = predict(photographs, pipeline)
    assert answers.correct.all()
    assert answers.outcome.tolist() == [PREDICTED] * 4
    assert answers.columns["faces_found"].tolist() == ["one"] * 4
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)
    assert answers.facts["mode"] == "photographs"


def test_allowed_labels_share_the_whole_probability(
    photographs: LabeledSet, pipeline: FakePipeline
) -> None:
    only = (Expression.SURPRISE, Expression.NEUTRAL)
    answers = predict(photographs, pipeline, only=only)
    assert set(answers.labels) == set(only)
    assert len(answers) == 2
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)
    (left_out,) = answers.left_out.items()
    assert left_out[0] == "the answers do not include happiness"
    assert len(left_out[1]) == 2


def test_counts_missed_faces_wrong_faces_and_unreadable_files_separately(
    tmp_path: Path, pipeline: FakePipeline
) -> None:
    save(tmp_path / "face.png", face_image([(FACE, "neutral")]))
    save(tmp_path / "empty.png", face_image())
    (tmp_path / "broken.jpg").write_text("no picture")
    data = table(
        tmp_path,
        [
            "face.png,neutral,,,,",
            "face.png,neutral,0,0,40,40",
            "empty.png,neutral,,,,",
            "broken.jpg,neutral,,,,",
        ],
    )
    answers = predict(data, pipeline)
    assert answers.outcome.tolist() == [PREDICTED, WRONG_FACE, MISSED]
    assert answers.correct.tolist() == [True, False, False]
    assert answers.left_out == {"the picture cannot be read": ("broken.jpg",)}


def test_aligns_and_predicts_all_crops(tmp_path: Path) -> None:
    whole = Box(0, 0, 48, 48)
    for label in ("neutral", "happiness"):
        save(tmp_path / label / "a.png", face_image([(whole, label)], (48, 48)))
    save(tmp_path / "neutral" / "gray.png", np.full((48, 48), 128, np.uint8))

    class NoMeshInGray(FakeLandmarks):
        def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
            self.presence = 0.0 if (image == 128).all() else 0.99
            return super().predict(image, detections)

    done: list[tuple[int, int]] = []
    answers = predict(
        dataclasses.replace(read_data(tmp_path), face_crops=True),
        FakePipeline(landmarks=NoMeshInGray()),
        progress=lambda part, of: done.append((part, of)),
    )
    by_name = dict(zip(answers.names, answers.columns["aligned"], strict=True))
    assert by_name.pop("neutral/gray.png") == "false"
    assert set(by_name.values()) == {"true"}
    assert (answers.outcome == PREDICTED).all()
    assert answers.correct[[name in by_name for name in answers.names]].all()
    assert answers.facts["mode"] == "crops"
    assert done[-1] == (3, 3)


def test_applies_a_change_first(photographs: LabeledSet, pipeline: FakePipeline) -> None:
    answers = predict(photographs, pipeline, change=lambda image, _: np.zeros_like(image))
    assert answers.outcome.tolist() == [MISSED] * 4


def test_rejects_data_without_usable_rows(tmp_path: Path, pipeline: FakePipeline) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    data = table(tmp_path, ["a.jpg,neutral,,,,"])
    with pytest.raises(DataError, match="readable pictures"):
        predict(data, pipeline)
    with pytest.raises(DataError, match="found none"):
        predict(data, pipeline, only=(Expression.FEAR, Expression.ANGER))


def test_chooses_the_labeled_face() -> None:
    small = Face(Detection(Box(0, 0, 10, 10), 0.9))
    large = Face(Detection(Box(20, 0, 60, 40), 0.6))
    assert choose_face([small, large], None) is large
    assert choose_face([small, large], [np.nan] * 4) is large
    assert choose_face([small, large], [1, 1, 11, 11]) is small
    # An overlap of 20x20 in 40x40 is an IoU of 0.25, below 0.3.
    assert choose_face([small, large], [20, 0, 40, 20]) is None


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (
            "200,60,100,160",
            "at least 1 larger, or all empty, in .*table.csv, got 200, 60, 100, 160",
        ),
        ("0.1,0.2,0.6,0.8", "in pixels"),
        ("100,60,inf,160", "for the picture a.png"),
        ("100,60,200,", "all empty"),
        ("left,60,200,160", "got left, 60, 200, 160"),
        ("900,60,999,160", r"in the \d+×\d+ pixels of a.png, got 900, 60, 999, 160"),
        ("-90,60,-10,160", "pixels of a.png"),
    ],
)
def test_rejects_impossible_boxes(
    tmp_path: Path, pipeline: FakePipeline, box: str, expected: str
) -> None:
    save(tmp_path / "a.png", face_image([(FACE, "neutral")]))
    unknown = table(tmp_path, ["a.png,neutral,,,,", "a.png,neutral,NA,NA,NA,NA"])
    assert predict(unknown, pipeline).correct.all()
    with pytest.raises(DataError, match=expected):
        predict(table(tmp_path, [f"a.png,neutral,{box}"]), pipeline)
