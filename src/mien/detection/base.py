"""The contract of face detectors, and removing repeated detections."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from mien import geometry
from mien.types import Detection, Image

_REPEATED_IOU = 0.3
_REPEATED_CONTAINED = 0.6


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


def drop_repeated(detections: Sequence[Detection]) -> list[int]:
    """Which detections to keep, so that each face is there once: their indices, the best first.

    A box goes where a better one overlaps it by an IoU of more than 0.3, or where more than 0.6 of
    the smaller of the two lies in both.
    """
    if len(detections) < 2:
        return list(range(len(detections)))
    boxes = np.array([detection.box.to_array() for detection in detections])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    contained = geometry.intersection_area(boxes, boxes) / np.minimum(areas[:, None], areas)
    same = (geometry.box_iou(boxes, boxes) > _REPEATED_IOU) | (contained > _REPEATED_CONTAINED)
    kept: list[int] = []
    for i in np.argsort([-detection.score for detection in detections], kind="stable"):
        if not same[i, kept].any():
            kept.append(int(i))
    return kept
