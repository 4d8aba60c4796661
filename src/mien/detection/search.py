"""Finding faces that are too small or too large for a detector to see in the whole picture."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mien import geometry, imaging
from mien.detection.base import FaceDetector, drop_repeated
from mien.types import Box, Detection, Image, Landmarks

_TILE = 512
_OVERLAP = 0.25
_LARGE = 768
_MAX_TILES = 40
# A detector with a small fixed input sees faces down to about 5 % of a picture's longer side. What
# lies across the border of two tiles must fit their overlap, or be seen a level above.
_SEEN_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture, in pixels; the maxima are exclusive. It may reach beyond the picture."""

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

    @property
    def side(self) -> int:
        """The longer of the two."""
        return max(self.width, self.height)


def tiles(width: int, height: int) -> list[View]:
    """Overlapping tiles of a picture, level by level.

    A picture whose longer side has at most 768 pixels has none. Larger ones have levels of tiles,
    each with sides a fifth of the level above, down to 512 pixels (or more, where there would be
    more than 40 tiles), in which a face of 24 pixels is as large as one of 9 pixels in an input of
    192 by 192.
    """
    return [
        View(left, top, min(left + side, width), min(top + side, height))
        for side in tile_sides(width, height)
        for left in tile_starts(width, side)
        for top in tile_starts(height, side)
    ]


def tile_sides(width: int, height: int) -> list[int]:
    """Sides of the tiles of each level in pixels, falling."""
    side = max(width, height)
    if side <= _LARGE:
        return []
    smallest = _TILE
    while len(tile_starts(width, smallest)) * len(tile_starts(height, smallest)) > _MAX_TILES:
        smallest = math.ceil(smallest * 1.1)
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


# A face is sure with this score, or where it takes between these shares of the view that it was
# found in; others are looked at again, in a view of so many times their own size. Candidates for
# that need only this part of the wanted score. On five hand-marked frames of a street it raised the
# faces found in tiles from 27 to 31 of 33 and lowered false ones from 4 to 2 (views of 3 and 4
# times found 29); of every sixth of 1,297 news photographs, in which a face fills four fifths of
# the picture, those with a face from 24 to 100 %; and of 43 faces in nine group photographs those
# found from 41 to 43.
_SURE_SHARES = (0.125, 0.4)
_SURE_SCORE = 0.75
_SECOND_LOOK = 5.0
_CANDIDATE_SCORE = 0.5
_SAME_IOU = 0.2
# Where nothing is found the picture is looked at from so much further away.
_STEP_BACK = 2.5
_PADDED_SIZE = 384
# The detector of near faces sees more in nothing, so it must be surer, if need be at a second look.
# Of 400 tight crops of FER+ valid pasted into scenes it brought those with a face from 336 to 398
# (385 without the second look); of 90 parts of photographs without a face, one got a false one
# (none without it, and 6 with a score of 0.4 instead).
_NEAR_SCORE = 0.6
_NEAR_LOOK = 2.0
# In fewer pixels there is no face, whatever a few of them, enlarged, look like.
_LEAST_SIDE = 8


class FaceSearch:
    """A detector with a small fixed input, helped to see the faces that do not suit it.

    It looks at the whole picture, and at tiles of a large one, and then once more at each face that
    was seen too small or too large. Each look is one run of the detector: one for most pictures of
    up to 768 pixels, two or three for those without a face, and with tiles 16 for 1920 by 1080
    pixels and one more for each small face.

    Args:
        detector: any; faces of a tenth to two fifths of the picture should suit it.
        tiled: whether large pictures are looked at in tiles.
        near: is asked about the whole picture where the detector finds nothing in it: one made for
            faces that are close or cut tightly.
    """

    def __init__(
        self, detector: FaceDetector, *, tiled: bool, near: FaceDetector | None = None
    ) -> None:
        self.name = detector.name
        self._detector = detector
        self._tiled = tiled
        self._near = near

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`."""
        height, width = image.shape[:2]
        if max(width, height) < _LEAST_SIDE:
            return []
        whole = View(0, 0, width, height)
        views = [whole, *tiles(width, height)] if self._tiled else [whole]
        candidates: list[Detection] = []
        view_sides: list[int] = []
        for view in views:
            seen = list(self._look(image, view, self._detector, _CANDIDATE_SCORE * min_score))
            candidates += seen
            view_sides += [view.side] * len(seen)
        found = []
        for i in drop_repeated(candidates):
            sure = self._make_sure(image, candidates[i], view_sides[i], min_score)
            if sure is not None and sure.score >= min_score:
                found.append(sure)
        if not found:
            found = list(self._look(image, _around(whole, _STEP_BACK), self._detector, min_score))
        if not found and self._near is not None:
            found = list(self._look_near(image, self._near, max(min_score, _NEAR_SCORE)))
        return [found[i] for i in drop_repeated(found)]

    def _make_sure(
        self, image: Image, candidate: Detection, view_side: int, min_score: float
    ) -> Detection | None:
        box = candidate.box
        share = max(box.width, box.height) / view_side
        if candidate.score >= _SURE_SCORE or _SURE_SHARES[0] <= share <= _SURE_SHARES[1]:
            return candidate
        return self._look_again(image, self._detector, box, _SECOND_LOOK, min_score)

    def _look_near(self, image: Image, near: FaceDetector, min_score: float) -> Iterator[Detection]:
        """What the detector of near faces is sure of, at the first look or at a second one."""
        for candidate in near.detect(image, min_score=_CANDIDATE_SCORE * min_score):
            sure: Detection | None = candidate
            if candidate.score < min_score:
                sure = self._look_again(image, near, candidate.box, _NEAR_LOOK, min_score)
            if sure is not None:
                yield sure

    def _look_again(
        self, image: Image, detector: FaceDetector, box: Box, times: float, min_score: float
    ) -> Detection | None:
        """The face at a box as it is seen in a view of so many times the box's size."""
        own = View(round(box.x_min), round(box.y_min), round(box.x_max), round(box.y_max))
        seen = list(self._look(image, _around(own, times), detector, min_score))
        if not seen:
            return None
        overlaps = geometry.box_iou([box.to_array()], [other.box.to_array() for other in seen])[0]
        nearest = int(overlaps.argmax())
        return seen[nearest] if overlaps[nearest] > _SAME_IOU else None

    def _look(
        self, image: Image, view: View, detector: FaceDetector, min_score: float
    ) -> Iterator[Detection]:
        """Faces in a part of the image, in pixels of the image."""
        height, width = image.shape[:2]
        if view.left >= 0 and view.top >= 0 and view.right <= width and view.bottom <= height:
            part = image[view.top : view.bottom, view.left : view.right]
            scale = 1.0
        else:
            scale = _PADDED_SIZE / view.side
            to_part = geometry.similarity(scale, 0.0, (-view.left * scale, -view.top * scale))
            part = imaging.warp(
                image, to_part, (_PADDED_SIZE, _PADDED_SIZE), replicate_border=False
            )
        for detection in detector.detect(part, min_score=min_score):
            moved = _to_image(detection, view, scale)
            # A box that reaches over a border within the picture shows a part of a face, which
            # another tile, or the level above, shows as a whole.
            box = moved.box
            if (
                (view.left <= 0 or box.x_min > view.left)
                and (view.top <= 0 or box.y_min > view.top)
                and (view.right >= width or box.x_max < view.right)
                and (view.bottom >= height or box.y_max < view.bottom)
            ):
                yield moved


def _around(view: View, times: float) -> View:
    """The square with the same middle and so many times the longer side."""
    x, y = (view.left + view.right) / 2, (view.top + view.bottom) / 2
    reach = max(1.0, view.side * times / 2)
    return View(round(x - reach), round(y - reach), round(x + reach), round(y + reach))


def _to_image(detection: Detection, view: View, scale: float) -> Detection:
    corners = detection.box.to_array().astype(np.float64) / scale
    corners += (view.left, view.top, view.left, view.top)
    landmarks = detection.landmarks
    if landmarks is not None:
        points = np.array(landmarks.points) / scale
        points[:, :2] += (view.left, view.top)
        landmarks = Landmarks(points, landmarks.scheme, landmarks.presence)
    return Detection(Box(*(float(value) for value in corners)), detection.score, landmarks)
