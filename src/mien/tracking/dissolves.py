"""Gradual cuts: a dissolve, a wipe or an iris that turns a face into another one at its place."""

from collections import deque
from collections.abc import Mapping

import numpy as np

from mien.tracking.motion import similarity
from mien.tracking.scene import Grid, correlation
from mien.types import FloatArray

# Transitions are looked for in parts of these lengths.
_WINDOWS_S = (0.4, 0.8, 1.6)
_EVERY_S = 0.1
# In the middle of a dissolve, a frame is a mixture of the frames before and after: what is left is
# at most 0.02 of their difference, and 0.03 and more where things move. In that of a wipe, of a
# shape that opens, or of blocks, each cell is as before, as after or between: 0.03 and less of the
# difference is outside, and 0.04 and more where things, or the camera, move so far.
_MIXTURE, _OUTSIDE = 0.02, 0.03
_MIDDLE = 0.25, 0.75
# The frames must differ, and not in their light alone.
_MIN_CHANGE, _SAME_STRUCTURE = 0.05, 0.85
# Where each cell may have its own share, small movements look alike: up to 0.56 is left of them.
_OTHER_STRUCTURE = 0.5
# Gray levels' standard deviation; a picture that fades in from black begins with less.
_MIN_CONTRAST = 0.05
# Faces a second apart have 0.87 and more where the picture but fades from one moment to another.
_SAME_FACE = 0.85


class DissolveDetector:
    """Detects that faces turned into others while the picture turned into another one.

    Keeps gray levels of faces (20 by 20 pixels) for 1.6 seconds.
    """

    def __init__(self) -> None:
        self._past = deque[tuple[float, Grid, Mapping[int, FloatArray | None]]]()

    def is_due(self, timestamp_s: float) -> bool:
        """Whether a frame is needed, which is the case ten times a second."""
        return not self._past or timestamp_s - self._past[-1][0] >= _EVERY_S - 1e-3

    def forget(self) -> None:
        """Start again, after a cut."""
        self._past.clear()

    def is_cut(
        self, grid: Grid, faces: Mapping[int, FloatArray | None], timestamp_s: float
    ) -> bool:
        """Whether the transition to another scene, with other faces, is in its second half.

        Args:
            grid: of this frame, from :func:`mien.tracking.coarse`.
            faces: the patches of the faces in it, by the key of their track.
            timestamp_s: of this frame.
        """
        self._past.append((timestamp_s, grid, faces))
        while self._past and timestamp_s - self._past[0][0] > _WINDOWS_S[-1] + _EVERY_S:
            self._past.popleft()
        for length_s in _WINDOWS_S:
            earlier = [entry for entry in self._past if timestamp_s - entry[0] >= length_s - 0.02]
            if not earlier:
                return False
            first_s, first, known = earlier[-1]
            alike = [similarity(known.get(key), patch) for key, patch in faces.items()]
            if all(value is None or value >= _SAME_FACE for value in alike):
                continue
            middle_s = (first_s + timestamp_s) / 2
            middle = min(self._past, key=lambda entry: abs(entry[0] - middle_s))[1]
            if _is_transition(first, middle, grid):
                return True
        return False


def _is_transition(first: Grid, middle: Grid, last: Grid) -> bool:
    """Whether a picture in the middle consists of the first and the last one."""
    change, part = (grid.astype(np.float64) - first for grid in (last, middle))
    power = float((change * change).sum())
    if power < _MIN_CHANGE**2 * change.size or min(first.std(), last.std()) < _MIN_CONTRAST:
        return False
    share = float((part * change).sum()) / power
    if not _MIDDLE[0] < share < _MIDDLE[1]:
        return False
    structure = correlation(first, last)
    if structure is None or structure >= _SAME_STRUCTURE:
        return False
    if float(((part - share * change) ** 2).sum()) < _MIXTURE * power:
        return True
    inside = np.clip(part, np.minimum(change, 0), np.maximum(change, 0))
    outside = float(np.abs(part - inside).sum())
    return structure < _OTHER_STRUCTURE and outside < _OUTSIDE * float(np.abs(change).sum())
