"""Shares of expressions over the tables of a run, with DuckDB."""

from pathlib import Path
from typing import Any

from mien.cluster.state import batch_status
from mien.cluster.storage import is_local, local_path
from mien.errors import SettingError, import_extra
from mien.evaluation.figures import share_interval

_REASONS = 10


def summarize(out: str, *, group: str | None = None) -> dict[str, Any]:
    """Sums over the output of :func:`mien.cluster.run.run_batch`.

    Args:
        out: its local folder.
        group: a carried column; None for one group of all faces.

    Returns:
        ``run``: counts of the run; ``shares``: for each group and expression the number of faces
        in images and video frames, its share of the group in [0, 1] and the 95 % Wilson interval
        ``low`` to ``high``, which holds for independent faces and is too narrow for the frames of
        a video; ``quality``: how often each reason was found; ``failures``: the most frequent.

    Raises:
        SettingError: no run there, or no such column.
        MissingExtraError: duckdb is not installed.
    """
    duckdb = import_extra("duckdb", "cluster", "summarize a batch")
    if not is_local(out):
        raise SettingError(f"expected a local folder, got {out}: copy it, or query it with DuckDB")
    run = batch_status(out)
    folder = local_path(out)
    with duckdb.connect() as database:
        _open(database, folder, "faces")
        _open(database, folder, "failures")
        names = [row[0] for row in database.sql("DESCRIBE faces").fetchall()]
        if group is not None and group not in names:
            raise SettingError(f"expected --group to be one of {', '.join(names)}, got {group!r}")
        key = "''" if group is None else f'CAST("{group}" AS VARCHAR)'
        counts = database.sql(
            f"SELECT {key}, expression, count(*) FROM faces WHERE expression IS NOT NULL "
            "GROUP BY ALL ORDER BY 1, 3 DESC, 2"
        ).fetchall()
        quality = database.sql(
            "SELECT reason, count(*) FROM (SELECT unnest(string_split(reasons, ' ')) AS reason "
            "FROM faces) WHERE trim(reason) <> '' GROUP BY ALL ORDER BY 2 DESC, 1"
        ).fetchall()
        failures = database.sql(
            "SELECT replace(error, uri, 'FILE'), count(*) FROM failures GROUP BY ALL "
            f"ORDER BY 2 DESC, 1 LIMIT {_REASONS}"
        ).fetchall()
    kept = ("status", "inputs", "failed", "images", "videos", "faces", "frames", "tracks")
    return {
        "run": {name: run[name] for name in kept},
        "group": group,
        "shares": _shares(counts),
        "quality": [{"reason": reason.strip(), "faces": count} for reason, count in quality],
        "failures": [{"error": error, "inputs": count} for error, count in failures],
    }


def _open(database: Any, folder: Path, table: str) -> None:
    if not any((folder / table).glob("*.parquet")):
        raise SettingError(f"expected {table}/*.parquet in {folder}, but the run has none yet")
    pattern = str(folder / table / "*.parquet").replace("'", "''")
    database.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{pattern}')")


def _shares(counts: list[tuple[str | None, str, int]]) -> list[dict[str, Any]]:
    totals: dict[str | None, int] = {}
    for value, _, count in counts:
        totals[value] = totals.get(value, 0) + count
    rows = []
    for value, label, count in counts:
        edges = share_interval(count, totals[value]) or (0.0, 1.0)
        low, high = (round(edge, 4) for edge in edges)
        share = round(count / totals[value], 4)
        row = {"expression": label, "faces": count, "share": share, "low": low, "high": high}
        rows.append({"group": value, **row})
    return rows
