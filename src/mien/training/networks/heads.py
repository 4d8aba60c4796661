"""From pixels to the logits of one or more label sets."""

from collections.abc import Mapping

from torch import Tensor, nn


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
