"""What is kept between epochs, so that a run that was killed goes on as if it had not been."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.errors import DataError
from mien.training.networks import AveragedNetwork

CHECKPOINT = "checkpoint.pt"
_BEST = "best.pt"
METRICS = "metrics.jsonl"


def save(
    folder: Path,
    epoch: int,
    network: nn.Module,
    averaged: AveragedNetwork,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the checkpoint after ``epoch`` epochs."""
    state = {
        "epoch": epoch,
        "network": network.state_dict(),
        "averaged": averaged.network.state_dict(),
        "updates": averaged.updates,
        "optimizer": optimizer.state_dict(),
    }
    _write_whole(state, folder / CHECKPOINT)


def restore(
    folder: Path,
    network: nn.Module,
    averaged: AveragedNetwork,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    """Load the checkpoint where there is one; how many epochs are done."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        averaged.network.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise DataError(
            f"expected a checkpoint of this recipe at {path}, got another: choose another folder "
            f"for the run ({error})"
        ) from error
    averaged.updates = state["updates"]
    return int(state["epoch"])


def save_best(folder: Path, averaged: AveragedNetwork) -> None:
    """Keep the averaged weights of the best epoch so far."""
    _write_whole(averaged.network.state_dict(), folder / _BEST)


def load_best(folder: Path, network: nn.Module) -> None:
    """Load what :func:`save_best` kept.

    Raises:
        DataError: there is none, or it is of another network.
    """
    path = folder / _BEST
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError) as error:
        raise DataError(f"expected the weights of a training run at {path}: {error}") from error


def read_metrics(folder: Path, epochs: int | None = None) -> list[dict[str, float]]:
    """The rows of the first ``epochs`` epochs; rows of an epoch without checkpoint do not count."""
    path = folder / METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:epochs]]


def write_metrics(folder: Path, rows: list[dict[str, float]]) -> None:
    """Rewrite all rows atomically."""
    part = folder / f"{METRICS}.part"
    part.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    part.replace(folder / METRICS)


def _write_whole(state: dict[str, Any], path: Path) -> None:
    # Beside the old one and then swapped: a kill leaves one of the two whole.
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
