"""MobileNet-v1 (Howard et al. 2017) as the transferred trunk has it, with batch norm in place."""

import torch
from torch import Tensor, nn
from torch.nn import functional

# Output channels and stride of the thirteen separable blocks.
BLOCKS: tuple[tuple[int, int], ...] = (
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
STEM_CHANNELS = 32


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


class MobileNetTrunk(nn.Module):
    """``(N, channels, H, W)`` normalised pixels to ``(N, 1024)`` features."""

    features = 1024

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        layers = [_Layer(channels, STEM_CHANNELS, 3, 2, 1)]
        width = STEM_CHANNELS
        for outputs, stride in BLOCKS:
            layers.append(_Layer(width, width, 3, stride, width))
            layers.append(_Layer(width, outputs, 1, 1, 1))
            width = outputs
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(self.layers(x), dim=(2, 3))
