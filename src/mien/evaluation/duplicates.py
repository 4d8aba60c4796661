"""Pictures that are the same but for scaling, brightness or compression.

Such twins leak: a model that has seen a picture in training knows its twin in validation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.errors import ImageReadError
from mien.evaluation.dataset import UNLABELLED, IntArray, LabeledSet
from mien.types import FloatArray

MIN_CORRELATION = 0.988
"""Of two thumbnails of 24×24 gray pixels: from here on they count as the same picture.

Measured against the 1,791 pairs of near-duplicates that are known among 31,621 FER2013 pictures:
99.9 % of them are found, and 97.1 % of what is found is among them.
"""

# Thumbnails of 8×8 rule out nearly all pairs at an eighth of the cost; no known pair correlates
# less than 0.987 in them.
_COARSE_SIDE, _COARSE_CORRELATION = 8, 0.975
_FINE_SIDE = 24
_BLOCK = 1024
# Two pictures without contrast, a black one and a white one say, correlate with nothing.
_LEAST_CONTRAST = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnails:
    """Every picture, small.

    Attributes:
        coarse: ``(N, 64)`` float32, of mean 0 and length 1; 0 where there is no picture.
        fine: ``(N, 576)`` likewise.
        unreadable: ``(N,)`` whether the picture could not be read.
    """

    coarse: FloatArray
    fine: FloatArray
    unreadable: npt.NDArray[np.bool_]


def make_thumbnails(
    data: LabeledSet, progress: Callable[[int, int], None] | None = None
) -> Thumbnails:
    """Read every picture once.

    Args:
        data: the pictures.
        progress: is told how many are read, and how many there are.
    """
    coarse = np.zeros((len(data), _COARSE_SIDE**2), np.float32)
    fine = np.zeros((len(data), _FINE_SIDE**2), np.float32)
    unreadable = np.zeros(len(data), np.bool_)
    for index in range(len(data)):
        try:
            gray = imaging.to_gray(data.load(index))
        except ImageReadError:
            unreadable[index] = True
            continue
        coarse[index] = _normalized(gray, _COARSE_SIDE)
        fine[index] = _normalized(gray, _FINE_SIDE)
        if progress is not None:
            progress(index + 1, len(data))
    return Thumbnails(coarse, fine, unreadable)


def _normalized(gray: npt.NDArray[np.uint8], side: int) -> FloatArray:
    small = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA)
    values = np.asarray(small, np.float32).reshape(-1)
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > _LEAST_CONTRAST * side else np.zeros_like(values)


def near_duplicate_pairs(
    thumbnails: Thumbnails, *, min_correlation: float = MIN_CORRELATION
) -> IntArray:
    """All pairs of pictures that are the same: ``(P, 2)`` rows, the smaller first."""
    pairs = []
    coarse, fine = thumbnails.coarse, thumbnails.fine
    for start in range(0, len(coarse), _BLOCK):
        block = coarse[start : start + _BLOCK]
        alike = np.flatnonzero(block @ coarse[start:].T > _COARSE_CORRELATION)
        first, second = np.divmod(alike, len(coarse) - start)
        later = second > first
        first, second = first[later] + start, second[later] + start
        same = np.einsum("nd,nd->n", fine[first], fine[second]) > min_correlation
        pairs.append(np.stack([first[same], second[same]], axis=1))
    return np.concatenate([np.empty((0, 2), np.int64), *pairs])


def groups_of_pairs(pairs: npt.ArrayLike, count: int) -> IntArray:
    """``(count,)`` the smallest row that each row is connected with, itself included."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for a, b in np.asarray(pairs, np.int64).reshape(-1, 2).tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return np.array([root(row) for row in range(count)], np.int64)


def near_duplicate_groups(data: LabeledSet) -> IntArray:
    """``(N,)`` equal numbers for near-duplicates: what the data set tells, else what is found."""
    if data.group is not None:
        return data.group
    return groups_of_pairs(near_duplicate_pairs(make_thumbnails(data)), len(data))


def leaking_rows(group: IntArray, split: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Which training rows are twins of rows in another split: drop them from training.

    Args:
        group: ``(N,)`` equal numbers for near-duplicates.
        split: ``(N,)``.
    """
    train = split == "train"
    held_out = ~train & (split != "")
    return np.asarray(train & np.isin(group, group[held_out]))


def conflicting_groups(group: IntArray, label_index: IntArray) -> IntArray:
    """Numbers of the groups whose rows do not all have the same label; unlabeled rows apart."""
    labeled = label_index != UNLABELLED
    pairs = np.unique(np.stack([group[labeled], label_index[labeled]], axis=1), axis=0)
    numbers, counts = np.unique(pairs[:, 0], return_counts=True)
    return np.asarray(numbers[counts > 1], np.int64)
