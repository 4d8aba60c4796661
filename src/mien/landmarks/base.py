"""The contract of landmark models."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

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
