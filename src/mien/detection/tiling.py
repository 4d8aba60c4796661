"""Finding small faces in large pictures, by looking at overlapping parts of them as well."""

import math
from dataclasses import dataclass, replace

import numpy as np

from mien import geometry
from mien.detection.base import FaceDetector
from mien.types import Box, Detection, Image, Landmarks

_TILE = 512
_OVERLAP = 0.25
_LARGE = 768
_MAX_TILES = 40
# A detector with a small fixed input sees faces down to about 5 % of a picture's longer side. What
# lies across the border of two tiles must fit their overlap, or be seen a level above.
_SEEN_SHARE = 0.05
_MERGE_IOU = 0.3
_MERGE_CONTAINED = 0.6
# A face smaller than this share of the view that it was found in is looked at again, in a view of
# so many times its own size, where candidates of so much of the wanted score are enough. On five
# hand-marked frames of a street that raised the faces found from 27 to 31 of 33 and lowered false
# ones from 4 to 2 (benchmarks/detection.py); views of 3 and 4 times the size found 29.
_SURE_SHARE = 0.125
_SECOND_LOOK = 5.0
_CANDIDATE_SCORE = 0.5
_SAME_IOU = 0.2


class TiledDetector:
    """A detector that looks at a large picture as a whole and then at overlapping square tiles.

    A picture whose longer side has at most 768 pixels is looked at once. Larger ones are searched
    in levels, down to tiles of 512 pixels (larger where there would be more than 40), in which a
    face of 24 pixels is about as large as one of 9 pixels in an input of 192. Each small face is
    then looked at once more by itself. The cost is one run of the detector for every tile (14 at
    1920 by 1080) and for every small face.

    Args:
        detector: any.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self.name = detector.name
        self._detector = detector

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`."""
        height, width = image.shape[:2]
        if max(width, height) <= _LARGE:
            return self._detector.detect(image, min_score=min_score)
        candidates = [
            (detection, max(view.width, view.height))
            for view in views(width, height)
            for detection in self._detect_view(image, view, _CANDIDATE_SCORE * min_score)
        ]
        found = []
        for detection, view_side in _merge_candidates(candidates):
            side = max(detection.box.width, detection.box.height)
            small = side < _SURE_SHARE * view_side
            looked = self._look_again(image, detection, min_score) if small else detection
            if looked is not None and looked.score >= min_score:
                found.append(looked)
        return merge(found)

    def _detect_view(self, image: Image, view: "View", min_score: float) -> list[Detection]:
        height, width = image.shape[:2]
        part = image[view.top : view.bottom, view.left : view.right]
        moved = (
            move(detection, view.left, view.top)
            for detection in self._detector.detect(part, min_score=min_score)
        )
        # A box that reaches over a border within the picture shows a part of a face, which another
        # tile, or the level above, shows as a whole.
        return [
            detection
            for detection in moved
            if (view.left == 0 or detection.box.x_min > view.left)
            and (view.top == 0 or detection.box.y_min > view.top)
            and (view.right == width or detection.box.x_max < view.right)
            and (view.bottom == height or detection.box.y_max < view.bottom)
        ]

    def _look_again(self, image: Image, detection: Detection, min_score: float) -> Detection | None:
        """The same face as it is found in a view around it, if it is."""
        height, width = image.shape[:2]
        (x, y), box = detection.box.center, detection.box
        reach = _SECOND_LOOK / 2 * max(box.width, box.height)
        view = View(
            left=max(0, round(x - reach)),
            top=max(0, round(y - reach)),
            right=min(width, round(x + reach)),
            bottom=min(height, round(y + reach)),
        )
        if view.width < 1 or view.height < 1:
            return None
        seen = self._detect_view(image, view, min_score)
        if not seen:
            return None
        overlaps = geometry.box_iou([box.to_array()], [other.box.to_array() for other in seen])[0]
        nearest = int(overlaps.argmax())
        return seen[nearest] if overlaps[nearest] > _SAME_IOU else None


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture, in pixels; the maxima are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def views(width: int, height: int) -> list[View]:
    """The whole picture, then its tiles, level by level."""
    tiles = [
        View(left, top, min(left + side, width), min(top + side, height))
        for side in tile_sides(width, height)
        for left in tile_starts(width, side)
        for top in tile_starts(height, side)
    ]
    return [View(0, 0, width, height), *tiles]


def tile_sides(width: int, height: int) -> list[int]:
    """Sides of the tiles of each level in pixels, falling."""
    smallest = _TILE
    while len(tile_starts(width, smallest)) * len(tile_starts(height, smallest)) > _MAX_TILES:
        smallest = math.ceil(smallest * 1.1)
    side = max(width, height)
    sides = []
    while side > smallest:
        side = max(smallest, math.ceil(side * _SEEN_SHARE / _OVERLAP))
        sides.append(side)
    return sides


def tile_starts(length: int, side: int) -> list[int]:
    """Where tiles begin along one axis, evenly spread and overlapping by a quarter or more."""
    if length <= side:
        return [0]
    count = 1 + math.ceil((length - side) / (side * (1 - _OVERLAP)))
    return [round(start) for start in np.linspace(0, length - side, count)]


def move(detection: Detection, x: float, y: float) -> Detection:
    """A detection moved by some pixels."""
    box, points = detection.box, detection.landmarks
    moved = Box(box.x_min + x, box.y_min + y, box.x_max + x, box.y_max + y)
    if points is None:
        return replace(detection, box=moved)
    shift = np.array([x, y, 0], np.float32)[: points.points.shape[1]]
    return replace(
        detection,
        box=moved,
        landmarks=Landmarks(points.points + shift, points.scheme, points.presence),
    )


def merge(detections: list[Detection]) -> list[Detection]:
    """One detection for each face, the best score first.

    A box goes where a better one overlaps it by an IoU of more than 0.3, or where more than 0.6 of
    the smaller of the two lies in both.
    """
    return [detections[i] for i in _keep(detections)]


def _merge_candidates(candidates: list[tuple[Detection, int]]) -> list[tuple[Detection, int]]:
    return [candidates[i] for i in _keep([detection for detection, _ in candidates])]


def _keep(detections: list[Detection]) -> list[int]:
    boxes = np.array([detection.box.to_array() for detection in detections]).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    contained = geometry.intersection_area(boxes, boxes) / np.minimum(areas[:, None], areas)
    same = (geometry.box_iou(boxes, boxes) > _MERGE_IOU) | (contained > _MERGE_CONTAINED)
    kept: list[int] = []
    for i in np.argsort([-detection.score for detection in detections], kind="stable"):
        if not same[i, kept].any():
            kept.append(int(i))
    return kept
