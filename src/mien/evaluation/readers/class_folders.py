"""Pictures in one folder for each expression, with or without a folder for each split above."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.evaluation.dataset import SUBJECT, FileImages, LabeledSet, TextArray
from mien.evaluation.readers.tables import parse_split, read_rows, split_rows
from mien.labels import Expression, parse_expression
from mien.media.formats import SUFFIXES
from mien.media.images import read_image

_INFO = "info.csv"


def read_class_folders(folder: Path) -> LabeledSet:
    """Read ``folder/<expression>/*.jpg`` or ``folder/<split>/<expression>/*.jpg``.

    Folders may be named in any of the field's spellings; those that name no expression are left
    out by name. ``info.csv`` beside them adds columns to slice by: its first column holds file
    names or their stems, and pictures that share one become one ``subject``.

    Raises:
        DataError: there is no folder that names an expression, or no picture in them.
    """
    found: list[tuple[Path, Expression, str]] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    for inner in _folders(folder):
        split = parse_split(inner.name)
        for class_folder in [inner] if split is None else _folders(inner):
            pictures, others = _pictures(class_folder)
            name = str(class_folder.relative_to(folder))
            try:
                label = parse_expression(class_folder.name)
            except DataError:
                left_out["the folder names no expression"].append(name)
                continue
            found.extend((path, label, split or "") for path in pictures)
            left_out["the file is no picture by its ending"].extend(
                str(path.relative_to(folder)) for path in others
            )
    if not found:
        raise DataError(
            f"expected pictures in folders named after expressions (neutral, happiness, …) in "
            f"{folder}, found none"
        )
    labels = tuple(Expression)
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


def has_class_folders(folder: Path) -> bool:
    """Whether some folder in it names an expression, or a split."""
    return any(parse_split(inner.name) or _is_expression(inner.name) for inner in _folders(folder))


def _is_expression(name: str) -> bool:
    try:
        parse_expression(name)
    except DataError:
        return False
    return True


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
