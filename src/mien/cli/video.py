"""``mien video``: analyze videos. `mien report` has some of its options."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mien.applications import APPLICATIONS, Application, build_application, open_stream
from mien.cli.console import (
    ClipBars,
    graceful_stop,
    print_error,
    print_json,
    print_warning,
    printable,
)
from mien.cli.options import (
    DrawOption,
    NeutralOption,
    NeutralTrackOption,
    parse_draw,
    read_neutral,
    takes_settings,
)
from mien.cli.output_files import check_folder
from mien.config import Settings
from mien.errors import SettingError, counted, valid_text
from mien.media.clips import Clip, find_clips, listed_clips
from mien.media.sources import Selection
from mien.pipeline import FacePipeline
from mien.streaming import StreamSettings
from mien.streaming.batch import ClipOutcome, analyze_videos
from mien.streaming.outputs import RESULT_FILES, VideoOptions
from mien.tables import TableOptions, read_trials, require_pyarrow
from mien.tables.combined import COMBINED_FILES
from mien.tables.csv_files import read_rows

app = typer.Typer(add_completion=False)

_input = partial(typer.Option, rich_help_panel="Input and output")
_frames = partial(typer.Option, rich_help_panel="Which frames and faces")
_output = partial(typer.Option, rich_help_panel="What is written")
_study = partial(typer.Option, rich_help_panel="Studies")

_Clips = Annotated[
    list[str] | None,
    typer.Argument(
        help="Videos in any format that FFmpeg supports, folders, patterns, numbered pictures "
        "(a folder, or img_%04d.png), or @list.txt with one of these on each line.",
        show_default=False,
    ),
]
_Out = Annotated[
    Path,
    _input(
        help="Output folder; each clip gets a subfolder with its name.",
        metavar="FOLDER",
        show_default=False,
    ),
]
_ListFile = Annotated[
    Path | None,
    _input(
        "--list",
        help="CSV file of clips: a column clip with paths relative to the file; its other columns "
        "are copied to the tables. A column time_offset_s is the --time-offset of each clip.",
        metavar="FILE",
    ),
]
_Resume = Annotated[bool, _input("--resume", help="Resume an interrupted run.")]
Overwrite = Annotated[
    bool,
    _input(
        "--overwrite",
        help="Delete the results of an earlier run; without it they are never touched.",
    ),
]
_SequenceFps = Annotated[float, _input(help="Frame rate of numbered pictures.", min=0.001)]
Json = Annotated[bool, _input("--json", help="Print one JSON document per clip and line.")]
_Every = Annotated[int, _frames(help="Analyze every Nth frame.", min=1)]
_Fps = Annotated[float, _frames(help="Maximum analyzed frames per second; 0: no limit.", min=0)]
_Start = Annotated[float, _frames(help="Start time in seconds.", min=0)]
_End = Annotated[float | None, _frames(help="End time in seconds.", min=0)]
_Roi = Annotated[
    str | None,
    _frames(
        help="Only faces whose middle is in this region: pixels, or shares of width and height "
        "such as 0.5,0,1,1. Coordinates stay those of the whole frame.",
        metavar="X0,Y0,X1,Y1",
    ),
]
_Baseline = Annotated[
    bool,
    _frames("--baseline", help="Use each person's resting face, seen at the start, as neutral."),
]
ApplicationName = Annotated[
    str | None,
    _frames(
        "--application",
        help=f"Rules for one use, with events of their own: {', '.join(APPLICATIONS)}.",
        metavar="NAME",
    ),
]
_NoAnnotate = Annotated[
    bool, _output("--no-annotate", help="Do not write an annotated video; much faster.")
]
_BlurFaces = Annotated[
    bool,
    _output(
        "--blur-faces",
        help="Blur the detected faces in the video and omit thumbnails, for sharing. A face "
        "that was not detected is not blurred: check the video before you share it.",
    ),
]
_NoThumbnails = Annotated[
    bool, _output("--no-thumbnails", help="Omit thumbnails of faces from the report.")
]
_Crops = Annotated[
    bool,
    _output("--crops", help="Write each face of each analyzed frame as crops/TRACK/FRAME.jpg."),
]
LandmarkTable = Annotated[
    bool,
    _output(
        "--landmark-table", help="Also write landmarks.csv: the points of each face in each frame."
    ),
]
Parquet = Annotated[
    bool, _output("--parquet", help="Also write faces.parquet (needs the extra parquet).")
]
Trials = Annotated[
    Path | None,
    _study(
        help="CSV file with the columns trial, onset_s, and optionally offset_s or duration_s and "
        "clip: sums for each trial in trials.csv.",
        metavar="FILE",
    ),
]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise typer.BadParameter(f"expected a number of seconds, got {value}")
    return value


TimeOffset = Annotated[
    float,
    _study(
        callback=_finite,
        help="When the video starts, in seconds on the clock of the trials and of events.csv.",
    ),
]
_Group = Annotated[
    str | None,
    _study(
        help="Column of the list by whose values groups.csv sums, for example participant.",
        metavar="COLUMN",
    ),
]


@app.command(
    "video",
    epilog="Exit status: 0 all analyzed, 1 some inputs failed, 2 invalid usage, 130 interrupted: "
    "the output is readable and marked partial; continue with --resume. "
    "Expressions are apparent: what a face shows, not what a person feels.",
)
@takes_settings
def _video(
    out: _Out,
    *,
    clips: _Clips = None,
    list_file: _ListFile = None,
    resume: _Resume = False,
    overwrite: Overwrite = False,
    sequence_fps: _SequenceFps = 25.0,
    json: Json = False,
    every: _Every = 1,
    fps: _Fps = 0,
    start: _Start = 0,
    end: _End = None,
    roi: _Roi = None,
    baseline: _Baseline = False,
    neutral: NeutralOption = None,
    neutral_track: NeutralTrackOption = 0,
    application: ApplicationName = None,
    no_annotate: _NoAnnotate = False,
    draw: DrawOption = None,
    blur_faces: _BlurFaces = False,
    no_thumbnails: _NoThumbnails = False,
    crops: _Crops = False,
    landmark_table: LandmarkTable = False,
    parquet: Parquet = False,
    trials: Trials = None,
    time_offset: TimeOffset = 0.0,
    group: _Group = None,
    settings: Settings,
) -> None:
    """Analyze videos: tables, annotated videos and reports."""
    layers, settings = parse_draw(draw, settings)
    options = VideoOptions(
        selection=_selection(every, fps, start, end),
        annotate=not no_annotate,
        blur_faces=blur_faces,
        draw=layers,
        thumbnails=not no_thumbnails,
        crops=crops,
        tables=table_options(parquet, landmark_table, trials, time_offset),
        resume=resume,
        overwrite=overwrite,
    )
    found = _clips(clips or [], list_file, out, sequence_fps)
    results = (*RESULT_FILES, *COMBINED_FILES)
    inputs = [*(clip.path for clip in found), list_file, trials, neutral]
    check_folder(out, "--out", results, inputs)
    pipeline, stream_settings = open_pipeline(
        build_application(application) if application else None,
        settings,
        baseline=baseline,
        neutral=neutral,
        neutral_track=neutral_track,
        region=_parse_region(roi),
    )
    with ClipBars(len(found)) as bar, graceful_stop() as should_stop:
        ended = analyze_videos(
            found,
            out,
            options,
            pipeline=pipeline,
            settings=stream_settings,
            make_application=(lambda: build_application(application)) if application else None,
            group=group,
            on_progress=bar.show,
            should_stop=should_stop,
        )
        _print_all(ended, bar, len(found), out, json=json)


def _selection(every: int, fps: float, start: float, end: float | None) -> Selection:
    if end is not None and end <= start:
        raise typer.BadParameter(f"expected --end after --start, got {end:g} and {start:g}")
    return Selection(every=every, max_fps=fps, start_s=start, end_s=end)


def table_options(
    parquet: bool, landmarks: bool, trials: Path | None, time_offset_s: float
) -> TableOptions:
    """Which tables are written, by the options that ``mien video`` and ``mien report`` share."""
    if parquet:
        require_pyarrow()
    found = tuple(read_trials(trials)) if trials else ()
    return TableOptions(parquet, landmarks, found, time_offset_s)


def _clips(paths: list[str], list_file: Path | None, out: Path, sequence_fps: float) -> list[Clip]:
    found = find_clips(paths, sequence_fps=sequence_fps, exclude=out)
    if list_file is not None:
        rows = [row for _, row in read_rows(list_file, required=("clip",))]
        found += listed_clips(rows, list_file.parent, sequence_fps=sequence_fps)
    if not found:
        raise SettingError("expected videos, folders, patterns or --list, got none")
    return found


def open_pipeline(
    rules: Application | None,
    settings: Settings,
    *,
    baseline: bool,
    neutral: Path | None,
    neutral_track: int,
    region: tuple[float, float, float, float] | None = None,
) -> tuple[FacePipeline, StreamSettings]:
    """What analyzes a stream, by the options that ``mien video`` and ``mien live`` share."""
    if neutral_track and neutral is None:
        raise SettingError("expected --neutral PHOTO together with --neutral-track")
    settings = settings.for_streams() if neutral is None else settings.with_blendshapes()
    if rules is None or rules.reads_expressions:
        pipeline, found = FacePipeline(settings), StreamSettings(baseline=baseline)
    elif baseline:
        raise SettingError(
            f"expected no --baseline with {rules.name}, which does not use expressions"
        )
    else:
        stream = open_stream(rules, settings)
        pipeline, found = stream.pipeline, stream.settings
    read_neutral(pipeline, neutral)
    return pipeline, replace(found, neutral_track=neutral_track, region=region)


def _print_all(
    ended: Iterator[ClipOutcome], bar: ClipBars, count: int, out: Path, *, json: bool
) -> None:
    """Print each outcome when it ends, then how many failed, and exit with the right status."""
    failed, interrupted = 0, False
    try:
        for one in ended:
            bar.advance()
            if json:
                print_json(_document(one), indent=None)
            elif one.outcome is not None:
                tracks = counted(one.outcome.tracks, "track")
                report = one.folder / "report.html"
                frames = counted(one.outcome.frames, "frame")
                typer.echo(printable(f"{one.clip.name}: {frames}, {tracks}: {report}"))
            for warning in one.outcome.warnings if one.outcome else ():
                print_warning(f"{one.clip.name}: {warning}")
            if one.outcome is None:
                failed += 1
                known = one.clip.name in valid_text(one.error) or str(one.folder) in one.error
                print_error(one.error if known else f"{one.clip.name}: {one.error}")
            interrupted = interrupted or one.status == "partial"
    except KeyboardInterrupt:
        interrupted = True
    bar.close()
    if count > max(1, failed) and not json:
        typer.echo(printable(f"all clips: clips.csv, faces.csv, tracks.csv and others in {out}"))
    if interrupted:
        print_error(
            "interrupted: the output is readable and marked partial; run the same command with "
            "--resume to continue"
        )
        raise typer.Exit(130)
    if failed and count > 1:
        others = "; the others are complete" if failed < count else ""
        print_error(f"{failed} of {count} clips failed{others}")
    if failed:
        raise typer.Exit(1)


def _document(one: ClipOutcome) -> dict[str, object]:
    outcome = one.outcome
    return {
        "clip": one.clip.name,
        "folder": valid_text(str(one.folder)),
        "status": one.status,
        "error": valid_text(one.error) or None,
        "frames": outcome.frames if outcome else None,
        "tracks": outcome.tracks if outcome else None,
        "warnings": list(outcome.warnings) if outcome else [],
    }


def _parse_region(text: str | None) -> tuple[float, float, float, float] | None:
    """The numbers of ``--roi``."""
    if text is None:
        return None
    try:
        x_min, y_min, x_max, y_max = (float(number) for number in text.split(","))
    except ValueError:
        raise SettingError(f"expected --roi as X0,Y0,X1,Y1, got {text!r}") from None
    if not (0 <= x_min < x_max and 0 <= y_min < y_max):
        raise SettingError(
            f"expected --roi with 0 <= X0 < X1 and 0 <= Y0 < Y1 from the top left, got {text!r}"
        )
    return x_min, y_min, x_max, y_max
