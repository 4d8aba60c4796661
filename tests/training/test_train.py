"""Whole training runs on a few pictures. They take seconds, and need torch."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from tests.training.conftest import TrainedRun

from mien.errors import DataError, SettingError
from mien.expression.neural import NeuralClassifier
from mien.runtime import catalog
from mien.training import loop
from mien.training.train import Plan, export_run, run_training

pytestmark = [
    pytest.mark.e2e,
    # torch's exporter uses what its own next version deprecates.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


def plan(
    recipe_path: Path, data_path: Path, folder: Path, *, formats: tuple[str, ...] = ()
) -> Plan:
    return Plan(recipe_path, data_path, folder, crops=True, workers=0, formats=formats)


def metrics_of(folder: Path) -> str:
    return (folder / loop._METRICS).read_text(encoding="utf-8")


def test_a_run_writes_a_model_that_classifies(trained: TrainedRun) -> None:
    folder = trained.folder
    rows = [json.loads(line) for line in metrics_of(folder).splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    config = json.loads((folder / "config.json").read_text())
    assert config["recipe"]["optimizer"]["seed"] == 7
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / "tiny.md").read_text(encoding="utf-8")
    assert "no evidence of what a person feels" in card.replace("\n", " ")
    for name in ("tiny", "tiny-fp16"):
        entry = catalog.find(folder / f"{name}.onnx")
        catalog.verify(entry)
        assert entry.spec.name == name
        assert sum(entry.spec.training_prior) == pytest.approx(1, abs=1e-3)
        best = max(rows, key=lambda row: row["score"])
        accuracy = entry.spec.metrics["tiny_valid_accuracy"]
        assert accuracy == pytest.approx(best["accuracy"], abs=1e-3)
        scores = NeuralClassifier(entry).classify([np.zeros((32, 32), np.uint8)])[0]
        assert scores.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_trains_on_fewer_pictures_than_a_batch(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    recipe = recipe_path.read_text()
    recipe_path.write_text(recipe.replace("batch_size = 8", "batch_size = 512"))
    run_training(plan(recipe_path, data_path, tmp_path / "run"))
    assert [json.loads(line)["epoch"] for line in metrics_of(tmp_path / "run").splitlines()] == [
        1,
        2,
        3,
    ]


def test_resumes_a_killed_run_with_the_same_result(trained: TrainedRun, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "mien", "train", str(trained.recipe_path), "--crops"]
    command += ["--data", str(trained.data_path), "--workers", "0", "--out", str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not (killed / loop._CHECKPOINT).exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (killed / loop._CHECKPOINT).exists()

    run_training(plan(trained.recipe_path, trained.data_path, killed))
    assert metrics_of(killed) == metrics_of(trained.folder)


IN_DOUBLE_PRECISION = """
import sys
from pathlib import Path
import torch
from mien.training.train import Plan, run_training

torch.set_default_dtype(torch.float64)
recipe, data, folder = (Path(argument) for argument in sys.argv[1:])
run_training(Plan(recipe, data, folder, crops=True, workers=0, formats=()))
"""


def test_two_processes_equal_one(recipe_path: Path, data_path: Path, tmp_path: Path) -> None:
    # In single precision Adam turns the last bit of a gradient near zero into a whole step, so
    # that even the number of threads changes the weights; double precision shows the algorithm.
    script = tmp_path / "train.py"
    script.write_text(IN_DOUBLE_PRECISION, encoding="utf-8")
    one, two = tmp_path / "one", tmp_path / "two"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    alone = [sys.executable]
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    together += ["--nproc-per-node", "2"]
    for command, folder in ((alone, one), (together, two)):
        command += [str(script), str(recipe_path), str(data_path), str(folder)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr

    weights = [torch.load(f / loop._CHECKPOINT, weights_only=True) for f in (one, two)]
    differences = [
        float((value.double() - weights[1]["network"][name].double()).abs().max())
        for name, value in weights[0]["network"].items()
    ]
    assert max(differences) <= 1e-5
    rows = [[json.loads(line) for line in metrics_of(f).splitlines()] for f in (one, two)]
    assert len(rows[0]) == 3
    for first, second in zip(*rows, strict=True):
        assert first == pytest.approx(second, abs=1e-5)


def test_exports_a_run_again_in_every_format(trained: TrainedRun, tmp_path: Path) -> None:
    entries = export_run(trained.folder, tmp_path, ("fp32", "fp16", "int8"), "mine")
    sizes = [entry.path.stat().st_size for entry in entries]
    assert [entry.spec.name for entry in entries] == ["mine", "mine-fp16", "mine-int8"]
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.6 * sizes[0]
    assert all("tiny_valid_accuracy" in entry.spec.metrics for entry in entries)


def test_trains_on_other_labels_from_pretrained_weights(
    trained: TrainedRun, recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    shutil.copy(trained.folder / "tiny-fp16.onnx", tmp_path)
    with np.load(data_path) as arrays:
        # FER2013's own order: anger, disgust, fear, happiness, sadness, surprise, neutral.
        own = np.array([3, 4, 6])[np.arange(len(arrays["images"])) % 3]
        np.savez(data_path, **arrays, fer_label=own)
    text = recipe_path.read_text(encoding="utf-8").replace('"surprise"', '"sadness"')
    text = f'labeling = "fer2013"\n{text}'.replace(
        "dropout = 0.0", 'dropout = 0.0\nstart = "tiny-fp16.onnx"'
    )
    recipe_path.write_text(text, encoding="utf-8")

    folder = tmp_path / "other"
    entries = run_training(plan(recipe_path, data_path, folder, formats=("fp32",)))
    # There is no vote for sadness, which is a third of the other labels.
    assert entries[0].spec.training_prior == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=0.02)
    assert "fer2013_valid_accuracy" in entries[0].spec.metrics


def test_trains_on_a_folder_with_a_broken_picture(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    reported: list[str] = []

    def report(stage: str, done: int = 0, total: int = 0, note: str = "") -> None:
        if not total:
            reported.append(stage)

    with np.load(data_path) as arrays:
        for row, image in enumerate(arrays["images"]):
            folder = tmp_path / "pictures" / ("Neutral", "Happy", "Surprised")[row % 3]
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{row}.png"), image)
    (tmp_path / "pictures" / "Happy" / "broken.png").write_text("no picture")
    wanted = plan(recipe_path, tmp_path / "pictures", tmp_path / "run", formats=("fp32",))
    (entry,) = run_training(dataclasses.replace(wanted, epochs=1), report)
    assert reported[0].startswith("1 unreadable pictures are left out, such as Happy/broken.png")
    assert "| dropped unreadable | 1 |" in (tmp_path / "run" / "tiny.md").read_text("utf-8")
    # Six valid pictures do not make predictions certain, even if all are right.
    assert entry.spec.temperature > 0.1


def test_rejects_invalid_plans_before_training(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    wanted = plan(recipe_path, data_path, tmp_path / "run", formats=("gif",))
    with pytest.raises(SettingError, match="expected a format of fp32, fp16, int8, got 'gif'"):
        run_training(wanted)
    with np.load(data_path) as arrays:
        alike = np.tile(arrays["votes"][:1], (len(arrays["votes"]), 1)) * np.array([0, 1, 0, 0])
        np.savez(data_path, **{**arrays, "votes": alike + np.array([9, 0, 0, 0], np.uint8)})
    with pytest.raises(DataError, match="expected at least two expressions"):
        run_training(plan(recipe_path, data_path, tmp_path / "run"))


def test_rejects_the_folder_of_another_recipe(
    trained: TrainedRun, recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained.folder, tmp_path / "run")
    recipe_path.write_text(recipe_path.read_text().replace('"compact"', '"mobilenet"'))
    with pytest.raises(DataError, match="another"):
        run_training(plan(recipe_path, data_path, tmp_path / "run"))
