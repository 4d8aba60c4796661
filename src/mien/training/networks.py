"""The networks that a recipe can name: trunks from pixels to features, and linear heads."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import SettingError


class ExpressionNetwork(nn.Module):
    """A trunk and one linear head per label set, by name.

    ``(N, channels, H, W)`` normalized pixels to ``{head name: (N, labels of that head)}`` logits.
    """

    def __init__(self, trunk: nn.Module, features: int, heads: Mapping[str, int], dropout: float):
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(features, n) for name, n in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.dropout(self.trunk(x))
        return {name: head(features) for name, head in self.heads.items()}


# Output channels and stride of the thirteen separable blocks.
_MOBILENET_BLOCKS: tuple[tuple[int, int], ...] = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
_MOBILENET_WIDTHS = (32, *(outputs for outputs, _ in _MOBILENET_BLOCKS))


class _Layer(nn.Module):
    """Convolution, batch norm and ReLU6, padded below and right as TensorFlow's SAME does."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.below_right = kernel == 3 and stride == 2
        padding = 1 if kernel == 3 and stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        if self.below_right:
            x = functional.pad(x, (0, 1, 0, 1))
        return functional.relu6(self.norm(self.conv(x)))


# Layers up to the last map before the final halving: 512 channels, a sixteenth of the input.
_MIDDLE = 23
_MIDDLE_CHANNELS, _LAST_CHANNELS = 512, 1024


class MobileNetTrunk(nn.Module):
    """``(N, channels, size, size)`` normalized pixels to ``(N, features)`` features.

    Args:
        channels: of the input.
        pooling_size: side of the input, whose last two maps are then pooled with learned weights
            for each channel and place. Aligned faces have their mouth in the same place, and the
            mean forgets places. 0 for the mean over the last map, as published.
        widths: output channels of the first layer and of the thirteen blocks; as published by
            default.
    """

    def __init__(
        self, channels: int = 1, pooling_size: int = 0, widths: Sequence[int] = _MOBILENET_WIDTHS
    ) -> None:
        super().__init__()
        width, *rest = widths
        layers = [_Layer(channels, width, 3, 2, 1)]
        for outputs, (_, stride) in zip(rest, _MOBILENET_BLOCKS, strict=True):
            layers.append(_Layer(width, width, 3, stride, width))
            layers.append(_Layer(width, outputs, 1, 1, 1))
            width = outputs
        self.layers = nn.Sequential(*layers)
        self.features = width
        if pooling_size:
            self.features += _MIDDLE_CHANNELS
            middle = _pool(_MIDDLE_CHANNELS, -(-pooling_size // 16))
            self.pools = nn.ModuleList([middle, _pool(_LAST_CHANNELS, -(-pooling_size // 32))])

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "pools"):
            return torch.mean(self.layers(x), dim=(2, 3))
        middle = self.layers[:_MIDDLE](x)
        last = self.layers[_MIDDLE:](middle)
        maps = zip(self.pools, (middle, last), strict=True)
        return torch.cat([pool(places).flatten(1) for pool, places in maps], dim=1)


def _pool(channels: int, side: int) -> nn.Conv2d:
    """One weight for each channel and place, after MobileFaceNet (Chen et al. 2018); at first it
    is the mean.
    """
    pool = nn.Conv2d(channels, channels, side, groups=channels, bias=False)
    nn.init.constant_(pool.weight, 1 / side**2)
    return pool


# Output channels, stride and expansion of each block.
_COMPACT_BLOCKS: tuple[tuple[int, int, int], ...] = (
    (32, 1, 2),
    (48, 2, 3),
    (48, 1, 3),
    (80, 2, 3),
    (80, 1, 3),
    (80, 1, 3),
    (128, 2, 4),
    (128, 1, 3),
    (128, 1, 3),
)
_STEM = 32
_LAST = 384


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 8)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * self.gate(x.mean(dim=(2, 3), keepdim=True))
        return gated


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            _convolution(inputs, wide, 1),
            nn.ReLU(),
            _convolution(wide, wide, 3, stride, wide),
            nn.ReLU(),
            _SqueezeExcite(wide),
            _convolution(wide, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.skip else out


class _CompactTrunk(nn.Module):
    """``(N, channels, H, W)`` normalized pixels to ``(N, 384)`` features."""

    features = _LAST

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(channels, _STEM, 3, 2), nn.ReLU()]
        width = _STEM
        for outputs, stride, expansion in _COMPACT_BLOCKS:
            layers.append(_InvertedResidual(width, outputs, stride, expansion))
            width = outputs
        layers += [_convolution(width, _LAST, 1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(self.layers(x), dim=(2, 3))


_TRUNKS: dict[str, type[MobileNetTrunk] | type[_CompactTrunk]] = {
    "mobilenet": MobileNetTrunk,
    "compact": _CompactTrunk,
}


def build_network(
    architecture: str,
    channels: int,
    heads: Mapping[str, int],
    dropout: float,
    *,
    pooling_size: int = 0,
    widths: Sequence[int] = (),
) -> ExpressionNetwork:
    """A network with random weights.

    Args:
        pooling_size: side of the input where pooling is to be learned, see
            :class:`MobileNetTrunk`; 0 for the mean.
        widths: of a mobilenet, see there; none for those published.

    Raises:
        SettingError: no such architecture, or it has no learned pooling or widths.
    """
    if architecture not in _TRUNKS:
        names = ", ".join(_TRUNKS)
        raise SettingError(f"expected an architecture of {names}, got {architecture!r}")
    if not pooling_size and not widths:
        trunk = _TRUNKS[architecture](channels)
    elif architecture != "mobilenet":
        given = "learned_pooling is" if pooling_size else "widths are"
        raise SettingError(f"{given} there for mobilenet only, not for {architecture}")
    elif widths and (len(widths) != len(_MOBILENET_WIDTHS) or pooling_size):
        raise SettingError(
            f"expected {len(_MOBILENET_WIDTHS)} widths without learned_pooling, got {len(widths)}"
            f"{' with it' if pooling_size else ''}: give one for each layer"
        )
    else:
        trunk = MobileNetTrunk(channels, pooling_size, widths or _MOBILENET_WIDTHS)
    return ExpressionNetwork(trunk, trunk.features, heads, dropout)


def folded_pairs(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The names of every convolution and of the batch norm that follows it in its parent."""
    previous: tuple[str, nn.Module] | None = None
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if previous and isinstance(child, nn.BatchNorm2d) and isinstance(previous[1], nn.Conv2d):
            yield previous[0], path
        else:
            yield from folded_pairs(child, f"{path}.")
        previous = (path, child)
