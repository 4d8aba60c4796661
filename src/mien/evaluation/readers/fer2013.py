"""FER2013 as it is distributed, with or without FER+'s votes."""

import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.evaluation.dataset import FERPLUS_COLUMNS, UNLABELED, LabeledSet, majority_label
from mien.evaluation.readers.tables import (
    column_of,
    iterate_rows,
    parse_split,
    read_header,
    split_rows,
)
from mien.labels import FER2013_ORDER, Expression
from mien.types import Image

Labeling = Literal["ferplus", "fer2013"]
"""Whose labels: the ten people of FER+, or the single one that came with FER2013."""


_VOTES_FILE = "fer2013new.csv"
_FOLDER_TABLE = "label.csv"
_SPLIT_FOLDERS = {"FER2013Train": "train", "FER2013Valid": "valid", "FER2013Test": "test"}
_SIDE = 48
_BAD_PIXELS = f"the row is damaged, or its pixels are not {_SIDE}×{_SIDE} numbers up to 255"


def read_fer2013(path: Path, labeling: Labeling) -> LabeledSet | None:
    """Read FER2013 in one of its formats; None where a file or folder has none of them.

    Args:
        path: Kaggle's ``fer2013.csv`` (``emotion,pixels,Usage``), where FER+'s ``fer2013new.csv``
            may be beside it; the folder of PNG files that FER+'s own script writes; or a ``.npz``
            file with ``images (N, 48, 48)``, ``split``, ``votes (N, V)`` and ``vote_names``.
        labeling: ``"fer2013"`` uses FER2013's own labels even where there are votes.

    Raises:
        DataError: the file is damaged, its votes are of other rows, or it lacks the labels.
    """
    if path.is_dir():
        tables = [path / _VOTES_FILE, path / _FOLDER_TABLE]
        tables += [path / name / _FOLDER_TABLE for name in _SPLIT_FOLDERS]
        return _read_folders(path) if any(table.is_file() for table in tables) else None
    if path.suffix.lower() == ".npz":
        return _read_npz(path, labeling)
    header = read_header(path) if path.suffix.lower() == ".csv" else []
    if column_of(header, ("pixels",)) is not None:
        return _read_csv(path, labeling)
    if "image name" in [name.lower() for name in header] and "NF" in header:
        raise DataError(
            f"{path} holds FER+'s votes but no pictures: use fer2013.csv with this file beside "
            "it, or the folder of PNG files"
        )
    return None


def _read_csv(path: Path, labeling: Labeling) -> LabeledSet:
    """Kaggle's file; its rows and those of FER+'s votes are in the same order."""
    table = _read_pictures(path)
    votes = None
    if labeling == "ferplus":
        beside = path.with_name(_VOTES_FILE)
        votes = _votes_in_order(beside, table.split) if beside.is_file() else None
    labels = FER2013_ORDER if votes is None else tuple(Expression)
    label_index = (
        np.array(table.emotion) if votes is None else majority_label(votes, FERPLUS_COLUMNS, labels)
    )
    whole = LabeledSet(
        name=path.stem,
        labels=labels,
        label_index=label_index.astype(np.int64),
        names=tuple(table.names),
        images=table.images,
        split=np.array(table.split, np.str_),
        votes=votes,
        vote_names=() if votes is None else FERPLUS_COLUMNS,
        face_crops=True,
        left_out={_BAD_PIXELS: tuple(table.damaged)} if table.damaged else {},
    )
    # Damaged rows kept their place until the votes were joined.
    return whole.take([name not in set(table.damaged) for name in table.names])


@dataclass
class _Pictures:
    images: list[Image] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    emotion: list[int] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def _read_pictures(path: Path) -> _Pictures:
    """Every row, one at a time: the text of the file is four times as large as its pictures."""
    rows = iterate_rows(path)
    _, header = next(rows, (0, []))
    pixels_at, emotion_at, usage_at = (
        column_of(header, (name,)) for name in ("pixels", "emotion", "usage")
    )
    if pixels_at is None:
        raise DataError(f"expected the column pixels in {path}, got {', '.join(header)}")
    table = _Pictures()
    for number, (_, row) in enumerate(rows):
        whole = len(row) == len(header)
        picture = _parse_pixels(row[pixels_at]) if whole else None
        name = f"row {number}"
        if picture is None:
            table.damaged.append(name)
        table.images.append(np.zeros((_SIDE, _SIDE), np.uint8) if picture is None else picture)
        table.names.append(name)
        usage = row[usage_at] if whole and usage_at is not None else ""
        table.split.append(parse_split(usage) or "")
        emotion = row[emotion_at] if whole and emotion_at is not None else ""
        table.emotion.append(_parse_label(emotion))
    if len(table.damaged) == len(table.names):
        raise DataError(f"expected pictures of {_SIDE}×{_SIDE} numbers in {path}, found none")
    return table


def _parse_pixels(text: str) -> Image | None:
    try:
        values = np.array(text.split(), np.int64)
    except ValueError:
        return None
    if len(values) != _SIDE * _SIDE or values.min() < 0 or values.max() > 255:
        return None
    return values.astype(np.uint8).reshape(_SIDE, _SIDE)


def _parse_label(text: str) -> int:
    return int(text) if text.isdigit() and int(text) < len(FER2013_ORDER) else UNLABELED


def _votes_in_order(path: Path, split: list[str]) -> npt.NDArray[np.uint8]:
    """The votes of every row, checked to be about the same rows by their splits."""
    header, rows, cut = split_rows(path)
    usage_at = column_of(header, ("usage",))
    places = [column_of(header, (name.lower(),)) for name in FERPLUS_COLUMNS]
    if usage_at is None or None in places:
        raise DataError(
            f"expected FER+'s columns Usage, {', '.join(FERPLUS_COLUMNS)} in {path}, "
            f"got {', '.join(header)}"
        )
    theirs = [parse_split(row[usage_at]) or "" for _, row in rows]
    # A row that is damaged in fer2013.csv has no split.
    fits = len(theirs) == len(split) and all(
        ours in ("", their) for ours, their in zip(split, theirs, strict=True)
    )
    if cut or not fits:
        raise DataError(
            f"expected in {path} the same rows in the same order as in fer2013.csv, since the two "
            f"have nothing but the order in common; got {len(rows)} rows for {len(split)}, or "
            "another order of Usage"
        )
    return np.array([_parse_votes([row[at] for at in places if at is not None]) for _, row in rows])


def _parse_votes(fields: list[str]) -> npt.NDArray[np.uint8]:
    """Votes of one row; an unreadable row has no votes."""
    if not all(field.isdigit() and int(field) < 256 for field in fields):
        return np.zeros(len(fields), np.uint8)
    return np.array([int(field) for field in fields], np.uint8)


def _read_folders(folder: Path) -> LabeledSet:
    """PNG files in ``FER2013Train``, ``FER2013Valid`` and ``FER2013Test``.

    Each has a ``label.csv`` of name, box and votes, or one ``fer2013new.csv`` is above them.
    Pictures and votes join by the name of the file: the number in it is no row number.
    """
    named = _named_votes(folder)
    labels = tuple(Expression)
    there = [entry for entry in named if entry[0].is_file()]
    absent = tuple(str(path.relative_to(folder)) for path, _, _ in named if not path.is_file())
    if not there:
        raise DataError(f"expected the pictures that the tables in {folder} name, found none")
    votes = np.array([row for _, row, _ in there], np.uint8)
    return LabeledSet(
        name=folder.resolve().name,
        labels=labels,
        label_index=majority_label(votes, FERPLUS_COLUMNS, labels),
        names=tuple(str(path.relative_to(folder)) for path, _, _ in there),
        images=[path for path, _, _ in there],
        split=np.array([split for _, _, split in there], np.str_),
        votes=votes,
        vote_names=FERPLUS_COLUMNS,
        face_crops=True,
        left_out={"the file is missing": absent} if absent else {},
    )


def _named_votes(folder: Path) -> list[tuple[Path, npt.NDArray[np.uint8], str]]:
    """Path, votes and split of every picture that a table names."""
    width = len(FERPLUS_COLUMNS)
    entries = []
    for inner in [folder, *(folder / name for name in _SPLIT_FOLDERS)]:
        if (inner / _FOLDER_TABLE).is_file():
            split = _SPLIT_FOLDERS.get(inner.resolve().name, "")
            for _, row in iterate_rows(inner / _FOLDER_TABLE):
                # With the box or without it, the votes are the last fields.
                if len(row) > width and row[0]:
                    entries.append((inner / row[0], _parse_votes(row[-width:]), split))
    if entries or not (folder / _VOTES_FILE).is_file():
        return entries
    header, rows, _ = split_rows(folder / _VOTES_FILE)
    name_at, usage_at = column_of(header, ("image name",)), column_of(header, ("usage",))
    if name_at is None or usage_at is None:
        raise DataError(f"expected FER+'s columns in {folder / _VOTES_FILE}, got {header}")
    folder_of = {split: folder / name for name, split in _SPLIT_FOLDERS.items()}
    for _, row in rows:
        if row[name_at]:
            split = parse_split(row[usage_at]) or ""
            entries.append(
                (folder_of.get(split, folder) / row[name_at], _parse_votes(row[-width:]), split)
            )
    return entries


_ARRAYS = ("images", "split", "votes", "vote_names")


def _read_npz(path: Path, labeling: Labeling) -> LabeledSet:
    """A file of arrays.

    ``row``, ``dup_group`` (near-duplicates share a number) and ``fer_label`` are used where they
    are there; ``fer_label`` counts in FER2013's own order, -1 meaning unknown.
    """
    try:
        # NumPy leaves a file open that it opened itself and cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"expected a NumPy .npz file at {path}, but: {error}") from None
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise DataError(
            f"expected the arrays {', '.join(_ARRAYS)} in {path}, found no {', '.join(missing)}"
        )
    images = arrays["images"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(
            f"expected images of shape (N, H, W) or (N, H, W, 3) and type uint8 in {path}, "
            f"got {images.shape} and {images.dtype}"
        )
    vote_names = tuple(str(name) for name in arrays["vote_names"])
    if labeling == "fer2013":
        if "fer_label" not in arrays:
            raise DataError(f"expected the array fer_label in {path} for FER2013's own labels")
        labels = FER2013_ORDER
        label_index = arrays["fer_label"].astype(np.int64)
        label_index[(label_index < 0) | (label_index >= len(labels))] = UNLABELED
    else:
        labels = tuple(Expression)
        label_index = majority_label(arrays["votes"], vote_names, labels)
    rows = arrays.get("row", np.arange(len(label_index)))
    return LabeledSet(
        name=path.stem,
        labels=labels,
        label_index=label_index,
        names=tuple(f"row {row}" for row in rows),
        images=images,
        split=arrays["split"].astype(np.str_),
        group=arrays["dup_group"].astype(np.int64) if "dup_group" in arrays else None,
        votes=arrays["votes"].astype(np.uint8),
        vote_names=vote_names,
        face_crops=True,
    )
