"""``mien doctor``: whether everything works on this machine."""

import dataclasses
import json as json_module
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mien.cli.console import stdout_console
from mien.cli.diagnosis import diagnose, try_cameras

app = typer.Typer(add_completion=False)

_STYLES = {"ok": "green", "note": "yellow", "broken": "bold red"}


@app.command(epilog="Exit status: 0 nothing is broken, 1 something is.")
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    cameras: Annotated[
        bool,
        typer.Option(
            "--try-cameras", help="Also take one picture with each camera; its light goes on."
        ),
    ] = False,
) -> None:
    """Look whether everything works here, and say how to mend what does not."""
    findings = [*diagnose(), *(try_cameras() if cameras else ())]
    broken = any(finding.state == "broken" for finding in findings)
    if json:
        document = {"healthy": not broken, "findings": [dataclasses.asdict(f) for f in findings]}
        typer.echo(json_module.dumps(document, indent=2))
    else:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        topic = ""
        for finding in findings:
            shown = finding.topic if finding.topic != topic else ""
            topic = finding.topic
            state = Text(finding.state, style=_STYLES[finding.state])
            table.add_row(Text(shown, style="bold"), state, Text(finding.message))
        stdout_console().print(table)
    if broken:
        raise typer.Exit(1)
