"""Labels in tables and in names of folders: CSV files of ``image,label``; class folders."""

import contextlib
import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError, InputError
from mien.evaluation.dataset import SUBJECT, IntArray, LabeledSet, TextArray
from mien.files import text_lines
from mien.labels import Expression, ReadLabels, known_labels
from mien.media.formats import SUFFIXES
from mien.tables.csv_files import start_of_table
from mien.types import FloatArray

# A picture of 48×48 as text takes 9 kB; this leaves room for larger ones.
_LONGEST_FIELD = 1 << 22

_IMAGE_COLUMNS = ("image", "path", "file", "filename", "file_name", "image_name", "image name")
_LABEL_COLUMNS = ("expression", "label", "emotion", "class")
_SPLIT_COLUMNS = ("split", "usage", "subset")
_GROUP_COLUMN = "group"
_BOX_COLUMNS = ("x_min", "y_min", "x_max", "y_max")
_UNKNOWN = ("", "nan", "na", "n/a", "none", "null")

_SPLITS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "publictest": "valid",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}


def parse_split(text: str) -> str | None:
    """``"train"``, ``"valid"`` or ``"test"`` for the field's spellings of them; None for others."""
    return _SPLITS.get(text.strip().lower())


def iterate_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the numbers of their (last) lines, one at a time.

    Comma, semicolon or tab is the delimiter. Cells are stripped, and empty rows left out.

    Raises:
        DataError: it cannot be read.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        with contextlib.closing(text_lines(path.open("rb"), str(path))) as lines:
            before, delimiter, rows = start_of_table(lines)
            last_line = before
            # Without strict, a quote that is not closed takes all further rows into its cell.
            reader = csv.reader(rows, delimiter=delimiter, skipinitialspace=True, strict=True)
            for row in reader:
                last_line = before + reader.line_num
                if any(row):
                    yield last_line, [field.strip() for field in row]
    except InputError as error:
        raise DataError(str(error)) from None
    except csv.Error as error:
        raise DataError(
            f"expected a CSV file at {path}, but the row at line {last_line + 1} cannot be "
            f"read: {error}; check its quotes"
        ) from None
    except OSError as error:
        raise DataError(f"expected a CSV file at {path}, but it cannot be read: {error}") from None


def read_header(path: Path) -> list[str]:
    """The first row of a CSV file; empty if there is none."""
    return next((row for _, row in iterate_rows(path)), [])


def column_of(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Index in a header of the first of some names, ignoring case; None where there is none."""
    lower = [name.lower() for name in header]
    return next((lower.index(name) for name in names if name in lower), None)


def split_rows(
    path: Path,
) -> tuple[list[str], list[tuple[int, list[str]]], tuple[str, ...]]:
    """The header, the rows that are as long as it with their line numbers, and the others' names.

    Raises:
        DataError: it cannot be read, or there is no header.
    """
    (_, header), *rows = list(iterate_rows(path)) or [(0, [])]
    if not header:
        raise DataError(f"expected a header and rows in {path}, but it is empty")
    whole = [(number, row) for number, row in rows if len(row) == len(header)]
    cut = tuple(f"line {number}" for number, row in rows if len(row) != len(header))
    return header, whole, cut


def is_table(path: Path) -> bool:
    """Whether there is a CSV file whose header has columns of pictures and labels."""
    header = read_header(path) if path.is_file() else []
    return None not in (column_of(header, _IMAGE_COLUMNS), column_of(header, _LABEL_COLUMNS))


def read_table(path: Path, read_labels: ReadLabels) -> LabeledSet:
    """Read a CSV file with a column of pictures and one of expressions.

    ``image`` holds paths relative to the file, ``expression`` the labels. ``split``, ``group``
    (near-duplicates) and ``x_min``, ``y_min``, ``x_max``, ``y_max`` (where the labeled face is, in
    pixels) are understood where they are there; every further column can be sliced by.

    Raises:
        DataError: it is no such file, or has no usable row.
    """
    header, rows, cut = split_rows(path)
    image_at, label_at = column_of(header, _IMAGE_COLUMNS), column_of(header, _LABEL_COLUMNS)
    if image_at is None or label_at is None:
        raise DataError(
            f"expected the columns image and label (or expression) in {path}, got "
            f"{', '.join(header)}"
        )
    _check_one_column(path, header, [row for _, row in rows], label_at)
    left_out: dict[str, list[str]] = defaultdict(list)
    meaning = read_labels({row[label_at] for _, row in rows})
    kept = [(row, meaning[row[label_at]]) for _, row in rows if row[label_at] in meaning]
    for number, row in rows:
        if not row[label_at]:
            left_out["the label is empty"].append(f"line {number}")
        elif row[label_at] not in meaning:
            left_out[f"the label {row[label_at]!r} is no expression"].append(row[image_at])
    if cut:
        left_out["the row is shorter or longer than the header"].extend(cut)
    if not kept:
        reasons = "".join(
            f"; {reason}: {', '.join(names[:5])}{', …' * (len(names) > 5)}"
            for reason, names in left_out.items()
        )
        raise DataError(f"expected labeled pictures in {path}, found no usable row{reasons}")
    labels = _all_labels(label for _, label in kept)
    split_at = column_of(header, _SPLIT_COLUMNS)
    group_at = column_of(header, (_GROUP_COLUMN,))
    special = {image_at, label_at, split_at, group_at}
    columns = {
        name: np.array([row[at] for row, _ in kept], np.str_)
        for at, name in enumerate(header)
        if at not in special and name.lower() not in _BOX_COLUMNS
    }
    return LabeledSet(
        name=path.parent.name if path.stem == "labels" else path.stem,
        labels=labels,
        label_index=np.array([labels.index(label) for _, label in kept], np.int64),
        names=tuple(row[image_at] for row, _ in kept),
        images=[_picture(path.parent, row[image_at]) for row, _ in kept],
        split=np.array(
            ["" if split_at is None else parse_split(row[split_at]) or "" for row, _ in kept]
        ),
        group=None if group_at is None else _groups([row[group_at] for row, _ in kept]),
        columns=columns,
        boxes_xyxy=_boxes(path, header, [row for row, _ in kept]),
        left_out={reason: tuple(names) for reason, names in left_out.items()},
    )


def _check_one_column(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], label_at: int
) -> None:
    """Refuse two columns of labels that differ in more than numbers for names."""
    for at, name in enumerate(header):
        if at == label_at or name.lower() not in _LABEL_COLUMNS:
            continue
        if any(
            row[at].lower() != row[label_at].lower() and not row[at].isdecimal() for row in rows
        ):
            raise DataError(
                f"expected one column of labels in {path}, got {header[label_at]} and {name}, "
                "which differ: rename the one that is not meant"
            )


def _picture(folder: Path, written: str) -> Path:
    """The path of a cell, also where it is written as on Windows."""
    path = folder / written
    return folder / written.replace("\\", "/") if "\\" in written and not path.exists() else path


def _groups(cells: Sequence[str]) -> IntArray | None:
    """Equal numbers for equal cells; an empty one is a group of its own."""
    if not any(cells):
        return None
    keys = [(cell, -1) if cell else ("", at) for at, cell in enumerate(cells)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)


def _boxes(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> FloatArray | None:
    """Boxes ``(N, 4)``, NaN where the cells are empty.

    Raises:
        DataError: a row has something else than a box that may be in a picture.
    """
    places = [at for name in _BOX_COLUMNS if (at := column_of(header, (name,))) is not None]
    if len(places) < len(_BOX_COLUMNS):
        return None
    boxes = np.full((len(rows), 4), np.nan, np.float32)
    for box, row in zip(boxes, rows, strict=True):
        cells = [row[at].strip() for at in places]
        if all(cell.lower() in _UNKNOWN for cell in cells):
            continue
        with contextlib.suppress(ValueError):
            box[:] = [float(cell) for cell in cells]
        x_min, y_min, x_max, y_max = box.tolist()
        # Of a face that the border cuts, corners may be outside. NaN fails, too.
        if not (1 <= x_max - x_min < math.inf and 1 <= y_max - y_min < math.inf):
            raise DataError(
                f"expected {', '.join(_BOX_COLUMNS)} in pixels, the maxima at least 1 larger, or "
                f"all empty, in {path}, got {', '.join(cells)} for the picture "
                f"{row[column_of(header, _IMAGE_COLUMNS) or 0]}"
            )
    return boxes


_INFO = "info.csv"


def read_class_folders(folder: Path, read_labels: ReadLabels) -> LabeledSet | None:
    """Read ``folder/<expression>/*.jpg``, also below folders of splits or of persons.

    Folders above those of the labels are persons where only the inner ones name labels.
    Folders may be named in any of the field's spellings; those that name no expression are left
    out by name. ``info.csv`` beside them adds columns to slice by: its first column holds file
    names or their stems, and pictures that share one become one ``subject``.

    Returns:
        None where no folder names a label or a split.

    Raises:
        DataError: there is no picture in them, or either level may name the labels.
    """
    outer = _folders(folder)
    names = [inner.name for inner in outer]
    persons = _are_persons(folder, outer, read_labels)
    if not persons and not any(parse_split(name) for name in names) and not read_labels(names):
        return None
    found: list[tuple[Path, Expression, str]] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    class_folders = [(x, "") for y in outer for x in _folders(y)] if persons else _in_splits(outer)
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
            f"expected pictures in folders named after their labels (neutral, happiness, …) in "
            f"{folder}, found none"
        )
    labels = _all_labels(label for _, label, _ in found)
    columns = _info_columns(folder / _INFO, [path for path, _, _ in found])
    if persons:
        of_person = [path.relative_to(folder).parts[0] for path, _, _ in found]
        columns = {**columns, SUBJECT: np.array(of_person, np.str_)}
    return LabeledSet(
        name=folder.resolve().name,
        labels=labels,
        label_index=np.array([labels.index(label) for _, label, _ in found], np.int64),
        names=tuple(str(path.relative_to(folder)) for path, _, _ in found),
        images=[path for path, _, _ in found],
        split=np.array([split for _, _, split in found], np.str_),
        columns=columns,
        left_out={reason: tuple(names) for reason, names in left_out.items() if names},
    )


def _are_persons(folder: Path, outer: Sequence[Path], read_labels: ReadLabels) -> bool:
    """Whether the folders in these name labels, not these: one in several of them, and others."""
    if any(parse_split(inner.name) for inner in outer) or known_labels(x.name for x in outer):
        return False
    inside = [{inner.name for inner in _folders(x)} for x in outer]
    if len({name for names in inside for name in names}) < 2:
        return False
    for read in (known_labels, read_labels):
        meant = [_meanings(names, read) for names in inside]
        if max(Counter(label for labels in meant for label in labels).values(), default=0) < 2:
            continue
        if any(path.suffix.lower() in SUFFIXES for x in outer for path in x.iterdir()):
            return read is known_labels
        if _meanings((x.name for x in outer), read):
            raise DataError(
                f"expected folders of labels, or of persons with folders of labels, in {folder}; "
                f"{outer[0].name} and {min(next(filter(None, inside)))} in it may both be labels: "
                "put the pictures right into the folders of the labels, with an info.csv that "
                "names the persons, or use a CSV file with the columns image, label and person"
            )
        return True
    return False


def _meanings(names: Iterable[str], read_labels: ReadLabels) -> set[Expression]:
    """The labels that folders of these names may have, without names that no label can have."""
    found: set[Expression] = set()
    for name in names:
        with contextlib.suppress(DataError):
            found |= {*read_labels([name]).values()}
    return found


def _in_splits(folders: Sequence[Path]) -> list[tuple[Path, str]]:
    """The folders of the labels with their split, or an empty text."""
    return [
        (class_folder, split or "")
        for inner in folders
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
    header, rows, _ = split_rows(path)
    by_key = {Path(row[0]).stem: row for _, row in rows}
    empty = [""] * len(header)
    matched = [by_key.get(picture.stem, empty) for picture in pictures]
    columns = {
        name: np.array([row[at] for row in matched], np.str_)
        for at, name in enumerate(header)
        if at > 0
    }
    own = any(name.lower() == SUBJECT for name in columns)
    stems = np.array([picture.stem for picture in pictures], np.str_)
    return columns if own else {**columns, SUBJECT: stems}


def _all_labels(found: Iterable[Expression]) -> tuple[Expression, ...]:
    """The eight expressions, and after them the other labels of a data set in order."""
    return (*Expression, *sorted(set(found).difference(Expression)))
