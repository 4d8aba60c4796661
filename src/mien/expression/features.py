"""Texture features of a face: oriented gradients and local binary patterns."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.types import FloatArray, Image


@dataclass(frozen=True, slots=True)
class HogGrid:
    """A grid of histograms of oriented gradients; sizes in pixels.

    Attributes:
        block: side of the blocks that are normalized together.
        stride: distance between blocks.
        cell: side of the cells, each with one histogram.
        bins: number of bins of the unsigned orientation.
    """

    block: int
    stride: int
    cell: int
    bins: int = 9


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which features describe a crop.

    Attributes:
        size_wh: width and height of the crop in pixels.
        hog: one grid per scale.
        lbp_grid: cells per row and column of the local binary patterns; 0 for none.
    """

    size_wh: tuple[int, int]
    hog: tuple[HogGrid, ...]
    lbp_grid: int = 0


# Derivative aperture, window sigma, type and threshold of the normalization, square root of the
# gray levels. All are explicit because the last defaults to False in OpenCV 4 and to True in OpenCV
# 5.
_HOG_SETTINGS = (1, -1.0, cv2.HOGDescriptor_L2Hys, 0.2, True)


class FeatureExtractor:
    """Computes a feature vector in [0, 1] of a gray crop. Safe to share between threads.

    Methods: histograms of oriented gradients (Dalal and Triggs 2005) in OpenCV's implementation,
    and square roots of the histograms of uniform local binary patterns of eight neighbors (Ojala
    et al. 2002; for faces Ahonen et al. 2006).
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._hog = [
            cv2.HOGDescriptor(
                spec.size_wh,
                (grid.block, grid.block),
                (grid.stride, grid.stride),
                (grid.cell, grid.cell),
                grid.bins,
                *_HOG_SETTINGS,
            )
            for grid in spec.hog
        ]
        self._lbp = _PatternHistograms(spec.size_wh, spec.lbp_grid) if spec.lbp_grid else None
        self.length = sum(hog.getDescriptorSize() for hog in self._hog)
        self.length += self._lbp.length if self._lbp else 0

    def describe(self, gray: Image) -> FloatArray:
        """Features ``(length,)`` of one crop.

        Args:
            gray: ``(H, W)`` uint8, of the size in the spec.
        """
        parts = [np.asarray(hog.compute(gray), np.float32).ravel() for hog in self._hog]
        if self._lbp is not None:
            parts.append(self._lbp.describe(gray))
        return np.concatenate(parts)

    def describe_all(self, grays: Sequence[Image]) -> FloatArray:
        """Features ``(N, length)`` of several crops."""
        features = np.empty((len(grays), self.length), np.float32)
        for slot, gray in zip(features, grays, strict=True):
            slot[:] = self.describe(gray)
        return features


class _PatternHistograms:
    """Histograms of uniform local binary patterns on a grid."""

    def __init__(self, size_wh: tuple[int, int], grid: int) -> None:
        width, height = size_wh
        self._bin_of_pattern, self._bins = _uniform_patterns()
        rows = np.arange(height) * grid // height
        columns = np.arange(width) * grid // width
        cells = rows[:, None] * grid + columns[None, :]
        self._first_bin = (cells * self._bins).astype(np.int32)
        self._cell_sizes = np.bincount(cells.ravel()).astype(np.float32)[:, None]
        self.length = grid * grid * self._bins

    def describe(self, gray: Image) -> FloatArray:
        # Without smoothing, noise would change the patterns of smooth skin.
        smooth = cv2.GaussianBlur(gray, (3, 3), 0)
        framed = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        height, width = gray.shape
        patterns = np.zeros((height, width), np.uint8)
        for bit, (row, column) in enumerate(_NEIGHBORS):
            neighbor = framed[row : row + height, column : column + width]
            patterns |= (neighbor >= smooth).view(np.uint8) << np.uint8(bit)
        places = self._first_bin + self._bin_of_pattern[patterns]
        counts = np.bincount(places.ravel(), minlength=self.length)
        shares = counts.astype(np.float32).reshape(-1, self._bins) / self._cell_sizes
        return np.asarray(np.sqrt(shares).ravel())


# Row and column of the eight neighbors, in an image with a border of one pixel.
_NEIGHBORS = ((1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2))


def _uniform_patterns() -> tuple[npt.NDArray[np.int32], int]:
    """The bin of each of the 256 patterns; those with more than two transitions share the last."""
    changes = [sum((p >> i & 1) != (p >> (i + 1) % 8 & 1) for i in range(8)) for p in range(256)]
    uniform = [p for p in range(256) if changes[p] <= 2]
    bins = np.full(256, len(uniform), np.int32)
    bins[uniform] = np.arange(len(uniform))
    return bins, len(uniform) + 1
