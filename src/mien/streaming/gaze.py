"""Whether the gaze of a track can be trusted: every two seconds, its mirror image is looked at."""

import math
from dataclasses import replace

from mien.landmarks import FaceMesh, LandmarkPredictor
from mien.signals.gaze import mirrored_gaze
from mien.types import Face, Gaze, Image

_EVERY_S, _AGAIN_S = 2.0, 0.2
# The mean difference is 2 to 6 degrees in six clips, and 11 for a driver whose glasses reflect.
_USUAL_DEG, _MOST_DEG = 5.0, 8.0
_WEIGHT = 0.4


class GazeCheck:
    """Compares the gaze of one track with that of its mirror image.

    Half of the mean difference is added to the gaze, so that a mirrored clip has the mirrored gaze.
    Where the differences are large, the eyes are not seen, and the gaze is unknown.
    """

    def __init__(self) -> None:
        self._due_s = -math.inf
        self._has_other = False
        self._difference_deg = (0.0, 0.0)
        self._size_deg = _USUAL_DEG

    def apply(self, image: Image, face: Face, model: LandmarkPredictor, timestamp_s: float) -> Face:
        """The face of a frame with its corrected gaze, or without gaze.

        `model` found its landmarks.
        """
        gaze = face.gaze
        if gaze is None or not isinstance(model, FaceMesh):
            return face
        if timestamp_s >= self._due_s:
            self._compare(gaze, mirrored_gaze(image, face, model))
            wait_s = _EVERY_S if self._has_other else _AGAIN_S
            self._due_s = timestamp_s + wait_s - 1e-3
        if not self._has_other or self._size_deg > _MOST_DEG:
            return replace(face, gaze=None)
        yaw, pitch = self._difference_deg
        return replace(face, gaze=Gaze(gaze.yaw_deg + yaw / 2, gaze.pitch_deg + pitch / 2))

    def _compare(self, gaze: Gaze, other: Gaze | None) -> None:
        self._has_other = other is not None
        if other is None:
            return
        now = other.yaw_deg - gaze.yaw_deg, other.pitch_deg - gaze.pitch_deg
        self._size_deg += _WEIGHT * (max(map(abs, now)) - self._size_deg)
        yaw, pitch = (
            mean + _WEIGHT * (new - mean)
            for mean, new in zip(self._difference_deg, now, strict=True)
        )
        self._difference_deg = yaw, pitch
