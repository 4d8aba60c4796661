"""The faces of a batch, and several processes that train on them as one (torchrun sets them up)."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, Sampler

from mien.geometry import Array
from mien.training.augmentation import Augmentation, augment
from mien.training.dataset import Faces
from mien.training.recipe import Recipe
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
class _Draw:
    """One face to be shown: in which epoch, at which place of it, and which row."""

    epoch: int
    place: int
    row: int


class _WeightedDraws(Sampler[_Draw]):
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

    def __iter__(self) -> Iterator[_Draw]:
        rng = np.random.default_rng((self.seed, self.epoch))
        count = len(self.probabilities)
        # Systematic sampling: every row comes as often as its share says, up to one.
        edges = np.cumsum(self.probabilities)
        rows = np.searchsorted(edges / edges[-1], (np.arange(count) + rng.random()) / count)
        rows = rng.permutation(np.minimum(rows, count - 1))
        for place in range(self.rank, len(self) * self.world, self.world):
            yield _Draw(self.epoch, place, int(rows[place]))


class _AugmentedFaces(Dataset[dict[str, torch.Tensor]]):
    """A changed crop per draw, by a generator of the draw's own."""

    def __init__(self, faces: Faces, amount: Augmentation, seed: int) -> None:
        self.faces, self.amount, self.seed = faces, amount, seed

    def __getitem__(self, draw: _Draw) -> dict[str, torch.Tensor]:
        faces, row = self.faces, draw.row
        rng = np.random.default_rng((self.seed, draw.epoch, draw.place))
        crop = augment(faces.images[row], faces.transforms[row], faces.size_wh, self.amount, rng)
        item = {head: torch.from_numpy(target[row]) for head, target in faces.targets.items()}
        return {"image": torch.from_numpy(crop)[None], **item}


_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Processes:
    """Which of how many processes this is, and the device that it trains on."""

    rank: int = 0
    world: int = 1
    device: torch.device = _CPU

    @property
    def is_first(self) -> bool:
        """Only the first writes files."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network to call in training: gradients are averaged over the processes.

        Its batch norms must be shared; see :meth:`share_batch_norm`.
        """
        if self.world == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)

    def share_batch_norm(self, network: nn.Module) -> None:
        """Turn every batch norm into one that sees the batches of all processes. Names stay."""
        for name, child in network.named_children() if self.world > 1 else ():
            if type(child) is nn.BatchNorm2d:
                shared = _SharedBatchNorm2d(child.num_features, child.eps)
                shared.load_state_dict(child.state_dict())
                setattr(network, name, shared)
            else:
                self.share_batch_norm(child)

    def mean(self, value: Tensor) -> Tensor:
        """A number averaged over the processes."""
        if self.world == 1:
            return value
        value = value.detach().clone()
        dist.all_reduce(value)
        return value / self.world

    def share(self, value: dict[str, float]) -> dict[str, float]:
        """What the first process has, in every process."""
        if self.world == 1:
            return value
        shared = [value]
        dist.broadcast_object_list(shared, device=self.device)
        return shared[0]


@contextlib.contextmanager
def joined_processes() -> Iterator[Processes]:
    """Join the group that torchrun announces in the environment; alone without one.

    NCCL where there are GPUs, one for each process; gloo otherwise.
    """
    cuda = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(device=torch.device("cuda" if cuda else "cpu"))
        return
    device = torch.device("cpu")
    if cuda:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


class _SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes together, on CPUs as well.

    torch's SyncBatchNorm does the same but works on GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count = x.numel() / x.shape[1] * dist.get_world_size()
        axes, shaped = (0, 2, 3), (1, -1, 1, 1)
        mean = differentiable.all_reduce(x.sum(axes)) / count
        centered = x - mean.reshape(shaped)
        variance = differentiable.all_reduce((centered * centered).sum(axes)) / count
        with torch.no_grad():
            share = self.momentum or 0.1
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * (count / (count - 1)), share)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias.reshape(shaped), centered, scale.reshape(shaped))


def load_batches(
    faces: Faces, probabilities: Array, recipe: Recipe, processes: Processes, workers: int
) -> DataLoader[dict[str, Tensor]]:
    """This process's part of each batch of changed faces; its ``sampler`` has the ``epoch``.

    Args:
        faces: to train on.
        probabilities: ``(N,)`` with which each row is shown.
        workers: processes that prepare the faces.
    """
    seed, rank, world = recipe.optimizer.seed, processes.rank, processes.world
    return DataLoader(
        _AugmentedFaces(faces, recipe.augmentation, seed),
        # Fewer faces than a batch are one batch.
        max(1, min(recipe.optimizer.batch_size, len(probabilities)) // world),
        sampler=_WeightedDraws(probabilities, seed, rank, world),
        num_workers=workers,
        drop_last=True,
    )
