"""The contract of landmark models, and landmarks that come from the detector."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from mien.types import Detection, Image, Landmarks


@runtime_checkable
class LandmarkPredictor(Protocol):
    """Finds landmarks of detected faces. Safe to share between threads and to use after a fork.

    Attributes:
        name: shown in results.
        scheme: landmark scheme of the results.
    """

    name: str
    scheme: str

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """Find the landmarks of each face.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            detections: the faces.

        Returns:
            One per detection, in order, in pixels of the image; `presence` is the probability of a
            face at that place.
        """
        ...


_NO_POINTS = Landmarks(np.empty((0, 2), np.float32), "none")


class DetectorLandmarks:
    """Uses the landmarks of the detections, without a landmark network.

    Detections without landmarks get empty landmarks of the scheme ``"none"``.
    """

    name = "detector"
    scheme = "detector"

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """See :meth:`mien.landmarks.base.LandmarkPredictor.predict`."""
        return [detection.landmarks or _NO_POINTS for detection in detections]
