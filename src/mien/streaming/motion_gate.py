"""Whether a new face may have appeared: changes of the frame outside the known faces."""

from collections.abc import Sequence

import numpy as np

from mien.tracking.scene import Grid
from mien.types import Box

# A cell holds 16 pixels' mean, so that this is four standard deviations of a camera's noise of 9
# gray levels; a face that covers a cell changes it by more.
_MIN_CHANGE = 12 / 255
# Hair, chin and shadow move with a face.
_REACH = 1.6


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
            grid: of this frame, see :func:`mien.tracking.scene.coarse`.
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
