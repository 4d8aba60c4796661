"""Interlaced video: frames whose even and odd rows show two moments.

A header does not tell which frames are combed: many interlaced files hold progressive frames (as of
films), and many combed ones were encoded again as progressive. So it is measured where rows
alternate: a row differs from both of its neighbors, which are alike, more often than from the rows
two away. In progressive pictures it is the other way round.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from mien.types import Image

# Rows are compared in columns that are spread over the picture, and counted in parts of it.
_COLUMNS, _PARTS = 96, 8
_MIN_ROWS = 8 * _PARTS
# Gray levels. More than noise, less than the edge of a moving face.
_STEP = 10
# Share of pixels of a part, less twice that of rows two away. Of progressive videos the highest
# part has at most 0.02 and the third one 0.01; of interlaced ones, 0.04 to 0.8 where things move.
_COMBED, _SURELY_COMBED = 0.03, 0.04
_RANK = 2
# A video that does not say that it is interlaced is looked at in a part of its frames, but not in
# every fifth one, the period of film in video.
_EVERY = 4
_MOVED = 6


class Fields:
    """Takes one field of combed frames, and all rows of others.

    Attributes:
        combed: the number of frames of which one field was taken.
    """

    def __init__(self) -> None:
        self.combed = 0
        self._is_known = False
        self._seen = 0
        self._before: npt.NDArray[np.int16] | None = None

    def separated(self, decoded: Any) -> Image | None:
        """One field as ``(H, W, 3)`` RGB, or None for a frame that is not combed.

        Args:
            decoded: a frame of PyAV, in the order of the video.
        """
        self._seen += 1
        is_known = self._is_known or bool(decoded.interlaced_frame)
        if not is_known and (decoded.format.is_rgb or decoded.format.has_palette):
            return None  # of screens and GIF, whose dither alternates from row to row
        if decoded.height < _MIN_ROWS or not (is_known or self._seen % _EVERY == 0):
            return None
        gray = _sampled(decoded)
        before, self._before = self._before, gray
        if not is_known:
            # Patterns of lines that stand still are not combed.
            if before is None or before.shape != gray.shape:
                return None
            moves = np.abs(gray - before) > _MOVED
            shares = np.sort(_alternating(gray, moves))
            is_known = self._is_known = bool(shares[-1 - _RANK] > _SURELY_COMBED)
        elif _alternating(gray).max() <= _COMBED:
            return None
        if not is_known:
            return None
        self.combed += 1
        return _first_field(decoded.to_ndarray(format="rgb24"))


def _first_field(image: Image) -> Image:
    """The even rows, and between them their means."""
    above, below = image[:-2:2], image[2::2]
    odd = image[1:-1:2]
    odd[:] = (above & below) + ((above ^ below) >> 1)  # the mean, in 8 bits
    if len(image) % 2 == 0:
        image[-1] = image[-2]
    return image


def _sampled(decoded: Any) -> npt.NDArray[np.int16]:
    """Gray levels of all rows, in some columns."""
    step = max(1, decoded.width // _COLUMNS)
    plane = decoded.planes[0]
    if decoded.format.name in _EIGHT_BITS and plane.line_size > 0:  # negative: upside down
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        gray = rows[: decoded.height, : decoded.width]
    else:
        gray = decoded.to_ndarray(format="gray")
    return gray[:, ::step].astype(np.int16)


# Their first plane is luma with one byte for each pixel.
_EIGHT_BITS = frozenset((
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv411p", "yuv444p", "yuvj444p", "nv12", "gray",
))  # fmt: skip


def _alternating(
    gray: npt.NDArray[np.int16], among: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """In how many pixels of each part of a picture rows alternate, less two times far ones."""
    middle = gray[2:-2]
    near = _stands_out(gray[1:-3], middle, gray[3:-1])
    far = _stands_out(gray[:-4], middle, gray[4:])
    if among is not None:
        near, far = near & among[2:-2], far & among[2:-2]
    excess = near.astype(np.int8) - 2 * far.astype(np.int8)
    rows, columns = (n // _PARTS for n in excess.shape)
    parts = excess[: _PARTS * rows, : _PARTS * columns].reshape(_PARTS, rows, _PARTS, columns)
    return np.asarray(parts.mean(axis=(1, 3))).ravel()


def _stands_out(
    above: npt.NDArray[np.int16], row: npt.NDArray[np.int16], below: npt.NDArray[np.int16]
) -> npt.NDArray[np.bool_]:
    """Where a row is darker or lighter than two others that are alike."""
    up, down = row - above, row - below
    differs = (np.minimum(up, down) > _STEP) | (np.maximum(up, down) < -_STEP)
    return np.asarray(differs & (2 * np.abs(above - below) < np.abs(up)))
