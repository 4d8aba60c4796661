"""Keep the most useful channels of a trained MobileNet. Used by `make_quick.py`.

The network goes from input to output. In each layer those channels are kept that predict the others
best (greedy choice, on what the next layer computes from them), and the layer's weights are fitted
by least squares so that the kept channels, computed from the narrower layer before, are what they
were. Nothing is trained.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.training.dataset import MAIN_HEAD
from mien.training.networks import ExpressionNetwork

_PLACES, _MAX_FIT = 40_000, 60_000
_RIDGE, _HEAD_RIDGE = 1e-4, 1e-3


@torch.no_grad()
def prune(wide: ExpressionNetwork, narrow: ExpressionNetwork, pixels: Tensor) -> None:
    """Fill a MobileNet with the channels of a wider one that explain the others best.

    Args:
        pixels: ``(N, 1, H, W)`` normalized faces.
    """
    layers, targets = list(wide.trunk.layers), list(narrow.trunk.layers)
    rng = torch.Generator().manual_seed(0)
    before, after = pixels, pixels
    kept = torch.zeros(1, dtype=torch.long)
    for place, (layer, target) in enumerate(zip(layers, targets, strict=True)):
        linear = layer.norm(layer.conv(_padded(layer, before)))
        weight, bias = _folded(layer)
        before = functional.relu6(linear)
        if place and layer.conv.kernel_size[0] == 3:
            weight, bias = weight[kept], bias[kept]
        else:
            used = _next_use(layers[place + 1 :], wide.heads[MAIN_HEAD], before)
            kept = _choose(*used, target.conv.out_channels, rng)
            if place:
                weight, bias = _fit(after, linear[:, kept], rng)
            else:
                weight, bias = weight[kept], bias[kept]
        after = _fill(target, weight, bias, after)
    features, wanted = after.mean((2, 3)), wide.heads[MAIN_HEAD](before.mean((2, 3)))
    weight, bias = _least_squares(features, wanted, _HEAD_RIDGE)
    narrow.heads[MAIN_HEAD].weight.copy_(weight)
    narrow.heads[MAIN_HEAD].bias.copy_(bias)


def _padded(layer: nn.Module, x: Tensor) -> Tensor:
    return functional.pad(x, (0, 1, 0, 1)) if layer.below_right else x


def _folded(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weights and bias of a convolution with its batch norm merged in."""
    norm = layer.norm
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return layer.conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


def _next_use(rest: Sequence[nn.Module], head: nn.Linear, maps: Tensor) -> tuple[Tensor, Tensor]:
    """``(places, channels)`` what the next mixing of channels sees, ``(channels,)`` its weights."""
    if len(rest) < 2:
        return maps.mean((2, 3)), head.weight.norm(dim=0)
    spread = rest[0](maps).permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return spread, _folded(rest[1])[0][:, :, 0, 0].norm(dim=0)


def _choose(values: Tensor, importance: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """The channels from which the others, weighted, are predicted best; one after the other."""
    if len(values) > _PLACES:
        values = values[torch.randint(len(values), (_PLACES,), generator=rng)]
    values = values - values.mean(0)
    rest = ((values.T @ values) / len(values) * importance[:, None] * importance).double()
    rest += 1e-6 * rest.diagonal().mean() * torch.eye(len(rest))
    chosen: list[int] = []
    for _ in range(count):
        gain = rest.square().sum(0) / rest.diagonal().clamp_min(1e-12)
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        explained = rest[:, best] / rest[best, best].clamp_min(1e-12).sqrt()
        rest = rest - torch.outer(explained, explained)
    return torch.tensor(sorted(chosen))


def _fit(inputs: Tensor, wanted: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A 1 x 1 convolution from one map to another."""
    x, y = (maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]) for maps in (inputs, wanted))
    if len(x) > _MAX_FIT:
        rows = torch.randint(len(x), (_MAX_FIT,), generator=rng)
        x, y = x[rows], y[rows]
    weight, bias = _least_squares(x, y, _RIDGE)
    return weight[:, :, None, None], bias


def _least_squares(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """``(outputs, inputs)`` weights and ``(outputs,)`` biases."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    centered = (x - mean_x).double()
    square = centered.T @ centered
    square += ridge * square.diagonal().mean() * torch.eye(len(square))
    weight = torch.linalg.solve(square, centered.T @ (y - mean_y).double()).float().T
    return weight, mean_y - weight @ mean_x


def _fill(layer: nn.Module, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """Set a layer's weights, its batch norm with the statistics on ``x``; what it computes."""
    layer.conv.weight.copy_(weight)
    y = layer.conv(_padded(layer, x))
    mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3))
    norm = layer.norm
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(bias + mean)
    return functional.relu6(norm(y))
