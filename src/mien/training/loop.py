"""Epochs and steps."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from mien.training import balance, checkpoint
from mien.training.averaging import AveragedNetwork
from mien.training.distributed import (
    ALONE,
    Processes,
    mean_over_processes,
    share_batch_norm,
    share_from_first,
    wrap,
)
from mien.training.faces import MAIN_HEAD, AugmentedFaces, Faces, WeightedDraws
from mien.training.loss import batch_loss
from mien.training.networks.heads import ExpressionNetwork
from mien.training.optimizer import build_optimizer, set_rates
from mien.training.progress import Progress
from mien.training.recipe import Recipe
from mien.training.validation import Validation

TIMINGS = "timings.jsonl"
_LARGEST_GRADIENT = 5.0


def train(
    recipe: Recipe,
    network: ExpressionNetwork,
    faces: Faces,
    validation: Validation,
    *,
    folder: Path,
    report: Callable[[Progress], None],
    processes: Processes = ALONE,
    workers: int = 1,
) -> None:
    """Train until the recipe's end, from the last checkpoint in ``folder`` where there is one.

    Leaves ``metrics.jsonl`` with one row for each epoch, the checkpoint of the last epoch, and
    the averaged weights of the best.
    """
    plan, device = recipe.optimizer, processes.device
    network = network.to(device, memory_format=torch.channels_last)
    if processes.world > 1:
        share_batch_norm(network)
    frozen = network.trunk.layers[: recipe.network.frozen_layers].requires_grad_(False)
    averaged = AveragedNetwork(network, plan.average_decay)
    optimizer = build_optimizer(network, plan)
    probabilities = balance.draw_probabilities(faces.targets[MAIN_HEAD], plan.balance)
    offsets = {
        head: torch.from_numpy(balance.logit_offset(targets, probabilities)).to(device)
        for head, targets in faces.targets.items()
    }
    draws = WeightedDraws(probabilities, plan.seed, processes.rank, processes.world)
    batches = DataLoader(
        AugmentedFaces(faces, recipe.augmentation, plan.seed),
        plan.batch_size // processes.world,
        sampler=draws,
        num_workers=workers,
        drop_last=True,
    )
    done = checkpoint.restore(folder, network, averaged, optimizer, device)
    metrics = checkpoint.read_metrics(folder, done)
    trained = wrap(network, processes)
    for epoch in range(done, plan.epochs):
        if _no_longer_improving(metrics, plan.patience):
            break
        started = time.perf_counter()
        draws.epoch = epoch
        torch.manual_seed(plan.seed * 1_000_003 + epoch)
        rng = np.random.default_rng((plan.seed, epoch, 1))
        network.train()
        frozen.eval()
        total = torch.zeros((), device=device)
        for step, batch in enumerate(batches):
            set_rates(optimizer, plan, epoch + step / len(batches))
            on_device = {name: tensor.to(device) for name, tensor in batch.items()}
            loss = batch_loss(trained, on_device, offsets, recipe, rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            averaged.update(network)
            total += loss.detach()
            report(Progress(epoch, plan.epochs, step + 1, len(batches), float(total) / (step + 1)))
        train_loss = float(mean_over_processes(total, processes)) / len(batches)
        figures = validation.measure(averaged.network, device) if processes.is_first else {}
        figures = share_from_first(figures, processes)
        metrics.append({"epoch": epoch + 1, "train_loss": train_loss, **figures})
        if processes.is_first:
            if best_epoch(metrics) == epoch + 1:
                checkpoint.save_best(folder, averaged)
            checkpoint.write_metrics(folder, metrics)
            checkpoint.save(folder, epoch + 1, network, averaged, optimizer)
            _log_time(folder, epoch + 1, time.perf_counter() - started)


def best_epoch(metrics: list[dict[str, float]]) -> int:
    """The epoch with the highest score, the first of equals."""
    return int(max(metrics, key=lambda row: row["score"])["epoch"])


def _no_longer_improving(metrics: list[dict[str, float]], patience: int) -> bool:
    return bool(patience and metrics) and len(metrics) - best_epoch(metrics) >= patience


def _log_time(folder: Path, epoch: int, seconds: float) -> None:
    # Apart from the metrics, which are the same however long they took.
    with (folder / TIMINGS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"epoch": epoch, "seconds": round(seconds, 1)}) + "\n")
