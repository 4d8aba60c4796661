"""Reading labeled data sets in their usual formats; see :func:`read_data`."""

from pathlib import Path
from typing import cast, get_args

from mien.errors import DataError
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.readers.fer2013 import (
    Labeling,
    has_ferplus_folders,
    is_fer2013,
    read_fer2013,
    read_ferplus_folders,
    read_npz,
)
from mien.evaluation.readers.tables import (
    has_class_folders,
    has_columns,
    read_class_folders,
    read_header,
    read_table,
)
from mien.labels import ReadLabels, known_labels

_FER2013_FILE = "fer2013.csv"
_TABLE_FILES = ("labels.csv", "label.csv")

_EXPECTED = (
    "one folder for each expression, a CSV file with the columns image and expression, Kaggle's "
    "fer2013.csv (with FER+'s fer2013new.csv beside it or without), FER+'s folders of PNG files "
    "with label.csv, or a .npz file with images and votes"
)


def read_data(
    path: Path, labeling: str = "ferplus", read_labels: ReadLabels = known_labels
) -> LabeledSet:
    """Read a labeled data set in any of these formats.

    Args:
        path: a folder with one folder for each expression; a CSV file of ``image,expression``;
            Kaggle's ``fer2013.csv``, with FER+'s ``fer2013new.csv`` beside it or without; FER+'s
            folders of PNG files; or a ``.npz`` file with pictures and votes.
        labeling: ``"ferplus"`` or ``"fer2013"``: which labels, where a data set has both.
        read_labels: what the names of folders and in tables mean; by default one of the eight
            expressions.

    Raises:
        DataError: another labeling, there is no such file or folder, or it is in another format.
    """
    if labeling not in get_args(Labeling):
        known = ", ".join(get_args(Labeling))
        raise DataError(f"expected a labeling out of {known}, got {labeling!r}")
    chosen = cast(Labeling, labeling)
    path = Path(path)
    if not path.exists():
        raise DataError(f"expected a labeled data set at {path}, but nothing is there")
    if path.is_dir():
        return _read_folder(path, chosen, read_labels)
    if path.suffix.lower() == ".npz":
        return read_npz(path, chosen)
    if path.suffix.lower() == ".csv":
        return _read_csv(path, chosen, read_labels)
    raise DataError(f"expected {_EXPECTED}; got {path}")


def _read_folder(folder: Path, labeling: Labeling, read_labels: ReadLabels) -> LabeledSet:
    if (folder / _FER2013_FILE).is_file():
        return read_fer2013(folder / _FER2013_FILE, labeling=labeling)
    for name in _TABLE_FILES:
        table = folder / name
        if table.is_file() and _has_table_header(table):
            return read_table(table, read_labels)
    if has_ferplus_folders(folder):
        return read_ferplus_folders(folder)
    if has_class_folders(folder, read_labels):
        return read_class_folders(folder, read_labels)
    raise DataError(f"expected {_EXPECTED}; {folder} is a folder with none of these")


def _read_csv(path: Path, labeling: Labeling, read_labels: ReadLabels) -> LabeledSet:
    header = read_header(path)
    if is_fer2013(header):
        return read_fer2013(path, labeling=labeling)
    if "image name" in [name.lower() for name in header] and "NF" in header:
        raise DataError(
            f"{path} holds FER+'s votes but no pictures: use fer2013.csv with this file beside "
            "it, or the folder of PNG files"
        )
    return read_table(path, read_labels)


def _has_table_header(path: Path) -> bool:
    """FER+'s label.csv has no header, that of a table of pictures has one."""
    return has_columns(read_header(path))
