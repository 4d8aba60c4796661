"""From the votes of several people on one picture to a label, or to a distribution of labels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien.errors import DataError, InputError
from mien.labels import Expression, parse_expression
from mien.types import FloatArray

FERPLUS_COLUMNS: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""The vote columns of FER+'s fer2013new.csv, in order; ``NF`` means no face."""

_FEWEST_VOTES = 2


def majority_label(
    votes: npt.ArrayLike, vote_names: Sequence[str], labels: Sequence[Expression]
) -> npt.NDArray[np.int64]:
    """The label on which most people agree.

    Method: FER+'s majority rule (Barsoum et al. 2016): a label that fewer than two people chose is
    dropped as a slip; of the votes that remain, "unknown" and "no face" among them, more than half
    must fall on one expression.

    Args:
        votes: ``(N, V)`` whole numbers, at least 0.
        vote_names: ``(V,)`` what each column counts.
        labels: ``(K,)`` the expressions that count.

    Returns:
        ``(N,)`` index into ``labels``; -1 where no expression has the majority.

    Raises:
        InputError: the shapes do not fit.
    """
    counted = _without_slips(votes, vote_names)
    total = counted.sum(axis=1)
    winner = counted.argmax(axis=1)
    clear = 2 * counted.max(axis=1, initial=0) > total
    places = np.array([_place(name, labels) for name in vote_names], np.int64)
    return np.where(clear, places[winner], -1)


def vote_shares(
    votes: npt.ArrayLike, vote_names: Sequence[str], labels: Sequence[Expression]
) -> FloatArray:
    """The votes as a distribution over expressions; votes for anything else do not count.

    Args:
        votes: ``(N, V)`` whole numbers, at least 0.
        vote_names: ``(V,)`` what each column counts.
        labels: ``(K,)`` the expressions that count.

    Returns:
        ``(N, K)`` float32, each row summing to 1, or 0 throughout where nobody chose any of them
        twice.

    Raises:
        InputError: the shapes do not fit.
    """
    counted = _without_slips(votes, vote_names)
    shares = np.zeros((len(counted), len(labels)), np.float32)
    for column, name in enumerate(vote_names):
        place = _place(name, labels)
        if place >= 0:
            shares[:, place] += counted[:, column]
    total = shares.sum(axis=1, keepdims=True)
    np.divide(shares, total, out=shares, where=total > 0)
    return shares


def _without_slips(votes: npt.ArrayLike, vote_names: Sequence[str]) -> npt.NDArray[np.int64]:
    counts = np.asarray(votes).astype(np.int64)
    if counts.ndim != 2 or counts.shape[1] != len(vote_names):
        raise InputError(
            f"expected votes of shape (N, {len(vote_names)}), one column for each of "
            f"{', '.join(vote_names)}, got {counts.shape}"
        )
    return np.where(counts < _FEWEST_VOTES, 0, counts)


def _place(name: str, labels: Sequence[Expression]) -> int:
    try:
        expression = parse_expression(name)
    except DataError:
        return -1
    return list(labels).index(expression) if expression in labels else -1
