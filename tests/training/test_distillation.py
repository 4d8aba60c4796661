"""Distillation from a tiny trained model."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training.conftest import TrainedRun

from mien.errors import ModelNotFoundError, SettingError
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.runtime import catalog
from mien.training.dataset import MAIN_HEAD, Faces
from mien.training.recipe import Recipe, load_recipe
from mien.training.train import Plan, run_training
from mien.training.transfer import distill

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


def check_progress(stage: str, done: int = 0, total: int = 0, note: str = "") -> None:
    assert 0 < done <= total


def faces() -> Faces:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (70, 32, 32), dtype=np.uint8)
    transforms = np.repeat(np.eye(2, 3)[None], 70, axis=0)
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 70)]
    return Faces(images, transforms, (32, 32), {MAIN_HEAD: targets})


def student(
    recipe_path: Path, change: tuple[str, str] = ("", ""), teacher: str = "t.onnx"
) -> Recipe:
    text = recipe_path.read_text(encoding="utf-8").replace(*change)
    path = recipe_path.with_name("student.toml")
    path.write_text(f'{text}\n[distillation]\nteachers = ["{teacher}"]\nshare = 0.25\n')
    return load_recipe(path)


@pytest.fixture
def folder(trained: TrainedRun, tmp_path: Path) -> Path:
    """Of the recipe, with a teacher beside it."""
    shutil.copy(trained.folder / "tiny.onnx", tmp_path / "t.onnx")
    return tmp_path


def test_targets_move_toward_the_mean_of_both_views(folder: Path, recipe_path: Path) -> None:
    learned = faces()
    moved = distill(learned, student(recipe_path), folder, check_progress).targets[MAIN_HEAD]
    teacher = NeuralClassifier(catalog.find(folder / "t.onnx"))
    views = (learned.images[69], learned.images[69][:, ::-1])
    answer = softmax(teacher.logits([np.ascontiguousarray(v) for v in views]).astype(float))
    expected = 0.75 * learned.targets[MAIN_HEAD][69] + 0.25 * answer.mean(axis=0)
    np.testing.assert_allclose(moved[69], expected, atol=1e-5)
    np.testing.assert_allclose(moved.sum(axis=1), 1, atol=1e-5)


def test_trains_a_student(folder: Path, recipe_path: Path, data_path: Path) -> None:
    student(recipe_path)
    run = Plan(folder / "student.toml", data_path, folder / "s", crops=True, epochs=1, workers=0)
    run = dataclasses.replace(run, formats=("fp32",))
    assert run_training(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"neutral", "happiness", "surprise"', '"neutral", "anger"'), "to know neutral, anger"),
        (("[0.25, 0.4]", "[0.2, 0.4]"), "to be aligned like the recipe's faces"),
    ],
)
def test_rejects_teachers_with_other_labels_or_alignment(
    folder: Path, recipe_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        distill(faces(), student(recipe_path, change), folder, check_progress)


def test_reports_a_missing_teacher(recipe_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nosuch"):
        distill(faces(), student(recipe_path, teacher="nosuch"), tmp_path, check_progress)
