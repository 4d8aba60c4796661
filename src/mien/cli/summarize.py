"""``mien summarize``: shares of expressions over the output of ``mien batch``."""

import json as json_module
from typing import Annotated

import typer
from rich.table import Table

from mien.cli.console import stdout_console
from mien.cli.options import JsonFlag
from mien.cluster.summary import summarize as sums

app = typer.Typer(add_completion=False)


@app.command(epilog="Expressions are apparent: what a face shows, not what a person feels.")
def summarize(
    out: Annotated[str, typer.Argument(help="Output folder of `mien batch`.", show_default=False)],
    group: Annotated[
        str | None, typer.Option(help="Column of the manifest to group by.", metavar="COLUMN")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Summarize the output of a batch: shares of expressions, quality, failures."""
    found = sums(out, group=group)
    if json:
        typer.echo(json_module.dumps(found, indent=2, ensure_ascii=False))
        return
    run, console = found["run"], stdout_console()
    console.print(
        f"{run['status']}: {run['inputs']} inputs ({run['failed']} failed), {run['faces']} faces"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("Group", "Expression", "Faces", "Share", "95 % interval"):
        table.add_column(title)
    for row in found["shares"]:
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        cells = (row["expression"], str(row["faces"]), f"{row['share']:.1%}", interval)
        table.add_row(str(row["group"] or ""), *cells)
    console.print(table)
    for row in found["failures"]:
        console.print(f"{row['inputs']} failed: {row['error']}", markup=False)
