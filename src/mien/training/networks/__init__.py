"""The networks that a recipe can name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from mien.errors import DataError, SettingError
from mien.training.networks.compact import CompactTrunk
from mien.training.networks.heads import ExpressionNetwork
from mien.training.networks.mobilenet import MobileNetTrunk

TRUNKS: dict[str, type[MobileNetTrunk] | type[CompactTrunk]] = {
    "mobilenet": MobileNetTrunk,
    "compact": CompactTrunk,
}


def build_network(
    architecture: str,
    channels: int,
    heads: Mapping[str, int],
    dropout: float,
    pooling_size: int = 0,
) -> ExpressionNetwork:
    """A network with random weights.

    Args:
        pooling_size: side of the input where pooling is to be learned, see
            :class:`mien.training.networks.mobilenet.MobileNetTrunk`; 0 for the mean.

    Raises:
        SettingError: no such architecture, or it has no learned pooling.
    """
    if architecture not in TRUNKS:
        raise SettingError(f"expected an architecture of {', '.join(TRUNKS)}, got {architecture!r}")
    if not pooling_size:
        trunk = TRUNKS[architecture](channels)
    elif architecture == "mobilenet":
        trunk = MobileNetTrunk(channels, pooling_size)
    else:
        raise SettingError(f"learned_pooling is there for mobilenet only, not for {architecture}")
    return ExpressionNetwork(trunk, trunk.features, heads, dropout)


def load_start(network: ExpressionNetwork, path: Path) -> None:
    """Start from the weights in an NPZ of state dict names, as tools/import_trunk.py makes.

    Heads and learned pooling that are not in the file stay as they were made.

    Raises:
        DataError: the file does not hold this network.
    """
    expected = f"expected weights for this network in {path}, such as tools/import_trunk.py makes"
    state = _read_weights(path, expected)
    try:
        missing, unknown = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise DataError(f"{expected}: {error}") from error
    lacking = [name for name in missing if not name.startswith(("heads.", "trunk.pools."))]
    if lacking or unknown:
        raise DataError(f"{expected}: lacking {lacking[:3]}, unknown {unknown[:3]}")


@torch.no_grad()
def blend_with_start(network: ExpressionNetwork, path: Path, share: float) -> None:
    """Move the trained weights part of the way back to where they started.

    Method: Wortsman et al., "Robust fine-tuning of zero-shot models", 2022. Weights that the file
    does not hold stay as they are.

    Args:
        share: of the starting weights, in [0, 1].
    """
    start = _read_weights(path, f"expected the starting weights in {path}")
    for name, value in network.state_dict().items():
        if name in start and value.is_floating_point():
            value.lerp_(start[name].to(value), share)


def _read_weights(path: Path, expected: str) -> dict[str, torch.Tensor]:
    try:
        with np.load(path) as weights:
            return {name: torch.from_numpy(weights[name]) for name in weights.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{expected}: {error}") from error
