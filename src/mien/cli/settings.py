"""``mien settings``: the table of settings, and what each is set to."""

import dataclasses
import json as json_module
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mien import config
from mien.cli.console import stdout_console
from mien.config import Settings

app = typer.Typer(add_completion=False)


@app.command()
def settings(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the settings: what each does, its environment variable, default and present value."""
    values = dataclasses.asdict(Settings.from_environment())
    rows = [{**facts, "value": values[facts["name"]]} for facts in config.describe()]
    if json:
        typer.echo(json_module.dumps(rows, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("Setting", "Environment", "Default", "Now", "What it does"):
        table.add_column(title, overflow="fold")
    for row in rows:
        changed = "bold" if row["value"] != row["default"] else ""
        table.add_row(
            row["name"],
            row["environment"],
            str(row["default"]),
            Text(str(row["value"]), style=changed),
            Text(row["help"]),
        )
    stdout_console().print(table)
