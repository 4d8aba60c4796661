"""Finding cuts: the frame where another scene begins."""

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.types import Image

_GRID_WH = (32, 18)
_BINS = 16
# Both must be passed: a pan or a flash changes the places but not the histogram, or the reverse.
# Chosen so that the sample clip has no cut and changes between the sample pictures are cuts, which
# the tests check; how often they err on films was not measured.
_MIN_DIFFERENCE = 0.18
_MIN_HISTOGRAM_DISTANCE = 0.25


Grid = npt.NDArray[np.float32]
"""``(18, 32)`` gray levels in [0, 1] of a whole frame."""


class SceneCutDetector:
    """Tells whether a frame starts another scene than the one before it.

    It compares the mean change of a coarse grid and the distance of the gray histograms.
    """

    def __init__(self) -> None:
        self._last: Grid | None = None

    def is_cut(self, grid: Grid) -> bool:
        """Whether this frame does not continue the last one that was given.

        Args:
            grid: of the frame, by :func:`coarse`.
        """
        last, self._last = self._last, grid
        if last is None:
            return False
        if float(np.abs(last - grid).mean()) <= _MIN_DIFFERENCE:
            return False
        return histogram_distance(last, grid) > _MIN_HISTOGRAM_DISTANCE


def histogram_distance(a: Grid, b: Grid) -> float:
    """How far the gray levels of two grids are apart, wherever they lie; in [0, 1]."""
    first, second = (np.histogram(grid, bins=_BINS, range=(0.0, 1.0))[0] for grid in (a, b))
    return float(np.abs(first - second).sum()) / (2 * a.size)


def coarse(image: Image) -> Grid:
    """A frame's grid of gray levels; each cell is the mean of 16 or more sampled pixels.

    Args:
        image: ``(H, W, 3)`` RGB uint8.
    """
    (height, width), (columns, rows) = image.shape[:2], _GRID_WH
    down, right = max(1, height // (4 * rows)), max(1, width // (4 * columns))
    samples = np.ascontiguousarray(image[down // 2 :: down, right // 2 :: right])
    return imaging.resize(imaging.to_gray(samples), _GRID_WH).astype(np.float32) / np.float32(255)
