"""The tables of a recording: faces, tracks and events, as CSV, JSON Lines and Parquet.

Each is a pure function of the recorded frames, and is made line by line.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mien.errors import MissingExtraError
from mien.labels import Expression
from mien.recording import RecordedFrame, Recording
from mien.tracking import Event
from mien.types import FrameResult, face_column_types, face_columns, face_row

FACES_FILE = "faces.csv"
TRACKS_FILE = "tracks.csv"
EVENTS_FILE = "events.jsonl"
PARQUET_FILE = "faces.parquet"


def write_tables(recording: Recording, folder: Path, *, parquet: bool = False) -> int:
    """Write ``faces.csv``, ``tracks.csv``, ``events.jsonl`` and, if wanted, ``faces.parquet``.

    Args:
        recording: is read line by line, so that its length does not matter.
        folder: an existing folder; files of these names are replaced.
        parquet: whether to write Parquet as well.

    Returns:
        The number of tracks.

    Raises:
        InputError: the recording cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    labels = [Expression(label) for label in recording.state().labels]
    _write(folder / FACES_FILE, face_lines(recording.documents(), labels or None))
    tracks = _write(folder / TRACKS_FILE, track_lines(recording.frames()))
    _write(folder / EVENTS_FILE, event_lines(recording.frames()))
    if parquet:
        csv_to_parquet(folder / FACES_FILE, folder / PARQUET_FILE)
    return max(0, tracks - 1)


def _write(path: Path, lines: Iterable[str]) -> int:
    """Write a file in one step, and return the number of lines."""
    unfinished, count = path.with_name(f"{path.name}.partial"), 0
    with unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(line)
            count += 1
    unfinished.replace(path)
    return count


def face_lines(
    documents: Iterable[Mapping[str, Any]], labels: Iterable[Expression] | None = None
) -> Iterator[str]:
    """The table of faces as lines of CSV, the header first: a row for each face in each frame.

    Args:
        documents: FrameResult documents, in order.
        labels: of the expression model; None takes those of the first expression, and until then
            keeps the rows in memory.
    """
    columns: list[str] = []
    if labels is not None:
        columns = face_columns(labels)
        yield csv_line(columns)
    waiting: list[dict[str, Any]] = []
    for result in map(FrameResult.from_dict, documents):
        for face in result.faces:
            waiting.append(face_row(result, face))
            if not columns and face.expression is not None:
                columns = face_columns(face.expression.labels)
                yield csv_line(columns)
        if columns:
            yield from (csv_line(row.get(name) for name in columns) for row in waiting)
            waiting.clear()
    if not columns:
        columns = face_columns(Expression)
        yield csv_line(columns)
        yield from (csv_line(row.get(name) for name in columns) for row in waiting)


def track_lines(frames: Iterable[RecordedFrame]) -> Iterator[str]:
    """The table of tracks as lines of CSV, in the order in which they ended.

    The header comes first; without a track there is no line.
    """
    columns: list[str] = []
    for event in _events(frames):
        if event.kind == "track_ended":
            if not columns:
                columns = list(event.details)
                yield csv_line(columns)
            yield csv_line(event.details.get(column) for column in columns)


def event_lines(frames: Iterable[RecordedFrame]) -> Iterator[str]:
    """One JSON object for each event but the ends of tracks, which have their own table."""
    for event in _events(frames):
        if event.kind != "track_ended":
            yield json.dumps(event.to_dict(), ensure_ascii=False) + "\n"


def _events(frames: Iterable[RecordedFrame]) -> Iterator[Event]:
    for frame in frames:
        yield from frame.events
        yield from frame.closing_events


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV (RFC 4180 but for the line feed); None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def csv_to_parquet(csv_path: Path, parquet_path: Path) -> None:
    """Write a table of faces as Parquet, a few megabytes at a time.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    require_pyarrow()
    import pyarrow
    from pyarrow import csv as pyarrow_csv
    from pyarrow import parquet

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
    unfinished = parquet_path.with_suffix(".partial")
    with (
        pyarrow_csv.open_csv(csv_path, convert_options=options) as batches,
        parquet.ParquetWriter(unfinished, batches.schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
    unfinished.replace(parquet_path)


def require_pyarrow() -> None:
    """Check that Parquet can be written.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet", "write Parquet") from None
