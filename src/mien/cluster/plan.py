"""The plan of a run: its inputs in parts, the same for every attempt.

A part is what a worker analyzes and commits at once: one video or tar shard, or a number of
images. Parts and the names of their files depend on the inputs alone, so that a part that is
analyzed again replaces its own files.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mien.cluster.inputs import Input
from mien.cluster.storage import Folder
from mien.errors import SettingError

_PLAN_FILE = "plan.parquet"
_LARGEST_PART = 256
"""Images; a larger part would lose more work to a crash."""
_PARTS_PER_WORKER = 8


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
        table: columns ``part``, ``uri``, ``address`` and ``columns`` (JSON), ordered by part.
        columns: the types of the carried columns: ``int``, ``float``, ``bool`` or ``str``.
    """

    def __init__(self, table: Any, columns: dict[str, str]) -> None:
        self._table = table.combine_chunks()
        self.columns = columns
        self.inputs: int = table.num_rows
        numbers = self._table["part"].to_numpy()
        starts = [0, *(numbers[1:] != numbers[:-1]).nonzero()[0] + 1] if self.inputs else []
        self._starts = [int(start) for start in starts]

    def __len__(self) -> int:
        return len(self._starts)

    def part(self, number: int) -> Part:
        """A part by its number."""
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self) else self.inputs
        rows = self._table.slice(start, end - start).to_pylist()
        inputs = (Input(r["uri"], r["address"], json.loads(r["columns"])) for r in rows)
        return Part(number, tuple(inputs))

    @property
    def digest(self) -> str:
        """Tells the plans of two runs apart."""
        found = hashlib.sha256()
        for batch in self._table.select(["part", "address"]).to_batches(10_000):
            found.update(json.dumps(batch.to_pydict()).encode())
        return found.hexdigest()[:16]

    def write(self, folder: Folder) -> None:
        """Save the plan, for attempts to resume the run."""
        from pyarrow import parquet

        content = io.BytesIO()
        facts = {b"columns": json.dumps(self.columns).encode()}
        parquet.write_table(self._table.replace_schema_metadata(facts), content, compression="zstd")
        folder.write(_PLAN_FILE, content.getvalue())

    @classmethod
    def read(cls, folder: Folder) -> "Plan | None":
        """The plan of an earlier attempt, if there is one.

        Raises:
            SettingError: it cannot be read.
        """
        import pyarrow
        from pyarrow import parquet

        content = folder.read(_PLAN_FILE)
        if content is None:
            return None
        try:
            table = parquet.read_table(io.BytesIO(content))
            return cls(table, json.loads(table.schema.metadata[b"columns"]))
        except (pyarrow.ArrowException, KeyError, ValueError, TypeError) as error:
            raise SettingError(
                f"expected the plan of a run in {folder.address}, but {_PLAN_FILE} is damaged "
                f"({error}); use another --out"
            ) from None


def make_plan(inputs: Iterable[Input], *, workers: int, part_size: int | None = None) -> Plan:
    """Divide inputs into parts.

    Videos and shards come first, because the last parts decide when a run ends.

    Args:
        inputs: in order.
        workers: that start the run; small runs get small parts, so that all workers have some.
        part_size: number of images in a part; by default at most 256.
    """
    import pyarrow

    heavy: list[tuple[str, str, str]] = []
    light: list[tuple[str, str, str]] = []
    types: dict[str, str] = {}
    for found in inputs:
        columns = {name: _plain(value) for name, value in found.columns.items()}
        for name, value in columns.items():
            types[name] = _wider(types.get(name), value)
        row = (found.uri, found.address, json.dumps(columns, ensure_ascii=False))
        (heavy if found.is_video or found.is_shard else light).append(row)
    if part_size is None:
        part_size = min(_LARGEST_PART, max(1, len(light) // (workers * _PARTS_PER_WORKER)))
    parts = [*range(len(heavy)), *(len(heavy) + i // part_size for i in range(len(light)))]
    uris, addresses, columns_ = zip(*heavy, *light, strict=True) if heavy or light else ((),) * 3
    table = pyarrow.table(
        {
            "part": pyarrow.array(parts, pyarrow.int32()),
            "uri": pyarrow.array(uris, pyarrow.string()),
            "address": pyarrow.array(addresses, pyarrow.string()),
            "columns": pyarrow.array(columns_, pyarrow.string()),
        }
    )
    return Plan(table, {name: kind or "str" for name, kind in types.items()})


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _wider(known: str | None, value: Any) -> str:
    """The type of a column that so far had one type and has one more value."""
    if value is None:
        return known or ""
    kind = type(value).__name__
    if not known or known == kind:
        return kind
    return "float" if {known, kind} == {"int", "float"} else "str"
