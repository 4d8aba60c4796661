"""Finding small faces in large pictures, by looking at overlapping parts of them as well."""

import math
from dataclasses import replace

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


class TiledDetector:
    """A detector that looks at a large picture as a whole and then at overlapping square tiles.

    A picture whose longer side has at most 768 pixels is looked at once. Larger ones are searched
    in levels, down to tiles of 512 pixels (larger where there would be more than 40), in which a
    face of 24 pixels is about as large as one of 9 pixels in an input of 192.

    Args:
        detector: any.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self.name = detector.name
        self._detector = detector

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`."""
        found = self._detector.detect(image, min_score=min_score)
        height, width = image.shape[:2]
        if max(width, height) <= _LARGE:
            return found
        for side in tile_sides(width, height):
            for left in tile_starts(width, side):
                for top in tile_starts(height, side):
                    found += self._detect_tile(image, left, top, side, min_score)
        return merge(found)

    def _detect_tile(
        self, image: Image, left: int, top: int, side: int, min_score: float
    ) -> list[Detection]:
        height, width = image.shape[:2]
        tile = image[top : top + side, left : left + side]
        right, bottom = left + tile.shape[1], top + tile.shape[0]
        moved = (
            move(detection, left, top)
            for detection in self._detector.detect(tile, min_score=min_score)
        )
        # A box that reaches over a border within the picture shows a part of a face, which another
        # tile, or the level above, shows as a whole.
        return [
            detection
            for detection in moved
            if (left == 0 or detection.box.x_min > left)
            and (top == 0 or detection.box.y_min > top)
            and (right == width or detection.box.x_max < right)
            and (bottom == height or detection.box.y_max < bottom)
        ]


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
    boxes = np.array([detection.box.to_array() for detection in detections]).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    contained = geometry.intersection_area(boxes, boxes) / np.minimum(areas[:, None], areas)
    same = (geometry.box_iou(boxes, boxes) > _MERGE_IOU) | (contained > _MERGE_CONTAINED)
    kept: list[int] = []
    for i in np.argsort([-detection.score for detection in detections], kind="stable"):
        if not same[i, kept].any():
            kept.append(int(i))
    return [detections[i] for i in kept]
