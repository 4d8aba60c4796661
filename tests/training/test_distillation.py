"""A tiny run teaches another."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.errors import ModelNotFoundError, SettingError
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.runtime import catalog
from mien.training.distillation import taught
from mien.training.faces import MAIN_HEAD, Faces
from mien.training.progress import Told
from mien.training.recipe import Recipe, load_recipe
from mien.training.train import Plan, run_training

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]
SILENT = Told(*[lambda *told: None] * 4)


def told(done: int, total: int) -> None:
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
def folder(recipe_path: Path, data_path: Path, tmp_path: Path) -> Path:
    """Of the recipe, with a teacher beside it."""
    run = tmp_path / "run"
    run_training(Plan(recipe_path, data_path, run, crops=True, epochs=1, workers=0), SILENT)
    (run / "tiny.onnx").rename(tmp_path / "t.onnx")
    return tmp_path


def test_targets_move_towards_the_mean_of_both_views(folder: Path, recipe_path: Path) -> None:
    learned = faces()
    moved = taught(learned, student(recipe_path), folder, told).targets[MAIN_HEAD]
    teacher = NeuralClassifier(catalog.find(folder / "t.onnx"))
    views = (learned.images[69], learned.images[69][:, ::-1])
    answer = softmax(teacher.logits([np.ascontiguousarray(v) for v in views]).astype(float))
    expected = 0.75 * learned.targets[MAIN_HEAD][69] + 0.25 * answer.mean(axis=0)
    np.testing.assert_allclose(moved[69], expected, atol=1e-5)
    np.testing.assert_allclose(moved.sum(axis=1), 1, atol=1e-5)


def test_a_student_learns(folder: Path, recipe_path: Path, data_path: Path) -> None:
    student(recipe_path)
    run = Plan(folder / "student.toml", data_path, folder / "s", crops=True, epochs=1, workers=0)
    assert run_training(run, SILENT)


@pytest.mark.parametrize(
    ("change", "told_of"),
    [
        (('"neutral", "happiness", "surprise"', '"neutral", "anger"'), "to know neutral, anger"),
        (("[0.25, 0.4]", "[0.2, 0.4]"), "to be aligned like the recipe's faces"),
    ],
)
def test_a_teacher_of_other_things_is_refused(
    folder: Path, recipe_path: Path, change: tuple[str, str], told_of: str
) -> None:
    with pytest.raises(SettingError, match=told_of):
        taught(faces(), student(recipe_path, change), folder, told)


def test_a_missing_teacher_is_told(recipe_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nobody"):
        taught(faces(), student(recipe_path, teacher="nobody"), tmp_path, told)
