"""Which rows are learned from, which are chosen by, and how their labels are numbered."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien.errors import DataError, ImageReadError
from mien.evaluation.dataset import UNLABELED, LabeledSet
from mien.labels import Expression

_VALID_SHARE = 0.1


def renumbered(data: LabeledSet, labels: Sequence[Expression]) -> npt.NDArray[np.int64]:
    """``(N,)`` each row's label as its place in ``labels``; -1 where it has none of them."""
    places = [labels.index(label) if label in labels else UNLABELED for label in data.labels]
    # Numbers count from the end as well: the appended one is what UNLABELED reads.
    return np.array([*places, UNLABELED], np.int64)[data.label_index]


def valid_rows(data: LabeledSet, seed: int) -> npt.NDArray[np.bool_]:
    """The valid split; a tenth of the groups of near-duplicates where there is none."""
    valid = data.split == "valid"
    if valid.any():
        return np.asarray(valid)
    groups = np.arange(len(data)) if data.group is None else data.group
    names = np.unique(groups)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(names)[: max(1, round(len(names) * _VALID_SHARE))]
    return np.asarray(np.isin(groups, chosen) & (data.split != "test"))


def in_groups_of(data: LabeledSet, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Near-duplicates of the given rows, those rows among them."""
    if data.group is None:
        return np.zeros(len(data), np.bool_)
    return np.asarray(np.isin(data.group, data.group[rows]))


def readable_rows(data: LabeledSet) -> npt.NDArray[np.bool_]:
    """Whether each picture can be read."""
    readable = np.ones(len(data), np.bool_)
    for row in range(len(data)):
        try:
            data.load(row)
        except ImageReadError:
            readable[row] = False
    return readable


def check_variety(shares: npt.ArrayLike, name: str) -> None:
    """Whether there is something to tell apart.

    Args:
        shares: ``(K,)`` how much of each label there is to learn from.
        name: of the data set.

    Raises:
        DataError: fewer than two labels occur.
    """
    if np.count_nonzero(np.asarray(shares)) < 2:
        raise DataError(f"expected two expressions or more to tell apart in {name}, found one")
