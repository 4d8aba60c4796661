"""What is wrong with a labeled data set before anything is trained or measured on it."""

from typing import Any

import numpy as np

from mien.evaluation import duplicates
from mien.evaluation.dataset import UNLABELLED, IntArray, LabeledSet
from mien.evaluation.figures import plain
from mien.evaluation.predict import Progress

_SHOWN = 50


def check(data: LabeledSet, progress: Progress | None = None) -> dict[str, Any]:
    """Count classes, unreadable files, label conflicts and near-duplicates.

    Args:
        data: the labeled set.
        progress: is told how many pictures are read.

    Returns:
        Plain numbers and names, ready for JSON: ``n``; ``counts`` of each label in each split
        (``"-"`` without splits); ``unlabeled``; ``unreadable``; ``left_out``;
        ``near_duplicates`` with the number of ``groups`` and ``rows`` in them; ``across_splits``,
        the training rows that are twins of held-out ones; ``label_conflicts``, groups of twins
        with different labels; and where the data set itself tells its near-duplicates,
        ``known_near_duplicates`` with the recall and precision of those found here.
    """
    thumbnails = duplicates.make_thumbnails(data, progress)
    pairs = duplicates.near_duplicate_pairs(thumbnails)
    group = duplicates.groups_of_pairs(pairs, len(data))
    leaking = duplicates.leaking_rows(group, data.split)
    conflicts = duplicates.conflicting_groups(group, data.label_index)
    _, sizes = np.unique(group, return_counts=True)
    document = {
        "data": data.name,
        "n": len(data),
        "counts": _counts(data),
        "unlabeled": int((data.label_index == UNLABELLED).sum()),
        "unreadable": _named(data, np.flatnonzero(thumbnails.unreadable)),
        "left_out": {
            reason: {"count": len(names), "names": list(names[:_SHOWN])}
            for reason, names in data.left_out.items()
        },
        "near_duplicates": {"groups": int((sizes > 1).sum()), "rows": int(sizes[sizes > 1].sum())},
        "across_splits": _named(data, np.flatnonzero(leaking)),
        "label_conflicts": {
            "count": len(conflicts),
            "groups": [_with_labels(data, group, number) for number in conflicts[:_SHOWN]],
        },
    }
    if data.group is not None:
        document["known_near_duplicates"] = agreement(pairs, data.group)
    return dict(plain(document))


def agreement(pairs: IntArray, group: IntArray) -> dict[str, Any]:
    """How well the found pairs agree with known groups.

    Args:
        pairs: ``(P, 2)`` rows.
        group: ``(N,)`` equal numbers for near-duplicates.
    """
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
    return {"count": len(rows), "names": [data.names[row] for row in rows[:_SHOWN]]}


def _with_labels(data: LabeledSet, group: IntArray, number: int) -> dict[str, str]:
    rows = np.flatnonzero((group == number) & (data.label_index != UNLABELLED))
    return {data.names[row]: data.labels[data.label_index[row]].value for row in rows}
