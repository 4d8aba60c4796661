"""The plan of a run: its inputs in parts, the same for every attempt.

A part is what a worker analyzes and commits at once: one video or tar shard, or a number of
images. Parts and the names of their files depend on the inputs alone, so that a part that is
analyzed again replaces its own files.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mien.cluster.inputs import Input
from mien.cluster.segments import Piece, split
from mien.cluster.storage import Folder
from mien.errors import InputError, SettingError

PLAN_FILE = "plan.parquet"
_LARGEST_PART = 256
"""Images; a larger part would lose more work to a crash."""
_PARTS_PER_WORKER = 8
_INT = 1 << 63
_ROWS_AT_ONCE = 10_000
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
    """The inputs of a run in parts. Kept as an Arrow table: about 100 bytes for each input.

    Args:
        table: columns ``part``, ``uri``, ``address``, ``columns`` and ``piece`` (JSON), ordered by
            part.
        columns: the types of the carried columns: ``int``, ``float``, ``bool`` or ``str``.

    Attributes:
        inputs: their number; the segments of a video count as one.
        joins: the numbers of the parts that stitch videos, when all other parts are complete.
    """

    def __init__(self, table: Any, columns: dict[str, str]) -> None:
        import pyarrow

        # As bytes, since file names need not be UTF-8.
        index = table.schema.get_field_index("address")
        addresses = table["address"].cast(pyarrow.binary())
        self._table = table.set_column(index, "address", addresses).combine_chunks()
        self.columns = columns
        numbers = self._table["part"].to_numpy()
        starts = [0, *(numbers[1:] != numbers[:-1]).nonzero()[0] + 1] if len(numbers) else []
        self._starts = [int(start) for start in starts]
        pieces = enumerate(self._table["piece"].to_pylist())
        found = [(row, Piece(*json.loads(text))) for row, text in pieces if text]
        self.joins = {int(numbers[row]) for row, piece in found if piece.is_join}
        self.inputs: int = table.num_rows - len(found) + len(self.joins)

    def __len__(self) -> int:
        return len(self._starts)

    def part(self, number: int) -> Part:
        """A part by its number."""
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self) else self._table.num_rows
        rows = self._table.slice(start, end - start).to_pylist()
        return Part(number, tuple(map(_input, rows)))

    @property
    def digest(self) -> str:
        """Tells the plans of two runs apart."""
        found = hashlib.sha256()
        for batch in self._table.select(["part", "address", "piece"]).to_batches(10_000):
            columns = batch.to_pydict()
            columns["address"] = list(map(os.fsdecode, columns["address"]))
            found.update(json.dumps(columns).encode())
        return found.hexdigest()[:16]

    def write(self, folder: Folder) -> None:
        """Save the plan, for attempts to resume the run."""
        from pyarrow import parquet

        content = io.BytesIO()
        facts = {b"columns": json.dumps(self.columns).encode()}
        parquet.write_table(self._table.replace_schema_metadata(facts), content, compression="zstd")
        folder.write(PLAN_FILE, content.getvalue())

    @classmethod
    def read(cls, folder: Folder) -> "Plan | None":
        """The plan of an earlier attempt, if there is one.

        Raises:
            SettingError: it cannot be read.
        """
        import pyarrow
        from pyarrow import parquet

        content = folder.read(PLAN_FILE)
        if content is None:
            return None
        try:
            table = parquet.read_table(io.BytesIO(content))
            return cls(table, json.loads(table.schema.metadata[b"columns"]))
        except (pyarrow.ArrowException, KeyError, ValueError, TypeError) as error:
            raise SettingError(
                f"expected the plan of a run in {folder.address}, but {PLAN_FILE} is damaged "
                f"({error}); use another --out"
            ) from None


class _Rows:
    """Rows of a plan; as Arrow they take a fraction of the memory."""

    def __init__(self) -> None:
        self._tables: list[Any] = []
        self._rows: list[_Row] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, row: _Row) -> None:
        self._rows.append(row)
        self._count += 1
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def table(self) -> Any:
        """All rows, with the columns of a plan but ``part``."""
        import pyarrow

        self._flush()
        return pyarrow.concat_tables(self._tables)

    def _flush(self) -> None:
        import pyarrow

        text = pyarrow.string()
        types = {"uri": text, "address": pyarrow.binary(), "columns": text, "piece": text}
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(types)
        made = zip(columns, types.values(), strict=True)
        arrays = [pyarrow.array(values, kind) for values, kind in made]
        self._tables.append(pyarrow.table(arrays, names=list(types)))
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
    import pyarrow

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
    parts = [*range(len(heavy)), *(len(heavy) + i // part_size for i in range(len(light)))]
    parts += range(next_part := max(parts, default=-1) + 1, next_part + len(joins))
    table = pyarrow.concat_tables([heavy.table(), light.table(), joins.table()])
    table = table.add_column(0, "part", pyarrow.array(parts, pyarrow.int32()))
    return Plan(table, {name: kind or "str" for name, kind in types.items()})


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
