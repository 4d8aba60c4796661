"""The output of a run: tables as Parquet, each part in a file of its own, and ``run.json``."""

import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.cluster.folder import Folder
from mien.cluster.inputs import URI_COLUMN, Input
from mien.cluster.storage import join, local_path
from mien.errors import SettingError, valid_text
from mien.labels import Expression
from mien.streaming.outputs import is_locked
from mien.tables.columns import EVENT_TABLE, FRAMES, TRACKS
from mien.tables.csv_files import arrow_types, convert_options
from mien.types import SCHEMA_VERSION, FrameResult, face_columns, face_row

_TABLES = ("faces", "frames", "tracks", "events", "failures")
"""The subfolders of a run's output; each holds the files of one table."""
_COMMITS = "commits"
"""The subfolder with a file for each part that is complete, written after its tables."""

_COMMITS_AT_ONCE = 1000

RUN_FILE = "run.json"
_SILENT_S = 60.0
"""A run that has not saved its state for so long has ended without saying so."""
_ERRORS = 20
"""Failures that are named in ``run.json``."""
_COUNTS = ("inputs", "images", "videos", "failures", "faces", "frames", "tracks", "events")
_ROWS_AT_ONCE = 5000
_MESSAGES = 100
"""Of each kind in a commit; the table of failures has all of them."""
_INTEGERS = {
    *("frame_index", "faces", "clear", "uncertain", "not_visible", "track_id", "frames", "gaps"),
    *("expression_changes", "episodes", "blinks", "yawns"),
}
_TEXTS = {"tier", "subject", "behavior", "value", "comment"}


def _column_types(table: str, labels: Iterable[Expression]) -> dict[str, type]:
    """The columns of a table with the types of their cells, without the carried ones."""
    if table == "failures":
        return {URI_COLUMN: str, "error": str}
    if table == "faces":
        return {URI_COLUMN: str, **face_columns(labels)}
    columns = {"frames": FRAMES, "tracks": TRACKS, "events": EVENT_TABLE}[table]
    return {URI_COLUMN: str, **{name: _type_of(name) for name in columns}}


def _type_of(name: str) -> type:
    if name == "scene_cut":
        return bool
    return int if name in _INTEGERS else str if name in _TEXTS else float


def carried_names(own: Iterable[str], carried: Iterable[str]) -> dict[str, str]:
    """What carried columns are called beside those of a table.

    One that has the name of a column of the table is written as ``list_NAME``, and as
    ``list_list_NAME`` where that is taken too.
    """
    own, carried = set(own), list(carried)
    names = {name: name for name in carried if name not in own}
    taken = own | set(names)
    for name in carried:
        if name in own:
            other = f"list_{name}"
            while other in taken:
                other = f"list_{other}"
            taken.add(other)
            names[name] = other
    return names


def _schema(table: str, labels: Iterable[Expression], carried: Mapping[str, str]) -> Any:
    """The Arrow schema of a table, with the columns of the manifests."""
    import pyarrow

    arrow = {kind.__name__: made for kind, made in arrow_types().items()}
    own = _column_types(table, labels)
    names = carried_names(own, carried)
    fields = [(name, arrow[kind.__name__]) for name, kind in own.items()]
    fields += [(names[name], arrow[kind]) for name, kind in carried.items()]
    return pyarrow.schema(fields, metadata={"mien_schema_version": str(SCHEMA_VERSION)})


class PartTables:
    """The tables of one part: rows go to files in a scratch folder, and from there to the output.

    Args:
        scratch: an empty folder.
        name: of the part.
        labels: of the expression model.
        carried: columns of the manifests with their types.

    Attributes:
        counts: ``inputs``, ``images``, ``videos``, and the rows of each table.
        warnings, errors: messages; the errors are those of the failed inputs.
    """

    def __init__(
        self, scratch: Path, name: str, labels: tuple[Expression, ...], carried: Mapping[str, str]
    ) -> None:
        from pyarrow import parquet

        self._scratch, self._name, self._carried = scratch, name, carried
        self._own = {table: _column_types(table, labels) for table in _TABLES}
        self._names = {table: carried_names(self._own[table], carried) for table in _TABLES}
        self._schemas = {table: _schema(table, labels, carried) for table in _TABLES}
        self._writers = {
            table: parquet.ParquetWriter(
                self._path(table), self._schemas[table], compression="zstd"
            )
            for table in _TABLES
        }
        self._rows: dict[str, list[dict[str, Any]]] = {table: [] for table in _TABLES}
        self.counts = dict.fromkeys(("inputs", "images", "videos", *_TABLES), 0)
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def add_image(self, found: Input, result: FrameResult) -> None:
        """Add the rows of an image."""
        uncertain = [f for f in result.faces if f.expression is None or f.expression.uncertain]
        frame = {
            "faces": len(result.faces),
            "clear": len(result.faces) - len(uncertain),
            "uncertain": len(uncertain),
            "not_visible": 0,
        }
        self._add("frames", found, frame)
        for face in result.faces:
            self._add("faces", found, face_row(result, face))
        self.counts["inputs"] += 1
        self.counts["images"] += 1

    def add_video(self, found: Input, folder: Path) -> None:
        """Add the tables of the recording of a video."""
        for table in ("faces", "frames", "tracks", "events"):
            self._add_csv(table, found, folder / f"{table}.csv")
        self.counts["inputs"] += 1
        self.counts["videos"] += 1

    def fail(self, found: Input, error: str) -> None:
        """Add an input that could not be analyzed."""
        error = valid_text(error)
        self._add("failures", found, {"error": error})
        self.errors.append(error)
        self.counts["inputs"] += 1

    def _add(self, table: str, found: Input, row: Mapping[str, Any]) -> None:
        rows = self._rows[table]
        rows.append({**row, **self._first(table, found)})
        self.counts[table] += 1
        if len(rows) >= _ROWS_AT_ONCE:
            self._flush(table)

    def _first(self, table: str, found: Input) -> dict[str, Any]:
        """The cells of an input in each of its rows."""
        cells: dict[str, Any] = {URI_COLUMN: found.uri}
        for name, kind in self._carried.items():
            value = found.columns.get(name)
            if value is not None and kind in ("str", "float"):
                value = str(value) if kind == "str" else float(value)
            cells[self._names[table][name]] = value
        return cells

    def _flush(self, table: str) -> None:
        import pyarrow

        rows = self._rows[table]
        if rows:
            made = pyarrow.Table.from_pylist(rows, schema=self._schemas[table])
            self._writers[table].write_table(made)
            rows.clear()

    def _add_csv(self, table: str, found: Input, path: Path) -> None:
        """Add the rows of a CSV file, a few megabytes at a time."""
        import pyarrow
        from pyarrow import csv

        self._flush(table)
        target = self._schemas[table]
        names = list(self._own[table])[1:]
        types = {name: target.field(name).type for name in names}
        options = convert_options(types, include_columns=names, include_missing_columns=True)
        first = self._first(table, found)
        with csv.open_csv(path, convert_options=options) as batches:
            for batch in batches:
                columns = [
                    batch.column(field.name)
                    if field.name not in first
                    else pyarrow.array([first[field.name]] * len(batch), field.type)
                    for field in target
                ]
                self._writers[table].write_batch(pyarrow.record_batch(columns, schema=target))
                self.counts[table] += len(batch)

    def commit(self, folder: Folder, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the files, then the one that says that the part is complete.

        A table without rows is written by the first part only, so that each has a file.

        Args:
            folder: the output of the run.
            facts: more for the commit.

        Returns:
            The commit: counts, warnings and `facts`.

        Raises:
            StorageError: the files cannot be written.
        """
        for table in _TABLES:
            self._flush(table)
            self._writers[table].close()
            name = f"{table}/{self._name}.parquet"
            if self.counts[table] or self._name.endswith("000000"):
                with self._path(table).open("rb") as file:
                    folder.upload(file, name)
            else:
                folder.delete(name)
        messages = {"warnings": self.warnings[:_MESSAGES], "errors": self.errors[:_MESSAGES]}
        commit = {"counts": self.counts, **messages, **facts}
        folder.write(f"{_COMMITS}/{self._name}.json", json.dumps(commit).encode())
        return commit

    def _path(self, table: str) -> Path:
        return self._scratch / f"{table}.parquet"


@dataclass(slots=True)
class Progress:
    """The progress of a run.

    Attributes:
        parts, parts_total: committed, and in the plan.
        resumed: number of inputs that earlier attempts analyzed.
        counts: sums over the commits: ``inputs``, ``images``, ``videos``, ``failures``, and rows.
        errors: of the first failed inputs.
        deaths: how often a worker died.
        dashboard: address of Ray's pages, if they run.
        part: name of the last part that was committed, with its time in seconds and its counts.
    """

    parts: int = 0
    parts_total: int = 0
    resumed: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    errors: list[str] = field(default_factory=list)
    deaths: int = 0
    dashboard: str = ""
    part: dict[str, Any] = field(default_factory=dict)

    def add(self, commit: dict[str, Any], part: str = "") -> None:
        """Add a part that is complete."""
        self.part = {"part": part, "seconds": commit.get("seconds"), **commit["counts"]}
        self.parts += 1
        for name in _COUNTS:
            self.counts[name] += commit["counts"].get(name, 0)
        self.errors += commit.get("errors", [])[: _ERRORS - len(self.errors)]

    def document(self) -> dict[str, Any]:
        """The progress as in ``run.json``."""
        counts = {("failed" if n == "failures" else n): c for n, c in self.counts.items()}
        return {"parts_done": self.parts, **counts, "errors": self.errors}


class RunFolder(Folder):
    """The output folder of a run, with its state."""

    def state(self) -> dict[str, Any] | None:
        """The document in ``run.json``, if there is one of a run.

        Raises:
            SettingError: it is damaged.
        """
        content = self.read(RUN_FILE)
        try:
            document = json.loads(content) if content is not None else None
        except ValueError as error:
            raise SettingError(
                f"expected JSON in {join(self.address, RUN_FILE)}, got {error}: restore the file, "
                "or use another --out"
            ) from None
        return document if isinstance(document, dict) and "inputs_planned" in document else None

    def commits(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The parts that are complete: their numbers and commits."""
        # Others may lie beside them, such as the "._" files of macOS.
        names = [name for name in self.names(_COMMITS) if re.fullmatch(r"part-\d+\.json", name)]

        def read(name: str) -> dict[str, Any]:
            content = self.read(f"{_COMMITS}/{name}")
            return dict(json.loads(content or b"{}"))

        with ThreadPoolExecutor(8) as threads:
            for start in range(0, len(names), _COMMITS_AT_ONCE):
                some = names[start : start + _COMMITS_AT_ONCE]
                for name, commit in zip(some, threads.map(read, some), strict=True):
                    if commit.get("counts"):
                        yield int(name[5:-5]), commit

    def is_alive(self, document: dict[str, Any]) -> bool:
        """Whether the process of a run that is not over exists; a clock may be off by a minute."""
        if self.local and is_locked(local_path(self.address)):
            return True
        if document.get("host") == socket.gethostname():
            return not self.local and _has_process(document.get("pid"))
        updated = datetime.fromisoformat(document["updated"])
        return (datetime.now(UTC) - updated).total_seconds() < _SILENT_S


def batch_status(out: str) -> dict[str, Any]:
    """The document in ``run.json`` of a run, with what is committed now.

    Its ``status`` is ``interrupted`` where the process of a running one was killed: none holds
    the lock of a local folder, or the state was not saved for a minute.

    Raises:
        SettingError: there is no run.
    """
    folder = RunFolder(out)
    document = folder.state()
    if document is None:
        raise SettingError(
            f"expected the output of `mien batch`, but {out} has no {RUN_FILE}: check the path"
        )
    progress = Progress()
    for _, commit in folder.commits():
        progress.add(commit)
    document |= progress.document()
    if document["status"] == "running" and not folder.is_alive(document):
        document["status"] = "interrupted"
    return document


def _has_process(pid: int | None) -> bool:
    """Whether this machine has a process; True where that cannot be asked."""
    try:
        if pid is not None and os.name == "posix":
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def now() -> str:
    """The time in UTC, as in ``run.json``."""
    return datetime.now(UTC).isoformat(timespec="seconds")
