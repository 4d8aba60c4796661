"""Views: the parts of an image, or around it, that a detector runs on."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.imaging import LargeImage
from mien.types import Box, Detection, Image, Landmarks

_TILE = 512
_OVERLAP = 0.25
_LARGE = 768
# Detail beyond twice the side of a detector's input is of no use to it.
_DETECTOR_SIDE = 384
MAX_TILES = 40
# A detector with a small fixed input finds faces down to about 5 % of an image's longer side. A
# face on the border of two tiles must fit into their overlap, or be found one level above.
_MIN_FACE_SHARE = 0.05
# Views with a smaller range of levels are empty.
_FLAT_LEVELS = 12


@dataclass(frozen=True, slots=True)
class View:
    """A part of an image in pixels; maxima are exclusive. It may extend beyond the image."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, box: Box) -> "View":
        return cls(round(box.x_min), round(box.y_min), round(box.x_max), round(box.y_max))

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.width, self.height)

    def shows(self, box: Box, width: int, height: int) -> bool:
        """Whether it shows all of a box of an image of this size.

        A box across an inner border shows only part of a face; another tile, or the level above,
        shows all of it. One beside the image is of what surrounds it in the view.
        """
        return (
            overlaps(box, width, height)
            and (self.left <= 0 or box.x_min > self.left)
            and (self.top <= 0 or box.y_min > self.top)
            and (self.right >= width or box.x_max < self.right)
            and (self.bottom >= height or box.y_max < self.bottom)
        )


def overlaps(box: Box, width: int, height: int) -> bool:
    """Whether a part of a box is in an image of this size."""
    return box.x_min < width and box.y_min < height and box.x_max > 0 and box.y_max > 0


def tiles(width: int, height: int, max_tiles: float = MAX_TILES) -> list[View]:
    """Overlapping tiles of an image, level by level, in rows.

    Images with a longer side of at most 768 pixels have none. Larger ones have levels of tiles,
    each with sides a fifth of the level above, down to 512 pixels, or more to keep at most
    ``max_tiles`` in the last level. At 512 pixels, a face of 24 pixels becomes 9 pixels in an input
    of 192 by 192.
    """
    return [
        View(left, top, min(left + side, width), min(top + side, height))
        for side in _tile_sides(width, height, max_tiles)
        for top in _tile_starts(height, side)
        for left in _tile_starts(width, side)
    ]


def _tile_sides(width: int, height: int, max_tiles: float = MAX_TILES) -> list[int]:
    """Tile sides of each level in pixels, descending."""
    side = max(width, height)
    if side <= _LARGE:
        return []
    smallest = _TILE
    while len(_tile_starts(width, smallest)) * len(_tile_starts(height, smallest)) > max_tiles:
        smallest = math.ceil(smallest * 1.1)
    sides = []
    while side > smallest:
        side = max(smallest, math.ceil(side * _MIN_FACE_SHARE / _OVERLAP))
        sides.append(side)
    return sides


def _tile_starts(length: int, side: int) -> list[int]:
    """Tile offsets along one axis, evenly spaced with an overlap of at least a quarter."""
    if length <= side:
        return [0]
    count = 1 + math.ceil((length - side) / (side * (1 - _OVERLAP)))
    return [round(start) for start in np.linspace(0, length - side, count)]


def around(view: View, scale: float) -> View:
    """The square around the same center, ``scale`` times as long as the longer side."""
    x, y = (view.left + view.right) / 2, (view.top + view.bottom) / 2
    reach = max(1.0, view.side * scale / 2)
    return View(round(x - reach), round(y - reach), round(x + reach), round(y + reach))


def whole_of(image: Image | LargeImage) -> View:
    return View(0, 0, image.shape[1], image.shape[0])


def at_border(view: View, whole: View) -> bool:
    """Whether a part reaches to the border of the image."""
    return (
        view.left <= 0 or view.top <= 0 or view.right >= whole.right or view.bottom >= whole.bottom
    )


def is_cut(box: Box, whole: View) -> bool:
    """Whether a box reaches to the border of the image or beyond, with its center inside."""
    margin = 0.05 * max(box.width, box.height)
    x, y = box.center
    return (0 < x < whole.right and 0 < y < whole.bottom) and (
        box.x_min < margin
        or box.y_min < margin
        or box.x_max > whole.right - margin
        or box.y_max > whole.bottom - margin
    )


def pixels_of(image: LargeImage, view: View) -> tuple[Image, View, View, int]:
    """What a detector needs of a part of a large image.

    Returns:
        The pixels, the view in them, the part of the image that they show, and their reduction.
    """
    height, width = image.shape[:2]
    shown = View(
        min(max(view.left, 0), width - 1), min(max(view.top, 0), height - 1),
        min(max(view.right, 1), width), min(max(view.bottom, 1), height),
    )  # fmt: skip
    shrink = view.side / _DETECTOR_SIDE
    pixels, factor = image.part(shown.left, shown.top, shown.right, shown.bottom, shrink=shrink)
    left, top = (view.left - shown.left) // factor, (view.top - shown.top) // factor
    local = View(left, top, left + view.width // factor, top + view.height // factor)
    if shown == view:
        local = View(0, 0, pixels.shape[1], pixels.shape[0])
    return pixels, local, shown, factor


def is_flat(image: Image | LargeImage, view: View) -> bool:
    """Whether nothing can be seen in a part of the image."""
    factor = 1
    if isinstance(image, LargeImage):
        image, view, _, factor = pixels_of(image, view)
    # Every 8 pixels of the image, or less, so that a small face is seen.
    step = min(8 // factor, 1 + view.side // 64)
    part = image[view.top : view.bottom : step, view.left : view.right : step]
    # Of each channel: a plain color shows no more than gray does. A few pixels mostly are enough.
    few = part[:: max(1, part.shape[0] // 8), :: max(1, part.shape[1] // 8)]
    return all(int(np.ptp(some, axis=(0, 1)).max()) < _FLAT_LEVELS for some in (few, part))


def turned_back(detection: Detection, turn: int, width: int, height: int) -> Detection:
    """A detection in a part that was turned counterclockwise, in pixels of the part as it was."""
    if not turn:
        return detection

    def back(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x, y = points[:, 0].copy(), points[:, 1].copy()
        if turn == 1:
            x, y = width - y, x
        elif turn == 2:
            x, y = width - x, height - y
        else:
            x, y = y, height - x
        return np.column_stack([x, y, points[:, 2:]])

    corners = back(detection.box.to_array().astype(np.float64).reshape(2, 2))
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    landmarks = detection.landmarks
    if landmarks is not None:
        points = back(landmarks.points.astype(np.float64))
        landmarks = Landmarks(points.astype(np.float32), landmarks.scheme, landmarks.presence)
    return Detection(Box(left, top, right, bottom), detection.score, landmarks)
