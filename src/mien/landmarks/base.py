"""The contract of landmark models, and the landmarks that a detector already provides."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from mien.types import Detection, Image, Landmarks


@runtime_checkable
class LandmarkPredictor(Protocol):
    """Finds the landmarks of detected faces. May be shared between threads, used after a fork.

    Attributes:
        name: as it stands in results.
        scheme: of the landmarks that it gives.
    """

    name: str
    scheme: str

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """Find the landmarks of each face.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            detections: the faces.

        Returns:
            One for each detection, in order, in pixels of the image; `presence` tells whether a
            face lies there.
        """
        ...


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
