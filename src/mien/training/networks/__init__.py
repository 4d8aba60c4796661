"""The networks that a recipe can name."""

from collections.abc import Mapping

from mien.errors import SettingError
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
