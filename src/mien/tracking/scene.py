"""Finding cuts: the frame where another scene begins."""

import numpy as np
import numpy.typing as npt

from mien.types import Image

_GRID_WH = (32, 18)
_BINS = 16
# Both must be passed: a pan or a flash changes the places but not the histogram, or the reverse.
# Chosen so that the sample clip has no cut and changes between the sample pictures are cuts, which
# the tests check; how often they err on films was not measured.
_MIN_DIFFERENCE = 0.18
_MIN_HISTOGRAM_DISTANCE = 0.25


class SceneCutDetector:
    """Tells whether a frame starts another scene than the one before it.

    It compares the mean change of a coarse grid and the distance of the grey histograms.
    """

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None

    def is_cut(self, image: Image) -> bool:
        """Whether this frame does not continue the last one that was given.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
        """
        grid = _coarse(image)
        last, self._last = self._last, grid
        if last is None:
            return False
        difference, distance = scene_change(last, grid)
        return difference > _MIN_DIFFERENCE and distance > _MIN_HISTOGRAM_DISTANCE


def scene_change(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Mean absolute difference and histogram distance of two grids, each in [0, 1]."""
    difference = float(np.abs(a - b).mean())
    histograms = [
        np.histogram(grid, bins=_BINS, range=(0.0, 1.0))[0] / grid.size for grid in (a, b)
    ]
    return difference, float(np.abs(histograms[0] - histograms[1]).sum() / 2)


def _coarse(image: Image) -> npt.NDArray[np.float32]:
    """A grid of grey levels in [0, 1]; each cell is the mean of up to 16 sampled pixels."""
    height, width = image.shape[:2]
    rows = (np.arange(_GRID_WH[1] * 4) + 0.5) * height / (_GRID_WH[1] * 4)
    columns = (np.arange(_GRID_WH[0] * 4) + 0.5) * width / (_GRID_WH[0] * 4)
    samples = image[rows.astype(int)[:, None], columns.astype(int)[None, :]].mean(axis=2)
    cells = samples.reshape(_GRID_WH[1], 4, _GRID_WH[0], 4).mean(axis=(1, 3))
    return np.asarray(cells / 255, np.float32)
