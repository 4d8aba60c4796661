"""The contract of face detectors, and removing repeated detections."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mien import geometry
from mien.detection.views import overlaps
from mien.errors import InputError
from mien.types import Box, Detection, Image
from mien.types.contract import as_results

_REPEATED_IOU = 0.3
_REPEATED_CONTAINED = 0.6


@runtime_checkable
class FaceDetector(Protocol):
    """Finds faces in one image. Safe to share between threads and to use after a fork.

    Attributes:
        name: shown in results.
    """

    name: str

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """Find all faces in an image.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            min_score: in [0, 1]; faces with a lower score are dropped.

        Returns:
            Detections in pixels of the image, best score first, overlapping boxes merged; empty if
            there is no face. A box extends beyond the image where the edge cuts a face off.
        """
        ...


def find_faces(detector: FaceDetector, image: Image, min_score: float) -> list[Detection]:
    """The faces of an image, by a detector that may be a user's own.

    Raises:
        InputError: it returns something else than detections in the image.
    """
    by = f"{type(detector).__name__}.detect"
    found = as_results(detector.detect(image, min_score=min_score), Detection, by)
    _check_overlap([one.box for one in found], image.shape, f"{by} to return boxes")
    return found


class Found(NamedTuple):
    """What a search finds.

    Attributes:
        faces: the best 1,000 at most.
        faint: a few candidates that did not get the minimum score.
        limited: whether there were more candidates than are looked at.
    """

    faces: list[Detection]
    faint: list[Detection]
    limited: bool = False


class Judge(Protocol):
    """Judges detections by other means, which cost less than a run of the detector."""

    def may_be_faces(self, detections: Sequence[Detection], *, likely: bool = False) -> list[bool]:
        """Whether a closer look at each may find a face, or is likely to."""
        ...

    def are_upright(self, detections: Sequence[Detection]) -> list[bool]:
        """Whether each is surely an upright face."""
        ...


def drop_repeated(
    detections: Sequence[Detection], *, sure_score: float = 0.0, limit: int | None = None
) -> list[int]:
    """Indices of the detections to keep so that each face occurs once, best score first.

    A box is dropped if a better one overlaps it with an IoU above 0.3, or if the intersection
    covers more than 0.6 of the smaller of the two. A better box within a larger one, such as an eye
    in a face, only counts where it has ``sure_score``. At most ``limit`` are kept, which bounds the
    time; the memory is linear in the number of detections.
    """
    if len(detections) < 2:
        return list(range(len(detections)))
    boxes = np.array([detection.box.to_array() for detection in detections])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    scores = np.array([detection.score for detection in detections])
    waiting = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while waiting.size and len(kept) != limit:
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        if waiting.size:
            one, others, size = boxes[best : best + 1], boxes[waiting], areas[waiting]
            contained = geometry.intersection_area(one, others)[0] / np.minimum(areas[best], size)
            counts = (size <= areas[best]) | (scores[best] >= sure_score)
            same = (contained > _REPEATED_CONTAINED) & counts
            waiting = waiting[~(same | (geometry.box_iou(one, others)[0] > _REPEATED_IOU))]
    return kept


KnownBoxes = npt.ArrayLike | Sequence[Box | npt.ArrayLike]
"""Faces that a caller knows: ``(N, 4)`` as x_min, y_min, x_max, y_max in pixels, or boxes."""

# A larger box, in longer sides of the image, is a mistake.
_MAX_BOX = 100


def given_detections(boxes: KnownBoxes, shape: tuple[int, ...]) -> list[Detection]:
    """Detections of known boxes in an image of this shape.

    Raises:
        InputError: the boxes have another shape, or one is not in the image.
    """
    try:
        rows = [one.to_array() if isinstance(one, Box) else one for one in boxes]  # type: ignore[union-attr]
        array = np.asarray(rows, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"expected boxes of shape (N, 4) in pixels, got {boxes!r}") from None
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(
            f"expected boxes of shape (N, 4) as x_min, y_min, x_max, y_max, got {array.shape}"
        )
    found = [Detection(Box(*(float(value) for value in row)), score=1.0) for row in array]
    _check_overlap([one.box for one in found], shape, "boxes")
    return found


def _check_overlap(boxes: Sequence[Box], shape: tuple[int, ...], what: str) -> None:
    height, width = shape[:2]
    largest = _MAX_BOX * max(width, height)
    for box in boxes:
        edges = (box.x_min, box.y_min, box.x_max, box.y_max)
        if not overlaps(box, width, height) or max(map(abs, edges)) > largest:
            raise InputError(
                f"expected {what} that overlap the image of {width}×{height} pixels, got "
                f"{[float(edge) for edge in edges]}"
            )
