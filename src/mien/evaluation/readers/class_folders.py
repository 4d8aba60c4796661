"""Pictures in one folder for each expression, with or without a folder for each split above."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.evaluation.dataset import SUBJECT, FileImages, LabeledSet, TextArray, all_labels
from mien.evaluation.readers.tables import parse_split, read_rows, split_rows
from mien.labels import Expression, ReadLabels, known_labels
from mien.media.formats import SUFFIXES
from mien.media.images import read_image

_INFO = "info.csv"


def read_class_folders(folder: Path, read_labels: ReadLabels = known_labels) -> LabeledSet:
    """Read ``folder/<expression>/*.jpg`` or ``folder/<split>/<expression>/*.jpg``.

    Folders may be named in any of the field's spellings; those that name no expression are left
    out by name. ``info.csv`` beside them adds columns to slice by: its first column holds file
    names or their stems, and pictures that share one become one ``subject``.

    Raises:
        DataError: there is no folder that names an expression, or no picture in them.
    """
    found: list[tuple[Path, Expression, str]] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    class_folders = _class_folders(folder)
    meaning = read_labels({inner.name for inner, _ in class_folders})
    for class_folder, split in class_folders:
        pictures, others = _pictures(class_folder)
        if class_folder.name not in meaning:
            left_out["the folder names no expression"].append(str(class_folder.relative_to(folder)))
            continue
        found.extend((path, meaning[class_folder.name], split) for path in pictures)
        left_out["the file is no picture by its ending"].extend(
            str(path.relative_to(folder)) for path in others
        )
    if not found:
        raise DataError(
            f"expected pictures in folders named after expressions (neutral, happiness, …) in "
            f"{folder}, found none"
        )
    labels = all_labels(label for _, label, _ in found)
    return LabeledSet(
        name=folder.resolve().name,
        labels=labels,
        label_index=np.array([labels.index(label) for _, label, _ in found], np.int64),
        names=tuple(str(path.relative_to(folder)) for path, _, _ in found),
        images=FileImages([path for path, _, _ in found], read_image),
        split=np.array([split for _, _, split in found], np.str_),
        columns=_info_columns(folder / _INFO, [path for path, _, _ in found]),
        left_out={reason: tuple(names) for reason, names in left_out.items() if names},
    )


def has_class_folders(folder: Path, read_labels: ReadLabels = known_labels) -> bool:
    """Whether some folder in it names a label, or a split."""
    names = [inner.name for inner in _folders(folder)]
    return any(parse_split(name) for name in names) or bool(read_labels(names))


def _class_folders(folder: Path) -> list[tuple[Path, str]]:
    """The folders of the labels with their split, or an empty text."""
    return [
        (class_folder, split or "")
        for inner in _folders(folder)
        for split in [parse_split(inner.name)]
        for class_folder in ([inner] if split is None else _folders(inner))
    ]


def _folders(folder: Path) -> list[Path]:
    return sorted(
        inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith(".")
    )


def _pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    return pictures, [path for path in files if path.suffix.lower() not in SUFFIXES]


def _info_columns(path: Path, pictures: list[Path]) -> dict[str, TextArray]:
    if not path.is_file():
        return {}
    header, rows, _ = split_rows(read_rows(path), path)
    by_key = {Path(row[0]).stem: row for _, row in rows}
    empty = [""] * len(header)
    matched = [by_key.get(picture.stem, empty) for picture in pictures]
    columns = {
        name: np.array([row[at] for row in matched], np.str_)
        for at, name in enumerate(header)
        if at > 0
    }
    return {**columns, SUBJECT: np.array([picture.stem for picture in pictures], np.str_)}
