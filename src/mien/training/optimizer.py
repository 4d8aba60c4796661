"""AdamW, and how its rate rises and falls."""

import math

import torch

from mien.training.networks.heads import ExpressionNetwork
from mien.training.recipe import OptimizerRecipe


def build_optimizer(network: ExpressionNetwork, plan: OptimizerRecipe) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019). Heads learn at a rate of their own; vectors, which are
    biases and norms, are not decayed.
    """
    groups = []
    parts = ((network.trunk, plan.learning_rate), (network.heads, plan.head_learning_rate))
    for part, rate in parts:
        for is_matrix in (True, False):
            chosen = [p for p in part.parameters() if (p.ndim > 1) == is_matrix]
            decay = plan.weight_decay if is_matrix else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "peak": rate})
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def set_rates(optimizer: torch.optim.Optimizer, plan: OptimizerRecipe, epoch: float) -> None:
    """Linear warm-up, then half a cosine to zero (Loshchilov and Hutter 2017).

    Args:
        epoch: how many epochs are done, with fraction.
    """
    if epoch < plan.warmup_epochs:
        share = epoch / plan.warmup_epochs
    else:
        done = (epoch - plan.warmup_epochs) / (plan.epochs - plan.warmup_epochs)
        share = 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
