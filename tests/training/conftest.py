"""Pictures and a recipe so small that training on them takes a second, and one trained run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

RECIPE = """
name = "tiny"
summary = "for tests"

[network]
architecture = "compact"
labels = ["neutral", "happiness", "surprise"]
dropout = 0.0

[input]
size = 32
mean = 127.5
std = 64.0
scheme = "mesh468"
indices = [33, 263]
points = [[0.25, 0.4], [0.75, 0.4]]

[optimizer]
epochs = 3
batch_size = 8
warmup_epochs = 0.5
mixup = 0.2
balance = 0.3
seed = 7
"""


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    return _write_recipe(tmp_path)


@pytest.fixture
def data_path(tmp_path: Path) -> Path:
    return _write_data(tmp_path)


@dataclass(frozen=True)
class TrainedRun:
    """A finished run in ``folder``, with ``tiny.onnx`` and ``tiny-fp16.onnx``."""

    folder: Path
    recipe_path: Path
    data_path: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Do not write into it: all tests share it."""
    from mien.training.train import Plan, run_training

    root = tmp_path_factory.mktemp("trained")
    run = TrainedRun(root / "run", _write_recipe(root), _write_data(root))
    run_training(Plan(run.recipe_path, run.data_path, run.folder, crops=True, workers=0))
    return run


def _write_recipe(folder: Path) -> Path:
    path = folder / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def _write_data(folder: Path) -> Path:
    """Three kinds of picture that differ in where they are bright, with votes and splits."""
    rng = np.random.default_rng(0)
    count = 60
    kind = np.arange(count) % 3
    images = rng.integers(60, 120, (count, 48, 48), dtype=np.uint8)
    for image, k in zip(images, kind, strict=True):
        image[16 * k : 16 * (k + 1)] += 100
    names = ("neutral", "happiness", "surprise", "NF")
    votes = np.zeros((count, len(names)), np.uint8)
    votes[np.arange(count), kind] = 8
    votes[:, 0] += 2
    path = folder / "tiny.npz"
    np.savez(
        path,
        images=images,
        split=np.where(np.arange(count) < 40, "train", "valid"),
        votes=votes,
        vote_names=np.array(names),
    )
    return path
