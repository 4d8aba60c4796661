"""Whole training runs on a few pictures. They take seconds, and need torch."""

import dataclasses
import json
import os
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

from mien.errors import DataError, SettingError
from mien.expression.neural import NeuralClassifier
from mien.runtime import catalog
from mien.training import checkpoint
from mien.training.progress import Told
from mien.training.train import Plan, export_run, run_training

pytestmark = [
    pytest.mark.e2e,
    # torch's exporter uses what its own next version deprecates.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]

SILENT = Told(*[lambda *told: None] * 4)


def plan(recipe_path: Path, data_path: Path, folder: Path) -> Plan:
    return Plan(recipe_path, data_path, folder, crops=True, workers=0)


def metrics_of(folder: Path) -> str:
    return (folder / checkpoint.METRICS).read_text(encoding="utf-8")


def test_a_run_leaves_a_model_that_classifies(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    entries = run_training(plan(recipe_path, data_path, folder), SILENT)

    assert [entry.spec.name for entry in entries] == ["tiny", "tiny-fp16"]
    rows = [json.loads(line) for line in metrics_of(folder).splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    config = json.loads((folder / "config.json").read_text())
    assert config["recipe"]["optimizer"]["seed"] == 7
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / "tiny.md").read_text(encoding="utf-8")
    assert "no evidence of what a person feels" in card.replace("\n", " ")
    entry = catalog.find(folder / "tiny.onnx")
    catalog.verify(entry)
    assert sum(entry.spec.training_prior) == pytest.approx(1, abs=1e-3)
    best = max(rows, key=lambda row: row["score"])
    assert entry.spec.metrics["tiny_valid_accuracy"] == pytest.approx(best["accuracy"], abs=1e-3)
    scores = NeuralClassifier(entry).classify([np.zeros((32, 32), np.uint8)])[0]
    assert scores.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_training(plan(recipe_path, data_path, whole), SILENT)

    command = [sys.executable, "-m", "mien", "train", str(recipe_path), "--data", str(data_path)]
    command += ["--crops", "--workers", "0", "--out", str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / checkpoint.CHECKPOINT).exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (killed / checkpoint.CHECKPOINT).exists()

    run_training(plan(recipe_path, data_path, killed), SILENT)
    assert metrics_of(killed) == metrics_of(whole)


IN_DOUBLE_PRECISION = """
import sys
from pathlib import Path
import torch
from mien.training.progress import Told
from mien.training.train import Plan, run_training

torch.set_default_dtype(torch.float64)
recipe, data, folder = (Path(argument) for argument in sys.argv[1:])
silent = Told(*[lambda *told: None] * 4)
run_training(Plan(recipe, data, folder, crops=True, workers=0, formats=()), silent)
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

    weights = [torch.load(f / checkpoint.CHECKPOINT, weights_only=True) for f in (one, two)]
    differences = [
        float((value.double() - weights[1]["network"][name].double()).abs().max())
        for name, value in weights[0]["network"].items()
    ]
    assert max(differences) <= 1e-5
    rows = [[json.loads(line) for line in metrics_of(f).splitlines()] for f in (one, two)]
    assert len(rows[0]) == 3
    for first, second in zip(*rows, strict=True):
        assert first == pytest.approx(second, abs=1e-5)


def test_every_format_can_be_exported_anew(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "run", tmp_path / "out"
    run_training(plan(recipe_path, data_path, folder), SILENT)
    entries = export_run(folder, output, ("fp32", "fp16", "int8"), "mine", SILENT)
    sizes = [entry.path.stat().st_size for entry in entries]
    assert [entry.spec.name for entry in entries] == ["mine", "mine-fp16", "mine-int8"]
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.6 * sizes[0]
    assert all("tiny_valid_accuracy" in entry.spec.metrics for entry in entries)


def test_the_other_labels_are_learned_from_other_weights(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    run_training(plan(recipe_path, data_path, tmp_path / "run"), SILENT)
    with np.load(data_path) as arrays:
        # FER2013's own order: anger, disgust, fear, happiness, sadness, surprise, neutral.
        own = np.array([3, 4, 6])[np.arange(len(arrays["images"])) % 3]
        np.savez(data_path, **arrays, fer_label=own)
    text = recipe_path.read_text(encoding="utf-8").replace('"surprise"', '"sadness"')
    text = f'labeling = "fer2013"\n{text}'.replace(
        "dropout = 0.0", 'dropout = 0.0\nstart = "run/tiny-fp16.onnx"'
    )
    recipe_path.write_text(text, encoding="utf-8")

    entries = run_training(plan(recipe_path, data_path, tmp_path / "other"), SILENT)
    # Nobody voted for sadness, which is a third of the other labels.
    assert entries[0].spec.training_prior == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=0.02)
    assert "fer2013_valid_accuracy" in entries[0].spec.metrics


def test_a_folder_of_pictures_trains_though_one_is_broken(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    with np.load(data_path) as arrays:
        for row, image in enumerate(arrays["images"]):
            folder = tmp_path / "pictures" / ("Neutral", "Happy", "Surprised")[row % 3]
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{row}.png"), image)
    (tmp_path / "pictures" / "Happy" / "broken.png").write_text("no picture")
    told = dataclasses.replace(SILENT, stage=said.append)
    (entry, *_) = run_training(plan(recipe_path, tmp_path / "pictures", tmp_path / "run"), told)
    assert said[0].startswith("1 unreadable pictures are left out, Happy/broken.png for one")
    assert "| dropped unreadable | 1 |" in (tmp_path / "run" / "tiny.md").read_text("utf-8")
    # Six pictures to choose by, however well they are answered, make nobody sure.
    assert entry.spec.temperature > 0.1


def test_what_cannot_work_is_told_before_training(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    wanted = dataclasses.replace(plan(recipe_path, data_path, tmp_path / "run"), formats=("gif",))
    with pytest.raises(SettingError, match="expected a format of fp32, fp16, int8, got 'gif'"):
        run_training(wanted, SILENT)
    with np.load(data_path) as arrays:
        alike = np.tile(arrays["votes"][:1], (len(arrays["votes"]), 1)) * np.array([0, 1, 0, 0])
        np.savez(data_path, **{**arrays, "votes": alike + np.array([9, 0, 0, 0], np.uint8)})
    with pytest.raises(DataError, match="expected two expressions or more"):
        run_training(plan(recipe_path, data_path, tmp_path / "run"), SILENT)


def test_a_folder_of_another_recipe_is_refused(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run_training(plan(recipe_path, data_path, folder), SILENT)
    recipe_path.write_text(recipe_path.read_text().replace('"compact"', '"mobilenet"'))
    with pytest.raises(DataError, match="another"):
        run_training(plan(recipe_path, data_path, folder), SILENT)
