"""Scene cuts, and the coarse grid of gray levels that they are detected in."""

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.types import Image

_GRID_WH = (32, 18)
_BINS = 16
# Both must be exceeded: a pan changes the grid but not the histogram, a flash does the reverse.
# Chosen so that the sample clip has no cut and every change between sample images is one, which the
# tests check; the error rate on films was not measured.
_MIN_DIFFERENCE = 0.18
_MIN_HISTOGRAM_DISTANCE = 0.25


Grid = npt.NDArray[np.float32]
"""``(18, 32)`` float32: mean gray levels of a frame, in [0, 1]."""


class SceneCutDetector:
    """Detects whether a frame starts a new scene.

    Method: thresholds for the mean difference of coarse grids and for the distance of their gray
    histograms.
    """

    def __init__(self) -> None:
        self._last: Grid | None = None

    def is_cut(self, grid: Grid) -> bool:
        """Whether this frame starts a new scene; compares it with the previous call's frame.

        Args:
            grid: the grid of the frame, from :func:`coarse`.
        """
        last, self._last = self._last, grid
        if last is None:
            return False
        if float(np.abs(last - grid).mean()) <= _MIN_DIFFERENCE:
            return False
        return _histogram_distance(last, grid) > _MIN_HISTOGRAM_DISTANCE


def _histogram_distance(a: Grid, b: Grid) -> float:
    """Distance of the gray-level histograms of two grids, in [0, 1]."""
    first, second = (np.histogram(grid, bins=_BINS, range=(0.0, 1.0))[0] for grid in (a, b))
    return float(np.abs(first - second).sum()) / (2 * a.size)


def coarse(image: Image) -> Grid:
    """The grid of gray levels of a frame; each cell is the mean of at least 16 sampled pixels.

    Args:
        image: ``(H, W, 3)`` RGB uint8.
    """
    (height, width), (columns, rows) = image.shape[:2], _GRID_WH
    down, right = max(1, height // (4 * rows)), max(1, width // (4 * columns))
    samples = np.ascontiguousarray(image[down // 2 :: down, right // 2 :: right])
    return imaging.resize(imaging.to_gray(samples), _GRID_WH).astype(np.float32) / np.float32(255)
