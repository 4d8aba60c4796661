"""``mien models``: list, check, add and remove models."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mien.cli.console import ProgressBar, print_error, print_json, stdout_console
from mien.cli.options import JsonFlag
from mien.cli.output_files import check_outputs
from mien.config import models_folder
from mien.errors import ModelFileError, counted
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry, KnownModel
from mien.runtime.download import add_model, remove_model

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def _models(context: typer.Context, json: JsonFlag = False) -> None:
    """List the models, or check, add and remove them."""
    if context.invoked_subcommand is not None:
        return
    entries = catalog.entries()
    others = catalog.known_models()
    if json:
        known = [dataclasses.asdict(model) for model in others]
        print_json({"models": [_document(entry) for entry in entries], "known": known})
        return
    console = stdout_console()
    for entry in entries:
        console.print(_card(entry))
    installed = {entry.spec.name for entry in entries}
    for model in (model for model in others if model.name not in installed):
        console.print(_known_card(model))
    console.print(Text(f"Added models are stored in {models_folder()}", style="dim"))


@app.command("check")
def _check(context: typer.Context, json: JsonFlag = False) -> None:
    """Verify the checksum of every model file."""
    json = json or bool(context.parent and context.parent.params["json"])
    entries = catalog.entries()
    rows: list[dict[str, Any]] = []
    failed = 0
    for entry in entries:
        problem = None
        try:
            catalog.verify(entry)
        except ModelFileError as error:
            failed += 1
            problem = str(error)
            print_error(problem)
        else:
            if not json:
                typer.echo(f"ok  {entry.spec.name}  {entry.path}")
        rows.append({"model": entry.spec.name, "path": str(entry.path), "error": problem})
    if json:
        print_json(rows)
    if failed:
        print_error(f"{failed} of {counted(len(entries), 'model')} failed")
        raise typer.Exit(1)


@app.command("add")
def _add(
    name: Annotated[str, typer.Argument(help="Model name.")],
    url: Annotated[
        str | None, typer.Option(help="HTTP or HTTPS URL of the model file.", show_default=False)
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(help="SHA-256 checksum, 64 hexadecimal digits.", show_default=False),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="Model spec as JSON. Default: the spec in the ONNX file.", show_default=False
        ),
    ] = None,
) -> None:
    """Download a model into the models folder. An interrupted download is resumed."""
    model = next((known for known in catalog.known_models() if known.name == name), None)
    if model is not None:
        url, sha256 = url or model.url, sha256 or model.sha256
    if not url or not sha256:
        raise typer.BadParameter(
            f"expected --url and --sha256 for {name!r}, or a model whose address is known: "
            + ", ".join(
                known.name for known in catalog.known_models() if known.url and known.sha256
            )
        )
    spec_text = model.spec_text if model is not None else None
    if spec is not None:
        sidecar = models_folder() / f"{name}.json"
        if sidecar.is_file():
            check_outputs([("the model's own spec", sidecar, "json")], [spec])
        spec_text = _read_spec(spec)
    with ProgressBar(None, f"{name}, bytes") as bar:
        entry = add_model(name, url, sha256=sha256, spec_text=spec_text, progress=bar.set)
    typer.echo(f"added {entry.spec.name}: {entry.path}")


@app.command("remove")
def _remove(name: Annotated[str, typer.Argument(help="Name of an added model.")]) -> None:
    """Delete an added model."""
    for path in remove_model(name):
        typer.echo(f"deleted {path}")


def _read_spec(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"expected a readable spec in {path}, got: {error}") from None


def _document(entry: CatalogEntry) -> dict[str, Any]:
    facts = dataclasses.asdict(entry.spec)
    facts["labels"] = [label.value for label in entry.spec.labels]
    size = entry.path.stat().st_size if entry.path.is_file() else None
    return {**facts, "path": str(entry.path), "shipped": entry.shipped, "size_bytes": size}


def _card(entry: CatalogEntry) -> Group:
    spec = entry.spec
    width, height = spec.input.size_wh
    rows = {
        "task": spec.task,
        "file": str(entry.path),
        "size": _megabytes(entry.path),
        "sha256": spec.sha256 or "not recorded",
        "license": spec.license,
        "source": spec.source,
        "training data": spec.training_data or "not recorded",
        "input": f"{width}×{height} {spec.input.color}",
        "labels": ", ".join(label.value for label in spec.labels),
        "metrics": ", ".join(f"{name} {value:g}" for name, value in spec.metrics.items()),
    }
    heading = Text.assemble((spec.name, "bold"), "" if entry.shipped else "  (added)")
    return Group(heading, _rows(rows), "")


def _known_card(model: KnownModel) -> Group:
    rows = {
        "task": model.task,
        "description": model.about,
        "license": model.license,
        "source": model.source,
        "checked": model.checked,
        "url": model.url or "unknown: pass --url",
        "sha256": model.sha256 or "unknown: pass --sha256",
    }
    heading = Text.assemble(
        (model.name, "bold"), f"  (not installed; run: mien models add {model.name})"
    )
    return Group(heading, _rows(rows), "")


def _rows(rows: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", width=15)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            table.add_row(f"  {name}", Text(value))
    return table


def _megabytes(path: Path) -> str:
    try:
        return f"{path.stat().st_size / 1e6:.1f} MB"
    except FileNotFoundError:
        return "file not found"
