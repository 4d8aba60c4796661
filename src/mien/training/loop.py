"""The training loop: epochs, loss, optimizer, measurement, and what is kept between epochs."""

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import DataError
from mien.evaluation.calibration import fit_temperature
from mien.evaluation.dataset import UNLABELED, IntArray
from mien.evaluation.figures import figures
from mien.expression.priors import softmax
from mien.training import Report, no_report
from mien.training.batches import Processes, draw_probabilities, load_batches, logit_offset
from mien.training.dataset import MAIN_HEAD, SECOND_HEAD, Faces, TrainingData
from mien.training.networks import ExpressionNetwork
from mien.training.recipe import OptimizerRecipe, Recipe
from mien.types import FloatArray

_CHECKPOINT = "checkpoint.pt"
_BEST = "best.pt"
_METRICS = "metrics.jsonl"
_TIMINGS = "timings.jsonl"
_MAX_GRADIENT = 5.0
_VALID_BATCH = 256


def train(
    recipe: Recipe,
    network: ExpressionNetwork,
    faces: Faces,
    data: TrainingData,
    *,
    folder: Path,
    processes: Processes,
    report: Report = no_report,
    workers: int = 1,
) -> None:
    """Train to the recipe's last epoch, from the last checkpoint in ``folder`` where there is one.

    Writes ``metrics.jsonl`` with one row for each epoch, the checkpoint of the last epoch, and the
    averaged weights of the best.
    """
    plan, device = recipe.optimizer, processes.device
    validation = _Validation.of(data, recipe)
    network = network.to(device, memory_format=torch.channels_last)
    processes.share_batch_norm(network)
    frozen = network.trunk.layers[: recipe.network.frozen_layers].requires_grad_(False)
    averaged = _AveragedNetwork(network, plan.average_decay)
    optimizer = _build_optimizer(network, plan)
    probabilities = draw_probabilities(faces.targets[MAIN_HEAD], plan.balance)
    offsets = {
        head: torch.from_numpy(logit_offset(targets, probabilities)).to(device)
        for head, targets in faces.targets.items()
    }
    batches = load_batches(faces, probabilities, recipe, processes, workers)
    done = _restore(folder, network, averaged, optimizer, device)
    metrics = read_metrics(folder, done)
    trained = processes.wrap(network)
    for epoch in range(done, plan.epochs):
        if _has_stopped_improving(metrics, plan.patience):
            break
        started = time.perf_counter()
        batches.sampler.epoch = epoch
        torch.manual_seed(plan.seed * 1_000_003 + epoch)
        rng = np.random.default_rng((plan.seed, epoch, 1))
        network.train()
        frozen.eval()
        total = torch.zeros((), device=device)
        for step, batch in enumerate(batches):
            _set_rates(optimizer, plan, epoch + step / len(batches))
            on_device = {name: tensor.to(device) for name, tensor in batch.items()}
            loss = _batch_loss(trained, on_device, offsets, recipe, rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT)
            optimizer.step()
            averaged.update(network)
            total += loss.detach()
            note = f"epoch {epoch + 1}/{plan.epochs}, loss {float(total) / (step + 1):.3f}"
            report("training", epoch * len(batches) + step + 1, plan.epochs * len(batches), note)
        train_loss = float(processes.mean(total)) / len(batches)
        measured = validation.measure(averaged.network, device) if processes.is_first else {}
        measured = processes.share(measured)
        metrics.append({"epoch": epoch + 1, "train_loss": train_loss, **measured})
        if processes.is_first:
            if _best_epoch(metrics) == epoch + 1:
                _save_best(folder, averaged)
            _write_metrics(folder, metrics)
            _save(folder, epoch + 1, network, averaged, optimizer)
            _log_time(folder, epoch + 1, time.perf_counter() - started)


def _best_epoch(metrics: list[dict[str, float]]) -> int:
    """The epoch with the highest score, the first of equals."""
    return int(max(metrics, key=lambda row: row["score"])["epoch"])


def _has_stopped_improving(metrics: list[dict[str, float]], patience: int) -> bool:
    return bool(patience and metrics) and len(metrics) - _best_epoch(metrics) >= patience


def _log_time(folder: Path, epoch: int, seconds: float) -> None:
    # Not in the metrics, which are the same for the same seed.
    with (folder / _TIMINGS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"epoch": epoch, "seconds": round(seconds, 1)}) + "\n")


def _batch_loss(
    network: nn.Module,
    batch: dict[str, Tensor],
    offsets: dict[str, Tensor],
    recipe: Recipe,
    rng: np.random.Generator,
) -> Tensor:
    """Cross-entropy against shares of votes, over pictures that may be mixed in pairs.

    The batch has ``image (B, 1, H, W)`` uint8 and, by head, ``(B, labels)`` shares.
    """
    image = (
        batch["image"].to(torch.get_default_dtype()).sub_(recipe.input.mean).div_(recipe.input.std)
    )
    targets = {head: batch[head] for head in offsets}
    if recipe.optimizer.mixup:
        # mixup (Zhang et al. 2018). The partner is half a batch away, so that several processes,
        # which each have every n-th face of the batch, form the pairs that one process would.
        share = float(rng.beta(recipe.optimizer.mixup, recipe.optimizer.mixup))
        half = len(image) // 2
        image = torch.lerp(image.roll(half, 0), image, share)
        targets = {head: torch.lerp(t.roll(half, 0), t, share) for head, t in targets.items()}
    logits = network(image.contiguous(memory_format=torch.channels_last))
    weights = {MAIN_HEAD: 1.0, SECOND_HEAD: recipe.network.second_head}
    total = image.new_zeros(())
    for head, target in targets.items():
        log_probabilities = functional.log_softmax(logits[head] + offsets[head], dim=1)
        total = total - weights[head] * (target * log_probabilities).sum(dim=1).mean()
    return total


def _build_optimizer(network: ExpressionNetwork, plan: OptimizerRecipe) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019). Heads have a learning rate of their own; vectors, which
    are biases and norms, are not decayed.
    """
    groups = []
    parts = ((network.trunk, plan.learning_rate), (network.heads, plan.head_learning_rate))
    for part, rate in parts:
        for is_matrix in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) == is_matrix]
            decay = plan.weight_decay if is_matrix else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "peak": rate})
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def _set_rates(optimizer: torch.optim.Optimizer, plan: OptimizerRecipe, epoch: float) -> None:
    """Linear warm-up, then half a cosine to zero (Loshchilov and Hutter 2017)."""
    if epoch < plan.warmup_epochs:
        share = epoch / plan.warmup_epochs
    else:
        done = (epoch - plan.warmup_epochs) / (plan.epochs - plan.warmup_epochs)
        share = 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


@dataclass(frozen=True, slots=True, eq=False)
class _Validation:
    """The valid split, aligned once.

    Attributes:
        crops: ``(N, 1, size, size)`` uint8.
        truth: by head, ``(N,)`` label index, -1 where the row is not measured.
        mean, std: of the network's input.
        prior: ``(K,)`` training shares of the main head's labels.
    """

    crops: Tensor
    truth: dict[str, IntArray]
    mean: float
    std: float
    prior: FloatArray

    @classmethod
    def of(cls, data: TrainingData, recipe: Recipe) -> "_Validation":
        """Align the valid faces."""
        crops = np.stack([data.valid.aligned(row) for row in range(len(data.valid))])[:, None]
        mean, std = recipe.input.mean, recipe.input.std
        return cls(torch.from_numpy(crops), data.valid.truth, mean, std, data.training_prior)

    @torch.no_grad()
    def logits(self, network: ExpressionNetwork, device: torch.device) -> dict[str, FloatArray]:
        """By head, ``(N, labels)``."""
        parts = [
            network(batch.to(device, torch.get_default_dtype()).sub_(self.mean).div_(self.std))
            for batch in self.crops.split(_VALID_BATCH)
        ]
        return {head: torch.cat([part[head] for part in parts]).cpu().numpy() for head in parts[0]}

    def measure(self, network: ExpressionNetwork, device: torch.device) -> dict[str, float]:
        """Figures for ``metrics.jsonl``; ``score`` is the one that chooses between epochs.

        The score is the mean of the accuracy under the natural prior and the balanced accuracy
        under the uniform one, so that neither frequent nor rare expressions are neglected.
        """
        by_head = self.logits(network, device)
        counted = self.truth[MAIN_HEAD] != UNLABELED
        logits, truth = by_head[MAIN_HEAD][counted], self.truth[MAIN_HEAD][counted]
        probabilities = softmax(logits.astype(np.float64) / fit_temperature(logits, truth))
        natural, uniform = figures(probabilities, truth), figures(probabilities, truth, self.prior)
        measured = {
            "accuracy": natural.accuracy,
            "balanced_accuracy_uniform": uniform.balanced_accuracy,
            "macro_f1": natural.macro_f1,
            "nll": natural.nll,
            "score": (natural.accuracy + uniform.balanced_accuracy) / 2,
        }
        if SECOND_HEAD in by_head:
            known = self.truth[SECOND_HEAD] != UNLABELED
            second = softmax(by_head[SECOND_HEAD][known].astype(np.float64))
            measured["second_accuracy"] = figures(second, self.truth[SECOND_HEAD][known]).accuracy
        return measured


def _save(
    folder: Path,
    epoch: int,
    network: nn.Module,
    averaged: "_AveragedNetwork",
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
    _write_whole(state, folder / _CHECKPOINT)


def _restore(
    folder: Path,
    network: nn.Module,
    averaged: "_AveragedNetwork",
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    """Load the checkpoint where there is one; how many epochs are done."""
    path = folder / _CHECKPOINT
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


def _save_best(folder: Path, averaged: "_AveragedNetwork") -> None:
    """Keep the averaged weights of the best epoch so far."""
    _write_whole(averaged.network.state_dict(), folder / _BEST)


def load_best(folder: Path, network: nn.Module) -> None:
    """Load what :func:`_save_best` kept.

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
    path = folder / _METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:epochs]]


def _write_metrics(folder: Path, rows: list[dict[str, float]]) -> None:
    """Rewrite all rows atomically."""
    part = folder / f"{_METRICS}.part"
    part.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    part.replace(folder / _METRICS)


def _write_whole(state: dict[str, Any], path: Path) -> None:
    # Beside the old one and then swapped: a kill leaves one of the two whole.
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


class _AveragedNetwork:
    """A second copy of a network that follows the first slowly; it is the one that is exported.

    The early averages would remember the initial weights, so the decay starts low and rises.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        own, new = self.network.state_dict(), network.state_dict()
        floats = [name for name, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[n] for n in floats], [new[n] for n in floats], 1 - decay)
        for name in own.keys() - set(floats):
            own[name].copy_(new[name])
