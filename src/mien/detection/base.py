"""The contract of face detectors."""

from typing import Protocol, runtime_checkable

from mien.types import Detection, Image


@runtime_checkable
class FaceDetector(Protocol):
    """Finds faces in one image. May be shared between threads, and used after a fork.

    Attributes:
        name: as it stands in results.
    """

    name: str

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """Find faces.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            min_score: in [0, 1]; faces with a lower score are left out.

        Returns:
            The best score first, overlapping boxes merged, in pixels of the image; empty where
            there is no face. Boxes may reach beyond the image where a face is cut off by its edge.
        """
        ...
