"""Which convolutions an export merges with the batch norm behind them."""

from collections.abc import Iterator

from torch import nn


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
