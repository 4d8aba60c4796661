"""Shares of expressions over the tables of a run, with DuckDB, and one HTML page about them."""

import glob
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from mien.cluster.output import batch_status
from mien.cluster.storage import is_local, local_path
from mien.errors import SettingError, counted, import_extra
from mien.evaluation.figures import share_interval
from mien.report.charts import color

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
    with _readable(duckdb, folder), duckdb.connect() as database:
        _open(database, folder, "faces")
        _open(database, folder, "failures")
        names = [row[0] for row in database.sql("DESCRIBE faces").fetchall()]
        if group is not None and group not in names:
            raise SettingError(f"expected --group to be one of {', '.join(names)}, got {group!r}")
        quoted = (group or "").replace('"', '""')
        key = "''" if group is None else f'CAST("{quoted}" AS VARCHAR)'
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


@contextmanager
def _readable(duckdb: Any, folder: Path) -> Iterator[None]:
    """Say where a table is damaged, such as by a copy that broke off."""
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise SettingError(
            f"expected the tables of `mien batch` in {folder}, but: {reason}; copy the folder "
            "again, or delete the part's file in commits/ and use --resume"
        ) from None


def _open(database: Any, folder: Path, table: str) -> None:
    # Others may lie beside them, such as the "._" files of macOS.
    if not any((folder / table).glob("part-*.parquet")):
        raise SettingError(f"expected {table}/*.parquet in {folder}, but the run has none yet")
    escaped = glob.escape(str(folder / table)).replace("'", "''")
    pattern = f"{escaped}/part-*.parquet"
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


_STYLE = """
:root{--ink:#171a1f;--quiet:#5b626d;--paper:#f6f5f2;--card:#fff;--line:#dfddd6}
@media (prefers-color-scheme:dark){:root{--ink:#eceae4;--quiet:#a2a8b2;--paper:#131518;
--card:#1c1f24;--line:#30343b}}
body{margin:0 auto;max-width:820px;padding:24px 20px 48px;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px;
margin-top:16px}
h1{font-size:26px;margin:0;overflow-wrap:anywhere}h2{font-size:17px;margin:0 0 8px}
p{margin:4px 0}.quiet{color:var(--quiet);font-size:14px}
dl{display:flex;flex-wrap:wrap;gap:8px 28px;margin:12px 0 0}
dl div{display:flex;flex-direction:column-reverse}
dt{color:var(--quiet);font-size:13px}dd{margin:0;font-size:20px;font-weight:600}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:400;padding:3px 12px 3px 0;overflow-wrap:anywhere}
td{text-align:right;padding:3px 0 3px 8px;white-space:nowrap}
td.plot{width:45%;min-width:120px}svg{display:block;width:100%;height:16px;overflow:visible}
svg path{stroke:var(--ink);stroke-width:1.5;vector-effect:non-scaling-stroke;fill:none}
"""


def overview_page(found: Mapping[str, Any], title: str) -> str:
    """The page about what :func:`summarize` returns.

    Args:
        found: shares, quality and failures of a run.
        title: for example the name of its folder.
    """
    run = found["run"]
    counts = "".join(
        f"<div><dt>{name}</dt><dd>{run[name]:,}</dd></div>"
        for name in ("inputs", "failed", "images", "videos", "faces", "frames", "tracks")
    )
    groups = groupby(found["shares"], key=lambda row: row["group"])
    shares = "".join(_group(found["group"], value, list(rows)) for value, rows in groups)
    partial = "" if run["status"] == "complete" else f"<p><b>The run is {run['status']}.</b></p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<p class="quiet">mien · apparent expressions</p><h1>{escape(title)}</h1>{partial}'
        f"<dl>{counts}</dl>{shares or '<section><p>No face was found.</p></section>'}"
        f"{_counted('Quality warnings', 'reason', 'faces', found['quality'])}"
        f"{_counted('Failures', 'error', 'inputs', found['failures'])}"
        '<p class="quiet">Lines show 95 % Wilson intervals. They hold for independent faces, and '
        "are too narrow for frames of a video or several pictures of a person. Expressions are "
        "apparent: what a face shows, not what a person feels.</p></body></html>\n"
    )


def _group(column: str | None, value: str | None, rows: list[Mapping[str, Any]]) -> str:
    total = sum(row["faces"] for row in rows)
    name = "All faces" if column is None else f"{column}: {'none' if value is None else value}"
    lines = "".join(
        f"<tr><th>{escape(row['expression'])}</th><td class='plot'>{_bar(row)}</td>"
        f"<td>{row['share']:.1%}</td><td>{row['low']:.1%} to {row['high']:.1%}</td>"
        f"<td>{row['faces']:,}</td></tr>"
        for row in rows
    )
    return (
        f"<section><h2>{escape(name)}</h2>"
        f'<p class="quiet">{counted(total, "face")}</p><table>{lines}</table></section>'
    )


def _bar(row: Mapping[str, Any]) -> str:
    """The share from 0 to 100 %, and its interval as a line with ends."""
    share, low, high = (round(100 * row[name], 2) for name in ("share", "low", "high"))
    label = f"{share:g} %, {low:g} to {high:g} %"
    return (
        f'<svg viewBox="0 0 100 16" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<rect y="3" width="{share}" height="10" fill="{color(row["expression"])}"/>'
        f'<path d="M{low} 8H{high}M{low} 5v6M{high} 5v6"/></svg>'
    )


def _counted(title: str, key: str, count: str, rows: Iterable[Mapping[str, Any]]) -> str:
    lines = "".join(
        f"<tr><th>{escape(str(row[key]))}</th><td>{row[count]:,}</td></tr>" for row in rows
    )
    table = f"<table>{lines}</table>" if lines else '<p class="quiet">none</p>'
    return f"<section><h2>{title}</h2>{table}</section>"
