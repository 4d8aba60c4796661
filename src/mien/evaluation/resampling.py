"""Bootstrap intervals: what other samples of as many rows would have shown.

Method: percentile bootstrap (Efron 1979). Resampling rows and counting them again equals drawing
the counts themselves from a multinomial distribution, which is what happens here: thousands of
resamples cost as much as one sort.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mien.errors import InputError
from mien.evaluation.confidence import ECE_BINS

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]

SAMPLES = 2000
_LEVEL = 0.95
# How many resampled weights are held at once: 8 bytes each.
_WEIGHTS_AT_ONCE = 4_000_000


def percentile_interval(values: npt.ArrayLike, level: float = _LEVEL) -> Interval | None:
    """The middle share of resampled figures; None where none is a number."""
    figures = np.asarray(values, np.float64)
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return None
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resample_counts(counts: npt.ArrayLike, *, samples: int = SAMPLES, seed: int = 0) -> Array:
    """Resample the rows that a table of counts sums up.

    Args:
        counts: of any shape, whole numbers.
        samples: how many tables to draw.
        seed: of the draw.

    Returns:
        ``(samples, *counts.shape)``.

    Raises:
        InputError: the table is empty.
    """
    table = np.asarray(counts, np.int64)
    total = int(table.sum())
    if total < 1:
        raise InputError("expected at least one row to resample, got none")
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, table.reshape(-1) / total, size=samples)
    return drawn.reshape(samples, *table.shape).astype(np.float64)


def count_interval(
    counts: npt.ArrayLike,
    figure: Callable[[Array], Array],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Interval of a figure that follows from counts, such as a confusion matrix."""
    return percentile_interval(figure(resample_counts(counts, samples=samples, seed=seed)))


def mean_interval(
    values: npt.ArrayLike, *, samples: int = SAMPLES, seed: int = 0
) -> Interval | None:
    """Interval of the mean of ``(N,)`` values."""
    rows = np.asarray(values, np.float64)
    return percentile_interval(_weighted_sums(rows[:, None], samples, seed)[:, 0] / len(rows))


def ece_interval(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, samples: int = SAMPLES, seed: int = 0
) -> Interval | None:
    """Interval of the expected calibration error, its bins kept as they are.

    Chance gaps add up in a resample, so that the interval leans upwards.
    """
    c, hits = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    parts = np.array_split(np.argsort(c, kind="stable"), min(ECE_BINS, len(c)))
    table = np.zeros((len(c), len(parts)))
    for number, part in enumerate(parts):
        table[part, number] = hits[part] - c[part]
    gaps = np.abs(_weighted_sums(table, samples, seed))
    return percentile_interval(gaps.sum(axis=1) / len(c))


def _weighted_sums(table: Array, samples: int, seed: int) -> Array:
    """Column sums of resampled rows: ``(N, C)`` to ``(samples, C)``."""
    n = len(table)
    if n < 1:
        raise InputError("expected at least one row to resample, got none")
    rng = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // n)
    sums = [
        rng.multinomial(n, np.full(n, 1 / n), size=min(at_once, samples - start)) @ table
        for start in range(0, samples, at_once)
    ]
    return np.concatenate(sums)
