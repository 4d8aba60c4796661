"""Reading and writing CSV files, and converting them to Parquet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from mien.errors import InputError, import_extra
from mien.files import text_lines
from mien.recording import replacing


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV (RFC 4180 but for the line feed); None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write a file in one step, and return the number of lines."""
    count = 0
    with (
        replacing(path) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for line in lines:
            file.write(line)
            count += 1
    return count


def read_rows(path: Path, required: Iterable[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """The numbered rows of a CSV file; see :func:`parse_rows`.

    Raises:
        InputError: not a readable table, or a column is missing.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"expected a CSV file at {path}: {error.strerror}") from None
    return list(parse_rows(text_lines(io.BytesIO(data), str(path)), str(path), required))


def parse_rows(
    lines: Iterator[str], source: str, required: Iterable[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of CSV with a header, and the numbers of their (last) lines.

    Comma, semicolon or tab is the delimiter; empty rows are left out.

    Args:
        lines: of the file, with their ends.
        source: its name, for errors.
        required: columns that must exist, in upper or lower case.

    Raises:
        InputError: not a readable table, or a column is missing.
    """
    first, delimiter, rows = start_of_table(lines)
    # Without strict, a quote that is not closed takes all further rows into its cell.
    reader = csv.DictReader(
        rows, delimiter=delimiter, restval="", skipinitialspace=True, strict=True
    )
    try:
        names = _named([name.strip() for name in reader.fieldnames or ()], required)
        reader.fieldnames = names
        check_columns(names, source, required)
        for row in reader:
            if None in row:
                raise InputError(
                    f"expected {len(names)} cells in line {first + reader.line_num} of {source}, "
                    "got more: put cells that contain the delimiter in quotes"
                )
            if any(value.strip() for value in row.values()):
                yield first + reader.line_num, {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        raise InputError(
            f"expected CSV in {source}, but the row at line {first + reader.line_num + 1} cannot "
            f"be read: {error}; check its quotes"
        ) from None


def _named(names: list[str], required: Iterable[str]) -> list[str]:
    """Names of columns, of which required ones may be in another case."""
    known = {name.casefold(): name for name in required if name not in names}
    return [known.get(name.casefold(), name) for name in names]


def start_of_table(lines: Iterator[str]) -> tuple[int, str, Iterator[str]]:
    """The number of lines before the header, the delimiter, and the lines from the header on."""
    named = None
    for before, line in enumerate(lines):
        if found := re.fullmatch(r'"?sep=(.)"?\s*', line, re.IGNORECASE):  # Excel's
            named = found[1]
        elif line.strip():
            return before, named or max(",;\t", key=line.count), chain([line], lines)
    return 0, ",", lines


def check_columns(names: list[str], source: str, required: Iterable[str]) -> None:
    """Check the columns of a table.

    Raises:
        InputError: one is missing, or two have the same name.
    """
    for name in required:
        if name not in names:
            raise InputError(
                f"expected a column {name!r} in {source}, got {', '.join(names) or 'an empty file'}"
            )
    if len(set(names)) < len(names):
        raise InputError(f"expected different column names in {source}, got {', '.join(names)}")


def csv_to_parquet(csv_path: Path, parquet_path: Path, types: Mapping[str, type]) -> None:
    """Write a table as Parquet, a few megabytes at a time.

    Args:
        csv_path: of the table.
        parquet_path: is replaced in one step.
        types: str, bool, int or float by column; other columns are guessed.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    require_pyarrow()
    from pyarrow import csv as pyarrow_csv
    from pyarrow import parquet

    arrow = arrow_types()
    options = convert_options({name: arrow[kind] for name, kind in types.items()})
    with (
        replacing(parquet_path) as unfinished,
        pyarrow_csv.open_csv(csv_path, convert_options=options) as batches,
        parquet.ParquetWriter(unfinished, batches.schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)


def arrow_types() -> dict[type, Any]:
    """The Arrow type of each type of cells."""
    import pyarrow

    return {
        str: pyarrow.string(),
        bool: pyarrow.bool_(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
    }


def convert_options(types: Mapping[str, Any], **more: Any) -> Any:
    """How pyarrow reads the tables of this package; `types` are of Arrow."""
    from pyarrow import csv as pyarrow_csv

    return pyarrow_csv.ConvertOptions(
        column_types=types,
        true_values=["True"],
        false_values=["False"],
        strings_can_be_null=True,
        **more,
    )


def require_pyarrow() -> None:
    """Check that Parquet can be written.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    import_extra("pyarrow", "parquet", "write Parquet")
