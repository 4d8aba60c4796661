"""The plan of a run: its inputs in parts, the same for every attempt.

A part is what a worker analyzes and commits at once: one video or tar shard, or a number of
images. Parts and the names of their files depend on the inputs alone, so that a part that is
analyzed again replaces its own files.
"""

import hashlib
import json
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from mien.cluster.folder import Folder
from mien.cluster.inputs import Input
from mien.cluster.segments import Piece, split
from mien.cluster.storage import check_room
from mien.errors import InputError, SettingError

PLAN_FILE = "plan.parquet"
_LARGEST_PART = 256
"""Images; a larger part would lose more work to a crash."""
_PARTS_PER_WORKER = 8
_INT = 1 << 63
_ROWS_AT_ONCE = 2_000
_Row = tuple[str, bytes, str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """What a worker analyzes and commits at once.

    Attributes:
        number: from 0; names its files.
        inputs: at least one.
    """

    number: int
    inputs: tuple[Input, ...]

    @property
    def name(self) -> str:
        return f"part-{self.number:06d}"


class Plan:
    """The inputs of a run in parts. They stay in a file, so that memory does not grow with them.

    Args:
        file: Parquet with the columns ``part``, ``uri``, ``address``, ``columns`` and ``piece``
            (JSON), ordered by part; its metadata has the types of the carried columns.

    Attributes:
        columns: the types of the carried columns: ``int``, ``float``, ``bool`` or ``str``.
        digest: tells the plans of two runs apart.
        inputs: their number; the segments of a video count as one.
        joins: the numbers of the parts that stitch videos, when all other parts are complete.

    Raises:
        KeyError, TypeError, ValueError, pyarrow.ArrowException: the file is no plan.
    """

    def __init__(self, file: IO[bytes]) -> None:
        import numpy as np
        from pyarrow import parquet

        self._file = file
        weakref.finalize(self, _close, file)
        file.seek(0)
        digest = hashlib.sha256()
        while some := file.read(1 << 20):
            digest.update(some)
        self.digest = digest.hexdigest()[:16]
        self._table = parquet.ParquetFile(file)
        self.columns: dict[str, str] = json.loads(self._table.metadata.metadata[b"columns"])
        groups = [self._table.metadata.row_group(n).num_rows for n in range(self._groups)]
        self._group_ends = np.cumsum(groups)
        self._rows = self._table.metadata.num_rows
        self._group: tuple[int, Any] = (-1, None)
        numbers: list[Any] = []
        self.joins: set[int] = set()
        pieces = 0
        names = ["part", "piece"]
        for batch in self._table.iter_batches(_ROWS_AT_ONCE, columns=names, use_threads=False):
            numbers.append(batch.column("part").to_numpy())
            for row, text in enumerate(batch.column("piece").to_pylist()):
                if text:
                    pieces += 1
                    if Piece(*json.loads(text)).is_join:
                        self.joins.add(int(numbers[-1][row]))
        parts = np.concatenate(numbers) if numbers else np.zeros(0, np.int32)
        self._starts = np.flatnonzero(np.diff(parts, prepend=-1))
        self.inputs: int = self._rows - pieces + len(self.joins)

    @property
    def _groups(self) -> int:
        return int(self._table.metadata.num_row_groups)

    def __len__(self) -> int:
        return len(self._starts)

    def part(self, number: int) -> Part:
        """A part by its number."""
        start = int(self._starts[number])
        end = int(self._starts[number + 1]) if number + 1 < len(self) else self._rows
        inputs: list[Input] = []
        group = int(self._group_ends.searchsorted(start, "right"))
        while start < end:
            if self._group[0] != group:
                self._group = (group, self._table.read_row_group(group, use_threads=False))
            table = self._group[1]
            first = int(self._group_ends[group]) - table.num_rows
            inputs += map(_input, table.slice(start - first, end - start).to_pylist())
            start = int(self._group_ends[group])
            group += 1
        return Part(number, tuple(inputs))

    def write(self, folder: Folder) -> None:
        """Save the plan, for attempts to resume the run."""
        self._file.seek(0)
        folder.upload(self._file, PLAN_FILE)

    @classmethod
    def read(cls, folder: Folder) -> "Plan | None":
        """The plan of an earlier attempt, if there is one.

        Raises:
            SettingError: it cannot be read.
        """
        import pyarrow

        with _room():
            file = folder.fetch(PLAN_FILE)
        try:
            return cls(file) if file else None
        except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            raise SettingError(
                f"expected the plan of a run in {folder.address}, but {PLAN_FILE} is damaged "
                f"({error}); use another --out"
            ) from None


def _close(file: IO[bytes]) -> None:
    """Close a file without a name; on a full disk, its last bytes cannot be written."""
    with suppress(OSError):
        file.close()


class _Rows:
    """Rows of a plan, in a file without a name."""

    def __init__(self) -> None:
        import pyarrow

        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it ends with this object
        weakref.finalize(self, _close, self._file)
        self._stream = pyarrow.ipc.new_stream(self._file, self.schema())
        self._rows: list[_Row] = []
        self._count = 0

    @staticmethod
    def schema() -> Any:
        """The columns of a plan but ``part``; addresses are bytes, as names need not be UTF-8."""
        import pyarrow

        text = pyarrow.string()
        types = {"uri": text, "address": pyarrow.binary(), "columns": text, "piece": text}
        return pyarrow.schema(types)

    def __len__(self) -> int:
        return self._count

    def add(self, row: _Row) -> None:
        self._rows.append(row)
        self._count += 1
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def batches(self) -> Iterator[Any]:
        """All rows, with the columns of a plan but ``part``; no more can be added."""
        import pyarrow

        self._flush()
        self._stream.close()
        self._file.seek(0)
        with self._file, pyarrow.ipc.open_stream(self._file) as stream:
            yield from stream

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            schema = self.schema()
            columns = zip(zip(*self._rows, strict=True), schema, strict=True)
            arrays = [pyarrow.array(values, field.type) for values, field in columns]
            self._stream.write_batch(pyarrow.record_batch(arrays, schema=schema))
            self._rows.clear()


def _input(row: dict[str, Any]) -> Input:
    piece = Piece(*json.loads(row["piece"])) if row["piece"] else None
    return Input(row["uri"], os.fsdecode(row["address"]), json.loads(row["columns"]), piece)


def make_plan(
    inputs: Iterable[Input],
    *,
    workers: int,
    part_size: int | None = None,
    segment_s: float = 0.0,
    on_warning: Callable[[str], None] = lambda message: None,
) -> Plan:
    """Divide inputs into parts.

    Videos and shards come first, because the last parts decide when a run ends.

    Args:
        inputs: in order.
        workers: that start the run; small runs get small parts, so that all workers have some.
        part_size: number of images in a part; by default at most 256.
        segment_s: longer videos are divided into segments of this length; 0: none.
        on_warning: called where the length of a remote video cannot be read.
    """
    with _room():
        return _make_plan(inputs, workers, part_size, segment_s, on_warning)


def _make_plan(
    inputs: Iterable[Input],
    workers: int,
    part_size: int | None,
    segment_s: float,
    on_warning: Callable[[str], None],
) -> Plan:
    heavy, light, joins = _Rows(), _Rows(), _Rows()
    types: dict[str, str] = {}
    for found in inputs:
        columns = {name: _plain(value) for name, value in found.columns.items()}
        for name, value in columns.items():
            types[name] = _wider(types.get(name), value)
        row = (found.uri, os.fsencode(found.address), json.dumps(columns, ensure_ascii=False))
        pieces: tuple[Piece, ...] = ()
        if segment_s and found.is_video:
            try:
                pieces = split(found.address, segment_s)
            except InputError as error:
                on_warning(f"one worker analyzes the whole video, of unknown length: {error}")
        for piece in pieces:
            made = (*row, json.dumps([piece.number, piece.count, piece.seconds]))
            (joins if piece.is_join else heavy).add(made)
        if not pieces:
            (heavy if found.is_video or found.is_shard else light).add((*row, ""))
    if part_size is None:
        part_size = min(_LARGEST_PART, max(1, len(light) // (workers * _PARTS_PER_WORKER)))
    carried = {name: kind or "str" for name, kind in types.items()}
    return Plan(_written([(heavy, 1), (light, part_size), (joins, 1)], carried))


def _written(rows: Iterable[tuple[_Rows, int]], columns: dict[str, str]) -> IO[bytes]:
    """The file of a plan: kinds of rows in order, with the number of them in a part."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it ends with the plan
    try:
        _write(file, rows, columns)
    except BaseException:
        _close(file)
        raise
    return file


def _write(file: IO[bytes], rows: Iterable[tuple[_Rows, int]], columns: dict[str, str]) -> None:
    import numpy as np
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([("part", pyarrow.int32()), *_Rows.schema()])
    facts = {b"columns": json.dumps(columns).encode()}
    next_part = 0
    with parquet.ParquetWriter(file, schema.with_metadata(facts), compression="zstd") as writer:
        for kind, part_size in rows:
            done = 0
            for batch in kind.batches():
                numbers = next_part + np.arange(done, done + len(batch)) // part_size
                part = pyarrow.array(numbers, pyarrow.int32())
                columns_ = [part, *batch.columns]
                writer.write_batch(pyarrow.record_batch(columns_, schema=writer.schema))
                done += len(batch)
            next_part += -(-done // part_size)


@contextmanager
def _room() -> Iterator[None]:
    """Say where a disk is full that a plan needs."""
    try:
        yield
    except OSError as error:
        check_room(error)
        raise


def _plain(value: Any) -> Any:
    """A value that a column can hold; others, also integers of more than 64 bits, become text."""
    fits = isinstance(value, bool | float | str) or (
        isinstance(value, int) and -_INT <= value < _INT
    )
    return value if value is None or fits else str(value)


def _wider(known: str | None, value: Any) -> str:
    """The type of a column that so far had one type and has one more value."""
    if value is None:
        return known or ""
    kind = type(value).__name__
    if not known or known == kind:
        return kind
    return "float" if {known, kind} == {"int", "float"} else "str"
