"""``mien report``: create the tables and the report of a recording."""

from pathlib import Path
from typing import Annotated

import typer

from mien.recording import Recording
from mien.report import write_report
from mien.streaming.video import make_folder
from mien.tables import require_pyarrow, write_tables

app = typer.Typer(add_completion=False)


@app.command(epilog="Exit status: 0, 1 not a recording, 2 invalid usage.")
def report(
    recording: Annotated[
        Path,
        typer.Argument(
            help="Folder with frames.jsonl from `mien video` or `mien live --record`.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Output folder.", metavar="FOLDER", show_default=False)],
    video: Annotated[
        Path | None,
        typer.Option(
            help="Video for the report. Default: the annotated video, if it exists.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ] = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Also write faces.parquet (needs the extra parquet).")
    ] = False,
) -> None:
    """Create the tables and the report of a recording."""
    if parquet:
        require_pyarrow()
    found = Recording(recording)
    make_folder(out)
    tracks = write_tables(found, out, parquet=parquet)
    write_report(found, out, video=video)
    people = "1 track" if tracks == 1 else f"{tracks} tracks"
    typer.echo(f"{recording}: {people}: {out / 'report.html'}")
