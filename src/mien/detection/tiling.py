"""The parts of a large picture in which small faces are looked for."""

import math
from dataclasses import dataclass

import numpy as np

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
