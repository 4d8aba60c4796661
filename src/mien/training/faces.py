"""Faces as training reads them: pictures, alignment, targets; and the stream of batches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from mien import imaging
from mien.training.augmentation import Augmentation, augment
from mien.types import FloatArray, Image

MAIN_HEAD, SECOND_HEAD = "expression", "second"
"""Names of the heads: the recipe's labels, and the data set's second label set."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Row ``i`` is the same face throughout.

    Attributes:
        images: ``(N, H, W)`` gray uint8.
        transforms: ``(N, 2, 3)`` float64 alignment from image to network input.
        size_wh: of the network input.
        targets: by head, ``(N, labels)`` float32; a row of zeros takes no part in that head.
    """

    images: Image
    transforms: npt.NDArray[np.float64]
    size_wh: tuple[int, int]
    targets: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Faces":
        targets = {head: target[rows] for head, target in self.targets.items()}
        return Faces(self.images[rows], self.transforms[rows], self.size_wh, targets)

    def aligned(self, row: int) -> Image:
        return imaging.warp(self.images[row], self.transforms[row], self.size_wh)


@dataclass(frozen=True, slots=True)
class Draw:
    """One face to be shown: in which epoch, at which place of it, and which row."""

    epoch: int
    place: int
    row: int


class WeightedDraws(Sampler[Draw]):
    """Draws rows with given probabilities, the same for the same seed and epoch, whatever else.

    Of several processes each takes every ``world``-th draw, so that together they see what one
    process would.
    """

    def __init__(
        self, probabilities: npt.NDArray[np.float64], seed: int, rank: int = 0, world: int = 1
    ) -> None:
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
