"""One self-contained HTML page about a batch: shares with their intervals, quality, failures."""

from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby
from typing import Any

from mien.report.charts import color

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
    """The page about what :func:`mien.cluster.summary.summarize` returns.

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
        f'<p class="quiet">{total:,} faces</p><table>{lines}</table></section>'
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
