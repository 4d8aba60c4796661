"""Epochs, steps, and what is remembered between them."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from mien.training import balance
from mien.training.averaging import AveragedNetwork
from mien.training.faces import AugmentedFaces, Faces, WeightedDraws
from mien.training.networks.heads import ExpressionNetwork
from mien.training.recipe import Recipe

MAIN_HEAD, SECOND_HEAD = "expression", "second"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands; what a progress bar shows."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


def train(
    recipe: Recipe,
    network: ExpressionNetwork,
    faces: Faces,
    evaluate: Callable[[ExpressionNetwork], dict[str, float]],
    folder: Path,
    report: Callable[[Progress], None],
    workers: int = 1,
) -> AveragedNetwork:
    """Train until the recipe's end, from the last checkpoint in ``folder`` where there is one."""
    plan = recipe.optimiser
    network = network.to(memory_format=torch.channels_last)
    averaged = AveragedNetwork(network, plan.average_decay)
    optimiser = build_optimiser(network, recipe)
    probabilities = balance.draw_probabilities(faces.targets[MAIN_HEAD], plan.balance)
    offsets = {
        head: torch.from_numpy(balance.logit_offset(targets, probabilities))
        for head, targets in faces.targets.items()
    }
    draws = WeightedDraws(probabilities, plan.seed)
    batches = DataLoader(
        AugmentedFaces(faces, recipe.augmentation, plan.seed),
        plan.batch_size,
        sampler=draws,
        num_workers=workers,
        drop_last=True,
        prefetch_factor=6 if workers else None,
        persistent_workers=False,
    )
    steps = len(batches)
    first = restore(folder, network, averaged, optimiser)
    for epoch in range(first, plan.epochs):
        started = time.perf_counter()
        draws.epoch = epoch
        network.train()
        torch.manual_seed(plan.seed * 1_000_003 + epoch)
        rng = np.random.default_rng((plan.seed, epoch, 1))
        losses = 0.0
        for step, batch in enumerate(batches):
            set_rates(optimiser, recipe, epoch + step / steps)
            loss = step_loss(network, batch, offsets, recipe, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            averaged.update(network)
            losses += loss.item()
            report(Progress(epoch, plan.epochs, step + 1, steps, losses / (step + 1)))
        row = {"epoch": epoch + 1, "train_loss": losses / steps}
        row |= evaluate(averaged.network)
        row["seconds"] = time.perf_counter() - started
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        save(folder, epoch + 1, network, averaged, optimiser)
    return averaged


def build_optimiser(network: ExpressionNetwork, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; heads have a rate of their own, vectors (norms, biases) no weight decay."""
    plan = recipe.optimiser
    groups = []
    for part, rate in (
        (network.trunk, plan.learning_rate),
        (network.heads, plan.head_learning_rate),
    ):
        for is_matrix in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) == is_matrix]
            decay = plan.weight_decay if is_matrix else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "peak": rate})
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def set_rates(optimiser: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Linear warm-up, then half a cosine to zero."""
    plan = recipe.optimiser
    if epoch < plan.warmup_epochs:
        share = epoch / plan.warmup_epochs
    else:
        done = (epoch - plan.warmup_epochs) / (plan.epochs - plan.warmup_epochs)
        share = 0.5 * (1 + math.cos(math.pi * done))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share


def step_loss(
    network: nn.Module,
    batch: dict[str, Tensor],
    offsets: dict[str, Tensor],
    recipe: Recipe,
    rng: np.random.Generator,
) -> Tensor:
    """Cross-entropy against shares of votes, over pictures that may be mixed in pairs."""
    image = batch["image"].float().sub_(recipe.input.mean).div_(recipe.input.std)
    targets = {head: batch[head] for head in offsets}
    if recipe.optimiser.mixup:
        share = float(rng.beta(recipe.optimiser.mixup, recipe.optimiser.mixup))
        image = torch.lerp(image.flip(0), image, share)
        targets = {h: torch.lerp(t.flip(0), t, share) for h, t in targets.items()}
    logits = network(image.contiguous(memory_format=torch.channels_last))
    weights = {MAIN_HEAD: 1.0, SECOND_HEAD: recipe.network.second_head}
    total = torch.zeros(())
    for head, target in targets.items():
        log_probabilities = functional.log_softmax(logits[head] + offsets[head], dim=1)
        total = total - weights[head] * (target * log_probabilities).sum(dim=1).mean()
    return total


def save(
    folder: Path,
    epoch: int,
    network: nn.Module,
    averaged: AveragedNetwork,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write the checkpoint beside the old one and swap, so that a kill leaves one of them whole."""
    state = {
        "epoch": epoch,
        "network": network.state_dict(),
        "averaged": averaged.network.state_dict(),
        "updates": averaged.updates,
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, folder / "checkpoint.part")
    (folder / "checkpoint.part").replace(folder / "checkpoint.pt")


def restore(
    folder: Path,
    network: nn.Module,
    averaged: AveragedNetwork,
    optimiser: torch.optim.Optimizer,
) -> int:
    """Load the checkpoint and cut the metrics back to it; the epochs that are done."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    averaged.network.load_state_dict(state["averaged"])
    averaged.updates = state["updates"]
    optimiser.load_state_dict(state["optimiser"])
    metrics = folder / "metrics.jsonl"
    rows = metrics.read_text(encoding="utf-8").splitlines()[: state["epoch"]]
    metrics.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return int(state["epoch"])
