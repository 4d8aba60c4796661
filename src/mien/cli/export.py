"""``mien export``: the files of a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.training_progress import print_files, told_on_terminal

app = typer.Typer(add_completion=False)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; by default the run's.")
    ] = None,
    formats: Annotated[
        str, typer.Option(help="fp32, fp16 (weights only), int8, with commas between.")
    ] = "fp32,fp16,int8",
    name: Annotated[
        str | None, typer.Option(help="Of the model; by default the recipe's name.")
    ] = None,
) -> None:
    """Export a training run to ONNX, each file with its spec and its measured accuracy."""
    from mien.training.train import export_run

    with told_on_terminal() as told:
        entries = export_run(run, out or run, tuple(formats.split(",")), name, told)
    print_files(entries)
