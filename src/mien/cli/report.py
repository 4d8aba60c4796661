"""``mien report``: create the tables and the report of a recording."""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from mien.applications import ReplayedRecording
from mien.cli import video as option
from mien.cli.output_files import check_folder
from mien.recording import FRAMES_FILE, Recording
from mien.report import write_report
from mien.streaming.outputs import (
    RESULT_FILES,
    check_unused,
    delete_results,
    locked,
    write_application,
)
from mien.tables import TableOptions, read_trials, write_tables

app = typer.Typer(add_completion=False)


@app.command("report", epilog="Exit status: 0, 1 not a recording, 2 invalid usage.")
def _report(
    recording: Annotated[
        Path,
        typer.Argument(
            help="Folder with frames.jsonl from `mien video` or `mien live --record`.",
            show_default=False,
        ),
    ],
    *,
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
    application: option.ApplicationName = None,
    landmark_table: option.LandmarkTable = False,
    parquet: option.Parquet = False,
    trials: option.Trials = None,
    time_offset: option.TimeOffset = 0.0,
    overwrite: option.Overwrite = False,
    json: option.Json = False,
) -> None:
    """Create the tables and the report of a recording."""
    check_folder(out, "--out", RESULT_FILES, [video, trials])
    found = ReplayedRecording(recording, application) if application else Recording(recording)
    names = ("", found.state().title, recording.name)
    options = TableOptions(
        parquet=parquet,
        landmarks=landmark_table,
        trials=tuple(t for t in read_trials(trials) if t.clip in names) if trials else (),
        time_offset_s=time_offset,
    )
    with locked(out):
        if not (out / FRAMES_FILE).exists() or not out.samefile(recording):
            if overwrite:
                delete_results(out)
            check_unused(out)
        tracks = write_tables(found, out, options)
        if isinstance(found, ReplayedRecording):
            write_application(out, found.application)
        write_report(found, out, video=video)
    report_file = out / "report.html"
    if json:
        document = {"recording": str(recording), "report": str(report_file), "tracks": tracks}
        typer.echo(json_module.dumps(document, ensure_ascii=False))
    else:
        people = "1 track" if tracks == 1 else f"{tracks} tracks"
        typer.echo(f"{recording}: {people}: {report_file}")
