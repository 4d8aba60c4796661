"""Exponential moving average of a network's weights (Polyak averaging; Tarvainen 2017)."""

import copy

import torch
from torch import nn


class AveragedNetwork:
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
