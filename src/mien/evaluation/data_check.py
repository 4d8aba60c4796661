"""Problems of a labeled data set: unreadable files, label conflicts, duplicates across splits.

Near-duplicates are pictures that are the same but for scaling, brightness or compression. They
leak: a model that was trained on a picture knows its duplicate in the valid split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.errors import ImageReadError
from mien.evaluation.dataset import UNLABELED, IntArray, LabeledSet
from mien.evaluation.predict import Progress
from mien.evaluation.summary import NAMES_SHOWN, name_rows, plain
from mien.types import FloatArray, Image

_MIN_CORRELATION = 0.988
"""Of two thumbnails of 24×24 gray pixels: from here on they are the same picture.

Measured on the 1,791 known pairs of near-duplicates among 31,621 FER2013 pictures:
99.9 % of them are found, and 97.1 % of what is found is among them.
"""

# Thumbnails of 8×8 rule out nearly all pairs at an eighth of the cost; no known pair correlates
# less than 0.987 in them.
_COARSE_SIDE, _COARSE_CORRELATION = 8, 0.975
_FINE_SIDE = 24
_BLOCK = 1024
# Pictures without contrast, such as a black one and a white one, correlate with nothing.
_MIN_CONTRAST = 1e-3


def check(data: LabeledSet, progress: Progress | None = None) -> dict[str, Any]:
    """Count classes, unreadable files, label conflicts and near-duplicates.

    Returns:
        Plain numbers and names, ready for JSON: ``n``; ``counts`` of each label in each split
        (``"-"`` without splits); ``unlabeled``; ``unreadable``; ``left_out``;
        ``near_duplicates`` with the number of ``groups`` and ``rows`` in them; ``across_splits``,
        the training rows with duplicates in other splits; ``label_conflicts``, groups of
        near-duplicates with different labels; and where the data set names its near-duplicates
        itself, ``known_near_duplicates`` with the recall and precision of those found here.
    """
    thumbnails = _make_thumbnails(data.load, len(data), progress)
    pairs = _near_duplicate_pairs(thumbnails)
    group = _groups_of_pairs(pairs, len(data))
    leaking = _leaking_rows(group, data.split)
    conflicts = _conflicting_groups(group, data.label_index)
    _, sizes = np.unique(group, return_counts=True)
    report = {
        "data": data.name,
        "n": len(data),
        "counts": _counts(data),
        "unlabeled": int((data.label_index == UNLABELED).sum()),
        "unreadable": _named(data, np.flatnonzero(thumbnails.unreadable)),
        "left_out": {reason: name_rows(names) for reason, names in data.left_out.items()},
        "near_duplicates": {"groups": int((sizes > 1).sum()), "rows": int(sizes[sizes > 1].sum())},
        "across_splits": _named(data, np.flatnonzero(leaking)),
        "label_conflicts": {
            "count": len(conflicts),
            "groups": [_with_labels(data, group, number) for number in conflicts[:NAMES_SHOWN]],
        },
    }
    if data.group is not None:
        report["known_near_duplicates"] = _agreement(pairs, data.group)
    return dict(plain(report))


def near_duplicate_groups(pictures: Sequence[Image]) -> IntArray:
    """``(N,)`` equal numbers for pictures that are the same but for scaling and compression."""
    thumbnails = _make_thumbnails(pictures.__getitem__, len(pictures))
    return _groups_of_pairs(_near_duplicate_pairs(thumbnails), len(pictures))


def _agreement(pairs: IntArray, group: IntArray) -> dict[str, Any]:
    """Recall and precision of the found pairs against known groups."""
    _, sizes = np.unique(group, return_counts=True)
    known = int((sizes * (sizes - 1) // 2).sum())
    right = int((group[pairs[:, 0]] == group[pairs[:, 1]]).sum())
    return {
        "pairs": known,
        "found": len(pairs),
        "recall": right / known if known else None,
        "precision": right / len(pairs) if len(pairs) else None,
    }


def _counts(data: LabeledSet) -> dict[str, dict[str, int]]:
    return {
        str(split) or "-": {
            label.value: count for label, count in data.take(data.split == split).counts().items()
        }
        for split in np.unique(data.split)
    }


def _named(data: LabeledSet, rows: IntArray) -> dict[str, Any]:
    return name_rows([data.names[row] for row in rows])


def _with_labels(data: LabeledSet, group: IntArray, number: int) -> dict[str, str]:
    rows = np.flatnonzero((group == number) & (data.label_index != UNLABELED))
    return {data.names[row]: data.labels[data.label_index[row]].value for row in rows}


@dataclass(frozen=True, slots=True, eq=False)
class _Thumbnails:
    """Every picture as two small ones.

    Attributes:
        coarse: ``(N, 64)`` float32, of mean 0 and length 1; 0 where there is no picture.
        fine: ``(N, 576)`` in the same form.
        unreadable: ``(N,)`` whether the picture could not be read.
    """

    coarse: FloatArray
    fine: FloatArray
    unreadable: npt.NDArray[np.bool_]


def _make_thumbnails(
    load: Callable[[int], Image], count: int, progress: Progress | None = None
) -> _Thumbnails:
    """Read every picture once."""
    coarse = np.zeros((count, _COARSE_SIDE**2), np.float32)
    fine = np.zeros((count, _FINE_SIDE**2), np.float32)
    unreadable = np.zeros(count, np.bool_)
    for index in range(count):
        try:
            gray = imaging.to_gray(load(index))
        except ImageReadError:
            unreadable[index] = True
            continue
        coarse[index] = _normalized(gray, _COARSE_SIDE)
        fine[index] = _normalized(gray, _FINE_SIDE)
        if progress is not None:
            progress(index + 1, count)
    return _Thumbnails(coarse, fine, unreadable)


def _normalized(gray: npt.NDArray[np.uint8], side: int) -> FloatArray:
    small = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA)
    values = np.asarray(small, np.float32).reshape(-1)
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > _MIN_CONTRAST * side else np.zeros_like(values)


def _near_duplicate_pairs(thumbnails: _Thumbnails) -> IntArray:
    """All pairs of pictures that are the same: ``(P, 2)`` rows, the smaller first."""
    pairs = []
    coarse, fine = thumbnails.coarse, thumbnails.fine
    for start in range(0, len(coarse), _BLOCK):
        block = coarse[start : start + _BLOCK]
        alike = np.flatnonzero(block @ coarse[start:].T > _COARSE_CORRELATION)
        first, second = np.divmod(alike, len(coarse) - start)
        later = second > first
        first, second = first[later] + start, second[later] + start
        same = np.einsum("nd,nd->n", fine[first], fine[second]) > _MIN_CORRELATION
        pairs.append(np.stack([first[same], second[same]], axis=1))
    return np.concatenate([np.empty((0, 2), np.int64), *pairs])


def _groups_of_pairs(pairs: IntArray, count: int) -> IntArray:
    """``(count,)`` the smallest row that each row is connected with, itself included."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for a, b in pairs.tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return np.array([root(row) for row in range(count)], np.int64)


def _leaking_rows(group: IntArray, split: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """``(N,)`` mask of the training rows with near-duplicates in another split."""
    train = split == "train"
    held_out = ~train & (split != "")
    return np.asarray(train & np.isin(group, group[held_out]))


def _conflicting_groups(group: IntArray, label_index: IntArray) -> IntArray:
    """Numbers of the groups whose rows do not all have the same label; unlabeled rows apart."""
    labeled = label_index != UNLABELED
    pairs = np.unique(np.stack([group[labeled], label_index[labeled]], axis=1), axis=0)
    numbers, counts = np.unique(pairs[:, 0], return_counts=True)
    return np.asarray(numbers[counts > 1], np.int64)
