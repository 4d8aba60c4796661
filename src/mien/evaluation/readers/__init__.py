"""Reading labeled data sets in their usual formats; see :func:`read_data`."""

from pathlib import Path
from typing import cast, get_args

from mien.errors import DataError
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.readers.fer2013 import Labeling, read_fer2013
from mien.evaluation.readers.tables import is_table, read_class_folders, read_table
from mien.labels import ReadLabels, known_labels

_FER2013_FILE = "fer2013.csv"
_TABLE_FILES = ("labels.csv", "label.csv")

_EXPECTED = (
    "one folder for each expression, a CSV file with the columns image and label, Kaggle's "
    "fer2013.csv (with FER+'s fer2013new.csv beside it or without), FER+'s folders of PNG files "
    "with label.csv, or a .npz file with images and votes"
)


def read_data(
    path: Path, labeling: str = "ferplus", read_labels: ReadLabels = known_labels
) -> LabeledSet:
    """Read a labeled data set in any of these formats.

    Args:
        path: a folder with one folder for each expression; a CSV file of ``image,label``;
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
    if path.is_file():
        found = read_fer2013(path, chosen)
        if found is None and path.suffix.lower() in (".csv", ".tsv", ".txt"):
            return read_table(path, read_labels)
    else:
        found = _read_folder(path, chosen, read_labels)
    if found is None:
        raise DataError(f"expected {_EXPECTED}; {path} is none of these")
    return found


def _read_folder(folder: Path, labeling: Labeling, read_labels: ReadLabels) -> LabeledSet | None:
    if (folder / _FER2013_FILE).is_file():
        return read_fer2013(folder / _FER2013_FILE, labeling)
    for name in _TABLE_FILES:
        if is_table(folder / name):
            return read_table(folder / name, read_labels)
    found = read_fer2013(folder, labeling)
    return read_class_folders(folder, read_labels) if found is None else found
