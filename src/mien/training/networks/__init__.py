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
    architecture: str, channels: int, heads: Mapping[str, int], dropout: float
) -> ExpressionNetwork:
    """A network with random weights.

    Raises:
        SettingError: no such architecture.
    """
    if architecture not in TRUNKS:
        raise SettingError(f"expected an architecture of {', '.join(TRUNKS)}, got {architecture!r}")
    trunk = TRUNKS[architecture](channels)
    return ExpressionNetwork(trunk, trunk.features, heads, dropout)


def load_start(network: ExpressionNetwork, path: Path) -> None:
    """Start from the weights in an NPZ of state dict names, as tools/import_trunk.py makes.

    Heads that are not in the file keep their random weights.

    Raises:
        DataError: the file does not hold this network.
    """
    expected = f"expected weights for this network in {path}, such as tools/import_trunk.py makes"
    try:
        with np.load(path) as weights:
            state = {name: torch.from_numpy(weights[name]) for name in weights.files}
        missing, unknown = network.load_state_dict(state, strict=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{expected}: {error}") from error
    lacking = [name for name in missing if not name.startswith("heads.")]
    if lacking or unknown:
        raise DataError(f"{expected}: lacking {lacking[:3]}, unknown {unknown[:3]}")
