"""``mien schema``: the JSON Schema of results."""

import json

import typer

from mien.types import result_schema

app = typer.Typer(add_completion=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the results that --json and --jsonl give."""
    typer.echo(json.dumps(result_schema(), indent=2, ensure_ascii=False))
