"""Where results go: the contract of sinks, and tables."""

import csv
import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mien.errors import MissingExtraError
from mien.labels import Expression
from mien.media.sources import Frame
from mien.tracking import Event
from mien.types import FrameResult, face_column_types, face_columns


@runtime_checkable
class Sink(Protocol):
    """Takes what a stream gives, frame after frame, in order, in one thread. Users may write
    their own."""

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        """Take one frame's result and what happened in it."""
        ...

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        """Finish.

        Args:
            events: what the end of the stream ended.
            complete: False where the stream was stopped or failed before its end.
        """
        ...


class LineFile:
    """A text file that only ever holds whole lines, also when the process is killed.

    Lines are gathered for half a second and then handed to the system in one piece.

    Args:
        path: of the file.
        append: whether to go on with what is there, else to begin anew.
    """

    _GATHER_S = 0.5

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self._file = path.open("ab" if append else "wb", buffering=0)
        self._lines: list[str] = []
        self._last_flush = time.monotonic()

    def write(self, line: str) -> None:
        self._lines.append(line)
        if time.monotonic() - self._last_flush >= self._GATHER_S:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self._file.write("".join(self._lines).encode())
            self._lines.clear()
        self._last_flush = time.monotonic()

    def close(self) -> None:
        self.flush()
        self._file.close()


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV (RFC 4180 but for the line feed); None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


class CsvSink:
    """One row for each face in each frame.

    Args:
        path: of the file.
        labels: of the expression model, for the columns.
        append: whether to go on with a file of an earlier run.
    """

    def __init__(self, path: Path, labels: Iterable[Expression], *, append: bool = False) -> None:
        self._columns = face_columns(labels)
        self._file = LineFile(path, append=append)
        if not append:
            self._file.write(csv_line(self._columns))
            self._file.flush()

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        for row in result.to_rows():
            self._file.write(csv_line(row.get(column) for column in self._columns))

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._file.flush()

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        self._file.close()


class JsonLinesSink:
    """One JSON object for each face in each frame: the same flat rows as the CSV."""

    def __init__(self, path: Path, labels: Iterable[Expression], *, append: bool = False) -> None:
        self._columns = face_columns(labels)
        self._file = LineFile(path, append=append)

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        for row in result.to_rows():
            document = {column: row.get(column) for column in self._columns}
            self._file.write(json.dumps(document, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._file.flush()

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        self._file.close()


class EventSink:
    """One JSON object for each event but the ends of tracks, which have their own table."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind != "track_ended":
                self._file.write(json.dumps(event.to_dict(), ensure_ascii=False) + "\n")

    def replay(self, events: Sequence[Event]) -> None:
        """Take in what happened in an earlier run."""
        for event in events:
            if event.kind != "track_ended":
                self._file.write(json.dumps(event.to_dict(), ensure_ascii=False) + "\n")

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        self.replay(events)
        self._file.close()


class TrackSink:
    """One row for each track, written when it is over."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._columns: list[str] | None = None

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        self.replay(events)

    def replay(self, events: Sequence[Event]) -> None:
        """Take in what happened in an earlier run."""
        for event in events:
            if event.kind == "track_ended":
                self._row(event.details)

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        self.replay(events)
        self._file.close()

    def _row(self, summary: Mapping[str, Any]) -> None:
        if self._columns is None:
            self._columns = list(summary)
            self._file.write(csv_line(self._columns))
        self._file.write(csv_line(summary.get(column) for column in self._columns))


def csv_to_parquet(csv_path: Path, parquet_path: Path) -> None:
    """Write a table of faces as Parquet, a few megabytes at a time.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pyarrow_csv, parquet = require_pyarrow()
    import pyarrow

    arrow = {
        str: pyarrow.string(),
        bool: pyarrow.bool_(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
    }
    types = {name: arrow[kind] for name, kind in face_column_types(Expression).items()}
    options = pyarrow_csv.ConvertOptions(
        column_types=types, true_values=["True"], false_values=["False"], strings_can_be_null=True
    )
    partial = parquet_path.with_suffix(".partial")
    with (
        pyarrow_csv.open_csv(csv_path, convert_options=options) as batches,
        parquet.ParquetWriter(partial, batches.schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
    partial.replace(parquet_path)


def require_pyarrow() -> tuple[Any, Any]:
    """The modules ``pyarrow.csv`` and ``pyarrow.parquet``.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        from pyarrow import csv as pyarrow_csv
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet", "write Parquet") from None
    return pyarrow_csv, parquet
