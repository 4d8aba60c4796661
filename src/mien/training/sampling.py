"""Sampling of faces with balanced expressions, and its correction in the loss."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from mien.geometry import Array
from mien.training.augmentation import Augmentation, augment
from mien.training.dataset import Faces
from mien.types import FloatArray


def draw_probabilities(targets: FloatArray, balance: float) -> Array:
    """Show rare expressions more often.

    Args:
        targets: ``(N, K)`` label shares.
        balance: 0 shows every face equally often, 1 every expression.

    Returns:
        ``(N,)`` summing to 1.
    """
    prior = targets.mean(axis=0, dtype=np.float64)
    weights = targets @ np.power(np.maximum(prior / prior.sum(), 1e-6), -balance)
    weights = np.maximum(weights, weights[weights > 0].min())
    return np.asarray(weights / weights.sum(), np.float64)


def logit_offset(targets: FloatArray, probabilities: Array) -> FloatArray:
    """What to add to the logits in the loss so that the network learns the undistorted prior.

    Method: the prior correction of Saerens et al. (2002), used during training as in the logit
    adjustment of Menon et al. (2021): a network whose logits plus the logarithm of (prior as shown
    over prior as it is) fit the faces as shown has, without that offset, the prior as it is.

    Args:
        targets: ``(N, K)`` label shares.
        probabilities: ``(N,)`` with which each row is shown.

    Returns:
        ``(K,)`` float32.
    """
    natural = targets.mean(axis=0, dtype=np.float64)
    shown = probabilities @ targets
    offset = np.log(np.maximum(shown / shown.sum(), 1e-9)) - np.log(
        np.maximum(natural / natural.sum(), 1e-9)
    )
    return np.asarray(offset, np.float32)


@dataclass(frozen=True, slots=True)
class Draw:
    """One face to be shown: in which epoch, at which place of it, and which row."""

    epoch: int
    place: int
    row: int


class WeightedDraws(Sampler[Draw]):
    """Draws rows with given probabilities, the same for the same seed and epoch.

    Of several processes each takes every ``world``-th draw, so that together they see what one
    process would.
    """

    def __init__(self, probabilities: Array, seed: int, rank: int = 0, world: int = 1) -> None:
        self.probabilities = probabilities
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.probabilities) // self.world

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self.seed, self.epoch))
        count = len(self.probabilities)
        # Systematic sampling: every row comes as often as its share says, up to one.
        edges = np.cumsum(self.probabilities)
        rows = np.searchsorted(edges / edges[-1], (np.arange(count) + rng.random()) / count)
        rows = rng.permutation(np.minimum(rows, count - 1))
        for place in range(self.rank, len(self) * self.world, self.world):
            yield Draw(self.epoch, place, int(rows[place]))


class AugmentedFaces(Dataset[dict[str, torch.Tensor]]):
    """A changed crop per draw, by a generator of the draw's own."""

    def __init__(self, faces: Faces, amount: Augmentation, seed: int) -> None:
        self.faces, self.amount, self.seed = faces, amount, seed

    def __getitem__(self, draw: Draw) -> dict[str, torch.Tensor]:
        faces, row = self.faces, draw.row
        rng = np.random.default_rng((self.seed, draw.epoch, draw.place))
        crop = augment(faces.images[row], faces.transforms[row], faces.size_wh, self.amount, rng)
        item = {head: torch.from_numpy(target[row]) for head, target in faces.targets.items()}
        return {"image": torch.from_numpy(crop)[None], **item}
