"""Several processes that train one network as one process would (torchrun sets them up)."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

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


ALONE = Processes()


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


def wrap(network: nn.Module, processes: Processes) -> nn.Module:
    """The network to call in training: gradients are averaged over the processes.

    Its batch norms must be shared; see :func:`share_batch_norm`.
    """
    if processes.world == 1:
        return network
    devices = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)


def share_batch_norm(network: nn.Module) -> None:
    """Turn every batch norm into one that sees the batches of all processes. Names stay."""
    for name, child in network.named_children():
        if type(child) is nn.BatchNorm2d:
            shared = _SharedBatchNorm2d(child.num_features, child.eps)
            shared.load_state_dict(child.state_dict())
            setattr(network, name, shared)
        else:
            share_batch_norm(child)


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


def mean_over_processes(value: Tensor, processes: Processes) -> Tensor:
    """Average a number over the processes."""
    if processes.world == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / processes.world


def share_from_first(value: dict[str, float], processes: Processes) -> dict[str, float]:
    """What the first process has, in every process."""
    if processes.world == 1:
        return value
    shared = [value]
    dist.broadcast_object_list(shared, device=processes.device)
    return shared[0]
