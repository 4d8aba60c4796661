"""The loss of a batch."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.training.faces import MAIN_HEAD, SECOND_HEAD
from mien.training.recipe import Recipe


def batch_loss(
    network: nn.Module,
    batch: dict[str, Tensor],
    offsets: dict[str, Tensor],
    recipe: Recipe,
    rng: np.random.Generator,
) -> Tensor:
    """Cross-entropy against shares of votes, over pictures that may be mixed in pairs.

    Args:
        batch: ``image (B, 1, H, W)`` uint8 and, by head, ``(B, labels)`` shares.
        offsets: by head, what :func:`mien.training.balance.logit_offset` gives.
        rng: draws how far pairs are mixed.
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
