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


# Layers up to the last map before the final halving: 512 channels, a sixteenth of the input.
_MIDDLE = 23
_MIDDLE_CHANNELS, _LAST_CHANNELS = 512, 1024


class MobileNetTrunk(nn.Module):
    """``(N, channels, size, size)`` normalized pixels to ``(N, features)`` features.

    Args:
        channels: of the input.
        pooling_size: side of the input, whose last two maps are then pooled with learned weights
            for each channel and place. Aligned faces have their mouth in the same place, and the
            mean forgets places. 0 takes the mean over the last map, as published.
    """

    def __init__(self, channels: int = 1, pooling_size: int = 0) -> None:
        super().__init__()
        layers = [_Layer(channels, STEM_CHANNELS, 3, 2, 1)]
        width = STEM_CHANNELS
        for outputs, stride in BLOCKS:
            layers.append(_Layer(width, width, 3, stride, width))
            layers.append(_Layer(width, outputs, 1, 1, 1))
            width = outputs
        self.layers = nn.Sequential(*layers)
        self.features = _LAST_CHANNELS
        if pooling_size:
            self.features += _MIDDLE_CHANNELS
            self.pools = nn.ModuleList(
                [
                    _pool(_MIDDLE_CHANNELS, -(-pooling_size // 16)),
                    _pool(_LAST_CHANNELS, -(-pooling_size // 32)),
                ]
            )

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
