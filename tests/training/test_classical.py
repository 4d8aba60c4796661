import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs SciPy: pip install 'mien[train]'")

from mien.errors import SettingError
from mien.evaluation.figures import ece
from mien.evaluation.readers import read_data
from mien.expression import build_classifier
from mien.expression.priors import softmax
from mien.labels import Expression
from mien.training.classical import _fit_machine, _fit_projection, _labeled_splits, train_classical
from mien.training.recipe import _SHIPPED, load_classical_recipe
from mien.types import Image, Landmarks

EYES = np.array([[15.1, 18.2], [32.6, 18.0]], np.float32)


def _recipe_text() -> str:
    text = (_SHIPPED / "classical.toml").read_text()
    for old, new in (
        ("components = 300", "components = 20"),
        ("vectors = 3000", "vectors = 150"),
        ("ridge = [5e-7, 1e-6, 2e-6]", "ridge = [1e-4, 1e-3]"),
        ("eyes_share = 0.37", "eyes_share = 0.5"),
        ("size = 64", "size = 32"),
        ("lbp_grid = 8", "lbp_grid = 0"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


def _write_data(path: Path) -> None:
    """Chevrons, whose angle is the expression; row 0 and the last valid row are near-duplicates."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:48, :48]
    truth = np.arange(400) % 8
    images = np.empty((400, 48, 48), np.uint8)
    for image, label in zip(images, truth, strict=True):
        angle = label * np.pi / 14
        along = abs(x - 23.5) * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 12)
        image[:] = np.clip(127 + 60 * np.sin(along / 2) + rng.normal(0, 5, (48, 48)), 0, 255)
    group = np.arange(400)
    group[-1] = 0
    np.savez(
        path,
        images=images,
        split=np.where(np.arange(400) < 320, "train", "valid"),
        votes=10 * np.eye(8, dtype=np.uint8)[truth],
        vote_names=[label.value for label in Expression],
        dup_group=group,
    )


def _eyes(image: Image) -> Landmarks:
    return Landmarks(EYES, "eyes2")


def _mesh(image: Image) -> Landmarks:
    # Not on a face: the crop is to be taken as it is.
    return Landmarks(np.zeros((468, 2), np.float32), "mesh468", presence=0.0)


def test_trains_writes_and_uses_a_model(tmp_path: Path) -> None:
    _write_data(tmp_path / "data.npz")
    (tmp_path / "recipe.toml").write_text(_recipe_text())
    recipe = load_classical_recipe(tmp_path / "recipe.toml")
    finders = {"mesh468": _mesh, "eyes2": _eyes}
    spec = train_classical(recipe, tmp_path / "data.npz", tmp_path / "out", find=finders)
    # Eight angles, the same in the mirror, are distinguished by their gradients;
    # chance would be one in eight.
    assert spec.metrics["valid_mesh468_accuracy"] > 0.9
    assert spec.metrics["valid_eyes2_accuracy"] > 0.9
    # 320 rows of the train split less the one with a duplicate in valid, which is neutral.
    assert spec.training_data.startswith("data: 319 ")
    assert spec.training_prior[0] == pytest.approx(40 / 327)
    used = build_classifier(tmp_path / "out" / "classical.npz")
    assert used.spec == spec
    grating = np.load(tmp_path / "data.npz")["images"][321]
    crop = np.kron(grating, np.ones((2, 2), np.uint8))[16:48, 16:48]
    assert used.classify([crop])[0].probabilities.shape == (8,)


def test_splits_folders_and_uses_the_labels_of_the_recipe(tmp_path: Path) -> None:
    for name in ("Happy", "Angry", "Neutral"):
        for number in range(10):
            folder = tmp_path / "set" / name
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (48, 48), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{number}.png"), pixels)
    (tmp_path / "set" / "Angry" / "broken.png").write_text("no picture")
    (tmp_path / "recipe.toml").write_text(_recipe_text())
    recipe = load_classical_recipe(tmp_path / "recipe.toml")
    train, valid = _labeled_splits(read_data(tmp_path / "set"), recipe)
    assert train.labels == valid.labels == recipe.labels
    assert len(train) == 27
    assert len(valid) == 3
    for data in (train, valid):
        for name, index in zip(data.names, data.label_index, strict=True):
            expected = {"Happy": "happiness", "Angry": "anger", "Neutral": "neutral"}
            assert recipe.labels[index].value == expected[name.split("/")[0]]


def test_kernel_machine_separates_classes_that_are_not_linearly_separable() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (600, 2)).astype(np.float32)
    truth = (points[:, 0] * points[:, 1] > 0).astype(np.int64)
    fit = _fit_machine(
        dataclasses.replace(
            load_classical_recipe(_SHIPPED / "classical.toml"),
            vectors=120,
            kernel_width=4.0,
            ridge=(1e-5, 1e-3),
            folds=4,
            seed=0,
        ),
        _fit_projection(points, 2, 0),
        points,
        targets=np.eye(2, dtype=np.float32)[truth],
        truth=truth,
        groups=np.arange(600),
    )
    assert (fit.held_out_logits.argmax(axis=1) == truth).mean() > 0.93
    probabilities = softmax(fit.held_out_logits.astype(np.float64))
    correct = probabilities.argmax(axis=1) == truth
    # 40 predictions a bin vary by 4 % each by chance.
    assert ece(probabilities.max(axis=1), correct) < 0.05
    assert np.array_equal(fit.machine.vectors, fit.vector_codes * fit.vector_scales)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('route = "classical"', "", 'expected route = "classical"'),
        ("vectors = 3000", "vector = 3000", "got .vector."),
        ("folds = 4", "folds = ", "expected TOML"),
        ('"neutral"', '"bored"', "bored"),
    ],
)
def test_rejects_invalid_recipes(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (_SHIPPED / "classical.toml").read_text()
    (tmp_path / "recipe.toml").write_text(text.replace(old, new))
    with pytest.raises(SettingError, match=message):
        load_classical_recipe(tmp_path / "recipe.toml")
