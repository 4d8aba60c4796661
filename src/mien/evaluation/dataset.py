"""A labeled data set, whatever form it lay in."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.labels import Expression
from mien.types import FloatArray, Image

IntArray = npt.NDArray[np.int64]
TextArray = npt.NDArray[np.str_]

UNLABELLED = -1
"""In ``label_index``: the row has no usable label."""

SUBJECT = "subject"
"""The column that tells who is in the picture, where a data set has one."""

SPLITS = ("train", "valid", "test")


class ImageSource(Protocol):
    """Pictures by their number; what is not in memory is read when asked for."""

    def __len__(self) -> int: ...

    def load(self, index: int) -> Image:
        """One picture: ``(H, W)`` or ``(H, W, 3)`` RGB uint8.

        Raises:
            ImageReadError: it cannot be read.
        """
        ...

    def take(self, indices: IntArray) -> "ImageSource":
        """Some of the pictures, in that order."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArrayImages:
    """Pictures of one size in memory.

    Attributes:
        array: ``(M, H, W)`` or ``(M, H, W, 3)`` uint8.
        rows: ``(N,)`` which of them.
    """

    array: Image
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def load(self, index: int) -> Image:
        picture: Image = self.array[self.rows[index]]
        return picture

    def take(self, indices: IntArray) -> "ArrayImages":
        return ArrayImages(self.array, self.rows[indices])


@dataclass(frozen=True, slots=True, eq=False)
class FileImages:
    """Pictures in files.

    Attributes:
        paths: of the files.
        read: reads one.
    """

    paths: Sequence[Path]
    read: Callable[[Path], Image]

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> Image:
        return self.read(self.paths[index])

    def take(self, indices: IntArray) -> "FileImages":
        return FileImages([self.paths[i] for i in indices], self.read)


@dataclass(frozen=True, slots=True, eq=False)
class LabeledSet:
    """Pictures with the expressions that people gave them. Row ``i`` is the same in every field.

    Attributes:
        name: of the data set, for reports.
        labels: ``(K,)`` the expressions that the numbers in ``label_index`` mean.
        label_index: ``(N,)``; :data:`UNLABELLED` where a row has no usable label.
        names: ``(N,)`` what reports call a picture: its path in the data set, or its row.
        images: the ``N`` pictures.
        split: ``(N,)`` "train", "valid", "test", or "" where the data set has no splits.
        group: ``(N,)`` equal numbers for near-duplicate pictures, or None where the data set does
            not tell; see :func:`mien.evaluation.duplicates.near_duplicate_groups`.
        votes: ``(N, V)`` uint8, how many people chose each of ``vote_names``, or None.
        vote_names: ``(V,)``.
        columns: further columns by name, each ``(N,)`` text, to slice by.
        face_crops: whether the pictures are tight crops of one face each, not photographs.
        boxes_xyxy: ``(N, 4)`` float32 where the labeled face is, NaN where that is not known; or
            None.
        left_out: the rows that could not be used, by reason: the names of the pictures or folders.
    """

    name: str
    labels: tuple[Expression, ...]
    label_index: IntArray
    names: tuple[str, ...]
    images: ImageSource
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
        """
        return self.images.load(index)

    @property
    def pixels(self) -> Image | None:
        """All pictures as one ``(N, H, W)`` array where they are in memory, else None."""
        if not isinstance(self.images, ArrayImages):
            return None
        return self.images.array[self.images.rows]

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
            images=self.images.take(wanted),
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

    def labeled(self) -> "LabeledSet":
        """The rows that have a usable label."""
        return self.take(self.label_index != UNLABELLED)

    def counts(self) -> dict[Expression, int]:
        """How many rows each expression has."""
        return {
            label: int((self.label_index == index).sum()) for index, label in enumerate(self.labels)
        }
