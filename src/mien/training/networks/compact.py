"""A compact network for training from random initialization: 0.9 million parameters.

Inverted residuals with squeeze and excitation, after MobileNet-v2 and v3 (Sandler et al. 2018,
Howard et al. 2019), but with a stem that keeps more pixels, since the faces have few.
"""

import torch
from torch import Tensor, nn

# Output channels, stride and expansion of each block.
_BLOCKS: tuple[tuple[int, int, int], ...] = (
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


class CompactTrunk(nn.Module):
    """``(N, channels, H, W)`` normalized pixels to ``(N, 384)`` features."""

    features = _LAST

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(channels, _STEM, 3, 2), nn.ReLU()]
        width = _STEM
        for outputs, stride, expansion in _BLOCKS:
            layers.append(_InvertedResidual(width, outputs, stride, expansion))
            width = outputs
        layers += [_convolution(width, _LAST, 1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(self.layers(x), dim=(2, 3))
