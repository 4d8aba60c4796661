"""What changed in the whole frame, seen in a coarse grid: scene cuts, and motion beside faces."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.types import Box, Image

_GRID_WH = (32, 18)
# Correlation of the gradients of two frames. Consecutive frames have 0.5 and more, also in shadows
# and after steps of the exposure; unrelated frames at most 0.25, also dark and alike ones. At the
# best shift, frames of a shaking camera have 0.57 and more, unrelated ones up to 0.45.
_SAME_STRUCTURE, _SAME_SHIFTED = 0.45, 0.55
_SURELY_SAME = 0.8
# Two people at the same place before the same background have 0.4 to 0.7: only the faces tell them
# apart, and only in frames that follow each other closely.
_MAX_UNSURE_STEP_S = 0.15
# A shaking camera moves the grid by some cells.
_MAX_SHIFT = 3
# White cells, as in a flash, have lost their structure.
_WHITE = 0.96
_MIN_CELLS = 60
# While something passes before the camera, 0.65 and more of the cells are as in the frame before,
# in cuts between scenes of unlike structure up to 0.6. Bars beside the picture say nothing.
_MOSTLY, _SAME_LEVEL, _BLACK = 0.62, 0.1, 0.04
# Gray levels' standard deviation that a frame needs to be compared; a black one has less.
_MIN_CONTRAST = 0.008
# Mean square of neighbors' differences, of what it is between any two cells: snow of a lost signal
# has 0.9 to 1.1, pictures and videos at most 0.33.
_SNOW = 0.7
# Two frames of a blank wall differ by a camera's noise alone; so little in the dark is unsure.
_NOISE = 1.3 / 255
# After this time without comparable frames every track is over.
_MAX_SKIPPED_S = 2.0
# Frames further apart differ in structure without a cut: then brightness must change as well.
_MAX_STEP_S = 0.35
_MIN_DIFFERENCE = 0.18
_MIN_HISTOGRAM_DISTANCE = 0.25
_BINS = 16
# A cell holds 16 pixels' mean, so that this is four standard deviations of a camera's noise of 9
# gray levels; a face that covers a cell changes it by more.
_MIN_CHANGE = 12 / 255
# Hair, chin and shadow move with a face.
_REACH = 1.6


Grid = npt.NDArray[np.float32]
"""``(18, 32)`` float32: mean gray levels of a frame, in [0, 1]."""


class SceneCutDetector:
    """Detects whether a frame starts a new scene.

    Method: correlation of the gradients of two coarse grids, which a change of brightness, contrast
    or gamma hardly changes, at the best of a few shifts. Cells that are white in either frame are
    left out; a frame without structure, as in a flash, a fade to black or snow, is skipped, so
    that the frames around it are compared.

    Attributes:
        is_unsure: whether the last frame, which was no cut, may be one if its faces are others.
        is_partial: whether the last frame, which may be a cut, is mostly as the one before, as
            where something passes close before the camera.
    """

    def __init__(self) -> None:
        self.is_unsure = self.is_partial = False
        self._last: Grid | None = None
        self._before: Grid | None = None
        self._gradients = np.zeros(0, np.float32)
        self._last_s = self._reference_s = 0.0

    def is_cut(self, grid: Grid, timestamp_s: float = 0.0) -> bool:
        """Whether this frame starts a new scene; compares it with the last one that has structure.

        Args:
            grid: the grid of the frame, from :func:`coarse`.
            timestamp_s: of the frame.
        """
        last, step_s = self._last, timestamp_s - self._last_s
        self._last_s = timestamp_s
        self.is_unsure = self.is_partial = False
        before_this, self._before = self._before, grid
        if last is None or before_this is None:
            self._last, self._reference_s = grid, timestamp_s
            self._gradients = _gradients(grid)
            return False
        # The most common case first, at little cost.
        gradients = _gradients(grid)
        before, self._gradients = self._gradients, gradients
        power = float(before @ before) * float(gradients @ gradients)
        together = float(before @ gradients)
        is_same = grid.std() >= _MIN_CONTRAST and together >= _SURELY_SAME * power**0.5
        structure = 1.0 if is_same else correlation(last, grid)
        if structure is None and timestamp_s - self._reference_s <= _MAX_SKIPPED_S:
            self._gradients = before
            return False
        self._last, self._reference_s = grid, timestamp_s
        if structure is None:
            return False
        is_alike = structure >= _SAME_STRUCTURE or _difference(last, grid) < _NOISE
        if is_alike or _shifted_correlation(last, grid) >= _SAME_SHIFTED:
            self.is_unsure = structure < _SURELY_SAME and step_s <= _MAX_UNSURE_STEP_S
            return False
        self.is_partial = step_s <= _MAX_UNSURE_STEP_S and _is_mostly_same(before_this, grid)
        return step_s <= _MAX_STEP_S or (
            _difference(last, grid) > _MIN_DIFFERENCE
            and _histogram_distance(last, grid) > _MIN_HISTOGRAM_DISTANCE
        )


def _difference(a: Grid, b: Grid) -> float:
    return float(np.abs(a - b).mean())


def _is_mostly_same(a: Grid, b: Grid) -> bool:
    highest = np.maximum(a, b)
    usable = (highest > _BLACK) & (highest < _WHITE)
    same = np.abs(a - b)[usable] < _SAME_LEVEL * min(0.2, max(float(a.std()), float(b.std())))
    return same.size >= _MIN_CELLS and float(same.mean()) >= _MOSTLY


def _gradients(grid: Grid) -> npt.NDArray[np.float32]:
    return np.concatenate([(grid[:, 1:] - grid[:, :-1]).ravel(), (grid[1:] - grid[:-1]).ravel()])


def correlation(a: Grid, b: Grid) -> float | None:
    """Correlation of the gradients of two grids in [-1, 1]; None where there is too little."""
    usable = np.maximum(a, b) < _WHITE
    across, down = usable[:, 1:] & usable[:, :-1], usable[1:] & usable[:-1]
    if np.count_nonzero(usable) < _MIN_CELLS:
        return None
    contrasts = [float(grid[usable].std()) for grid in (a, b)]
    if min(contrasts) < _MIN_CONTRAST:
        return None
    first, second = (
        np.concatenate([np.diff(grid, axis=1)[across], np.diff(grid, axis=0)[down]])
        for grid in (a, b)
    )
    powers = float(first @ first), float(second @ second)
    for power, contrast in zip(powers, contrasts, strict=True):
        if not 0 < power < _SNOW * 2 * first.size * contrast**2:
            return None
    return float(first @ second) / float(np.sqrt(powers[0] * powers[1]))


def _shifted_correlation(a: Grid, b: Grid) -> float:
    """The highest correlation of two grids shifted against each other by some cells."""
    best = -1.0
    rows, columns = a.shape
    for down in range(-_MAX_SHIFT, _MAX_SHIFT + 1):
        for right in range(-_MAX_SHIFT, _MAX_SHIFT + 1):
            part_a = a[max(0, down) : rows + min(0, down), max(0, right) : columns + min(0, right)]
            part_b = b[
                max(0, -down) : rows - max(0, down), max(0, -right) : columns - max(0, right)
            ]
            found = correlation(part_a, part_b)
            best = best if found is None else max(best, found)
    return best


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


class MotionGate:
    """Compares the surroundings of known faces with how they were when last searched."""

    def __init__(self) -> None:
        self._searched: Grid | None = None

    def note_search(self, grid: Grid) -> None:
        """The whole frame that this grid shows was searched."""
        self._searched = grid

    def is_still(self, grid: Grid, faces: Sequence[Box], size_wh: tuple[int, int]) -> bool:
        """Whether nothing has changed outside of the faces.

        Args:
            grid: of this frame, from :func:`coarse`.
            faces: boxes in pixels.
            size_wh: of the frame.
        """
        if self._searched is None:
            return False
        changed = np.abs(grid - self._searched) > _MIN_CHANGE
        rows, columns = grid.shape
        for box in faces:
            x, y = box.center
            reach_x, reach_y = _REACH * box.width / 2, _REACH * box.height / 2
            left, right = (_cell(x + r, size_wh[0], columns) for r in (-reach_x, reach_x))
            top, bottom = (_cell(y + r, size_wh[1], rows) for r in (-reach_y, reach_y))
            changed[top : bottom + 1, left : right + 1] = False
        return not changed.any()


def _cell(position: float, length: int, cells: int) -> int:
    return min(max(int(position * cells / length), 0), cells - 1)
