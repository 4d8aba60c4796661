"""Which observation belongs to which track: the linear assignment problem, solved by lapx."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import MissingExtraError


def assign(costs: npt.ArrayLike, max_cost: float) -> list[tuple[int, int]]:
    """Pairs of row and column with the least total cost, none of them dearer than `max_cost`.

    Method: Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
    assignment problems", Computing 38, 1987, as in lapx.

    Args:
        costs: ``(N, M)``; infinity forbids a pair.
        max_cost: leaving both sides alone costs this much.

    Raises:
        MissingExtraError: lapx is not installed.
    """
    matrix = np.asarray(costs, np.float64)
    if matrix.size == 0:
        return []
    lapjv = _lapjv()
    if matrix.size == 1:
        # One face and one track, as in most frames of most videos.
        return [(0, 0)] if matrix[0, 0] <= max_cost else []
    finite = np.where(np.isfinite(matrix), matrix, 1e6)
    _, columns, _ = lapjv(finite, extend_cost=True, cost_limit=max_cost)
    return [
        (row, int(column))
        for row, column in enumerate(columns)
        if column >= 0 and matrix[row, column] <= max_cost
    ]


def _lapjv() -> Callable[..., Any]:
    try:
        from lap import lapjv
    except ImportError:
        raise MissingExtraError("lapx", "video", "follow faces through a stream") from None
    return lapjv  # type: ignore[no-any-return]
