"""The options of ``mien video``, and those that ``mien report`` shares with it."""

import math
from pathlib import Path
from typing import Annotated

import typer

from mien.applications import APPLICATIONS
from mien.errors import SettingError

_INPUT = "Input and output"
_FRAMES = "Which frames and faces"
_OUTPUT = "What is written"
_STUDY = "Studies"

Clips = Annotated[
    list[str] | None,
    typer.Argument(
        help="Videos in any format that FFmpeg supports, folders, patterns, numbered pictures "
        "(a folder, or img_%04d.png), or @list.txt with one of these on each line.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        help="Output folder; each clip gets a subfolder with its name.",
        metavar="FOLDER",
        show_default=False,
        rich_help_panel=_INPUT,
    ),
]
ListFile = Annotated[
    Path | None,
    typer.Option(
        "--list",
        help="CSV file of clips: a column clip with paths relative to the file; its other columns "
        "are copied to the tables. A column time_offset_s is the --time-offset of each clip.",
        metavar="FILE",
        rich_help_panel=_INPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Resume an interrupted run.", rich_help_panel=_INPUT),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Delete the results of an earlier run; without it they are never touched.",
        rich_help_panel=_INPUT,
    ),
]
SequenceFps = Annotated[
    float,
    typer.Option(help="Frame rate of numbered pictures.", min=0.001, rich_help_panel=_INPUT),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON document per clip and line.", rich_help_panel=_INPUT
    ),
]
Every = Annotated[
    int, typer.Option(help="Analyze every Nth frame.", min=1, rich_help_panel=_FRAMES)
]
Fps = Annotated[
    float,
    typer.Option(
        help="Maximum analyzed frames per second; 0: no limit.", min=0, rich_help_panel=_FRAMES
    ),
]
Start = Annotated[
    float, typer.Option(help="Start time in seconds.", min=0, rich_help_panel=_FRAMES)
]
End = Annotated[
    float | None, typer.Option(help="End time in seconds.", min=0, rich_help_panel=_FRAMES)
]
Roi = Annotated[
    str | None,
    typer.Option(
        help="Only faces whose middle is in this region: pixels, or shares of width and height "
        "such as 0.5,0,1,1. Coordinates stay those of the whole frame.",
        metavar="X0,Y0,X1,Y1",
        rich_help_panel=_FRAMES,
    ),
]
Baseline = Annotated[
    bool,
    typer.Option(
        "--baseline",
        help="Use each person's resting face as neutral; see docs/streams.md.",
        rich_help_panel=_FRAMES,
    ),
]
ApplicationName = Annotated[
    str | None,
    typer.Option(
        "--application",
        help=f"Rules for one use: {', '.join(APPLICATIONS)}; see docs/applications.md.",
        metavar="NAME",
        rich_help_panel=_FRAMES,
    ),
]
NoAnnotate = Annotated[
    bool,
    typer.Option(
        "--no-annotate",
        help="Do not write an annotated video; much faster.",
        rich_help_panel=_OUTPUT,
    ),
]
BlurFaces = Annotated[
    bool,
    typer.Option(
        "--blur-faces",
        help="Blur the detected faces in the video and omit thumbnails, for sharing. A face "
        "that was not detected is not blurred: check the video before you share it.",
        rich_help_panel=_OUTPUT,
    ),
]
NoThumbnails = Annotated[
    bool,
    typer.Option(
        "--no-thumbnails",
        help="Omit thumbnails of faces from the report.",
        rich_help_panel=_OUTPUT,
    ),
]
Crops = Annotated[
    bool,
    typer.Option(
        "--crops",
        help="Write each face of each analyzed frame as crops/TRACK/FRAME.jpg.",
        rich_help_panel=_OUTPUT,
    ),
]
LandmarkTable = Annotated[
    bool,
    typer.Option(
        "--landmark-table",
        help="Also write landmarks.csv: the points of each face in each frame.",
        rich_help_panel=_OUTPUT,
    ),
]
Parquet = Annotated[
    bool,
    typer.Option(
        "--parquet",
        help="Also write faces.parquet (needs the extra parquet).",
        rich_help_panel=_OUTPUT,
    ),
]
Trials = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with the columns trial, onset_s, and optionally offset_s or duration_s and "
        "clip: sums for each trial in trials.csv.",
        metavar="FILE",
        rich_help_panel=_STUDY,
    ),
]


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise typer.BadParameter(f"expected a number of seconds, got {value}")
    return value


TimeOffset = Annotated[
    float,
    typer.Option(
        callback=_finite,
        help="When the video starts, in seconds on the clock of the trials and of events.csv.",
        rich_help_panel=_STUDY,
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        help="Column of the list by whose values groups.csv sums, for example participant.",
        metavar="COLUMN",
        rich_help_panel=_STUDY,
    ),
]


def parse_region(text: str | None) -> tuple[float, float, float, float] | None:
    """The numbers of ``--roi``.

    Raises:
        SettingError: not four numbers, or not a rectangle.
    """
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
