"""The few points that a detector gives itself, in the place of a landmark model."""

from collections.abc import Sequence

import numpy as np

from mien.types import Detection, Image, Landmarks

_NO_POINTS = Landmarks(np.empty((0, 2), np.float32), "none")


class DetectorLandmarks:
    """Passes on what the detector found: the route without any landmark network.

    Faces of a detector that gives no points get landmarks without points, of scheme ``"none"``.
    """

    name = "detector"
    scheme = "detector"

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """See :meth:`mien.landmarks.base.LandmarkPredictor.predict`."""
        return [detection.landmarks or _NO_POINTS for detection in detections]
