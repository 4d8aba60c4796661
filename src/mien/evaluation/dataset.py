"""A labeled data set, independent of its file format, and labels from votes."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import DataError, InputError
from mien.labels import Expression, parse_expression
from mien.media.images import read_image
from mien.types import FloatArray, Image

IntArray = npt.NDArray[np.int64]
TextArray = npt.NDArray[np.str_]

UNLABELED = -1
"""In ``label_index``: the row has no usable label."""

SUBJECT = "subject"
"""The column that names the person in the picture, where a data set has one."""


@dataclass(frozen=True, slots=True, eq=False)
class LabeledSet:
    """Pictures labeled with expressions. Row ``i`` is the same in every field.

    Attributes:
        name: of the data set, for reports.
        labels: ``(K,)`` the expressions that the numbers in ``label_index`` mean.
        label_index: ``(N,)``; :data:`UNLABELED` where a row has no usable label.
        names: ``(N,)`` of the pictures in reports: the path in the data set, or the row.
        images: the ``N`` pictures, ``(H, W)`` gray or ``(H, W, 3)`` RGB uint8 of one size; or the
            paths of their files, which are read on demand.
        split: ``(N,)`` "train", "valid", "test", or "" where the data set has no splits.
        group: ``(N,)`` equal numbers for near-duplicate pictures, or None where that is not
            known.
        votes: ``(N, V)`` uint8, the number of people who chose each of ``vote_names``, or None.
        vote_names: ``(V,)``.
        columns: further columns by name, each ``(N,)`` text, to slice by.
        face_crops: whether the pictures are tight crops of one face each, not photographs.
        boxes_xyxy: ``(N, 4)`` float32 boxes of the labeled faces, NaN where unknown; or None.
        left_out: the rows that could not be used, by reason: the names of the pictures or folders.
    """

    name: str
    labels: tuple[Expression, ...]
    label_index: IntArray
    names: tuple[str, ...]
    images: Sequence[Image] | Sequence[Path]
    split: TextArray
    group: IntArray | None = None
    votes: npt.NDArray[np.uint8] | None = None
    vote_names: tuple[str, ...] = ()
    columns: Mapping[str, TextArray] = field(default_factory=dict)
    face_crops: bool = False
    boxes_xyxy: FloatArray | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {
            "label_index": len(self.label_index),
            "images": len(self.images),
            "split": len(self.split),
            **{name: len(column) for name, column in self.columns.items()},
        }
        for what in ("group", "votes", "boxes_xyxy"):
            array = getattr(self, what)
            if array is not None:
                lengths[what] = len(array)
        wrong = {what: n for what, n in lengths.items() if n != len(self.names)}
        if wrong:
            raise DataError(f"expected {len(self.names)} rows in every column, got {wrong}")

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Image:
        """One picture: ``(H, W)`` gray or ``(H, W, 3)`` RGB uint8.

        Raises:
            ImageReadError: it cannot be read.
            DataError: its box is outside.
        """
        image = self.images[index]
        image = read_image(image) if isinstance(image, Path) else image
        height, width = image.shape[:2]
        box = self.box(index)
        # NaN is neither.
        if box is not None and ((box[:2] >= (width, height)).any() or (box[2:] <= 0).any()):
            raise DataError(
                f"expected a box in the {width}×{height} pixels of {self.names[index]}, got "
                f"{', '.join(f'{value:g}' for value in box)}"
            )
        return image

    def why_unreadable(self, index: int) -> str:
        """The reason under which a picture that cannot be loaded is left out."""
        image = self.images[index]
        if not isinstance(image, Path) or image.exists():
            return "the picture cannot be read"
        if "://" in self.names[index]:
            return "the picture is at a URL: download it, and name the file"
        return "the file is missing"

    @property
    def pixels(self) -> Image | None:
        """All pictures as one ``(N, H, W)`` array where they are in memory, else None."""
        in_memory = [image for image in self.images if not isinstance(image, Path)]
        return np.stack(in_memory) if in_memory else None

    def box(self, index: int) -> FloatArray | None:
        """``(4,)`` the labeled face's box, NaN where it is unknown; None without boxes."""
        return None if self.boxes_xyxy is None else self.boxes_xyxy[index]

    def take(self, rows: npt.ArrayLike) -> "LabeledSet":
        """Some rows.

        Args:
            rows: indices, or an ``(N,)`` mask.
        """
        wanted = np.asarray(rows)
        if wanted.dtype == np.bool_:
            wanted = np.flatnonzero(wanted)
        wanted = wanted.astype(np.int64)
        return dataclasses.replace(
            self,
            label_index=self.label_index[wanted],
            names=tuple(self.names[i] for i in wanted),
            images=[self.images[i] for i in wanted],
            split=self.split[wanted],
            group=None if self.group is None else self.group[wanted],
            votes=None if self.votes is None else self.votes[wanted],
            columns={name: column[wanted] for name, column in self.columns.items()},
            boxes_xyxy=None if self.boxes_xyxy is None else self.boxes_xyxy[wanted],
        )

    def in_split(self, split: str) -> "LabeledSet":
        """The rows of one split.

        Raises:
            DataError: there are none.
        """
        mask = self.split == split
        if not mask.any():
            found = ", ".join(sorted({str(s) or "(none)" for s in self.split}))
            raise DataError(f"expected the split {split!r} in {self.name}, which has: {found}")
        return self.take(mask)

    def relabel(self, labels: tuple[Expression, ...]) -> "LabeledSet":
        """The same rows with other labels in another order; rows of no such label lose theirs."""
        places = [labels.index(label) if label in labels else UNLABELED for label in self.labels]
        # UNLABELED is -1 and reads the last entry.
        index = np.array([*places, UNLABELED], np.int64)[self.label_index]
        return dataclasses.replace(self, labels=labels, label_index=index)

    def targets(self) -> FloatArray:
        """``(N, K)`` shares of the labels: of the votes where there are votes, else all for one."""
        if self.votes is not None:
            return _vote_shares(self.votes, self.vote_names, self.labels)
        table = np.zeros((len(self), len(self.labels)), np.float32)
        known = np.flatnonzero(self.label_index != UNLABELED)
        table[known, self.label_index[known]] = 1
        return table

    def labeled(self) -> "LabeledSet":
        """The rows that have a usable label."""
        return self.take(self.label_index != UNLABELED)

    def counts(self) -> dict[Expression, int]:
        """Number of rows of each expression."""
        return {
            label: int((self.label_index == index).sum()) for index, label in enumerate(self.labels)
        }


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

_MIN_VOTES = 2


def majority_label(
    votes: npt.ArrayLike, vote_names: Sequence[str], labels: Sequence[Expression]
) -> IntArray:
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


def _vote_shares(
    votes: npt.ArrayLike, vote_names: Sequence[str], labels: Sequence[Expression]
) -> FloatArray:
    """The votes as a distribution ``(N, K)`` over expressions; others do not count.

    Rows are 0 throughout where no expression has two votes. The arguments are those of
    :func:`majority_label`.
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


def _without_slips(votes: npt.ArrayLike, vote_names: Sequence[str]) -> IntArray:
    counts = np.asarray(votes).astype(np.int64)
    if counts.ndim != 2 or counts.shape[1] != len(vote_names):
        raise InputError(
            f"expected votes of shape (N, {len(vote_names)}), one column for each of "
            f"{', '.join(vote_names)}, got {counts.shape}"
        )
    return np.where(counts < _MIN_VOTES, 0, counts)


def _place(name: str, labels: Sequence[Expression]) -> int:
    try:
        expression = parse_expression(name)
    except DataError:
        return -1
    return list(labels).index(expression) if expression in labels else -1
