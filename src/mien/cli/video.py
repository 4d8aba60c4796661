"""``mien video``: recordings."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mien.cli.console import graceful_stop, print_error
from mien.cli.options import takes_settings
from mien.config import Settings
from mien.errors import InputError
from mien.media.sources import Selection
from mien.pipeline import FacePipeline
from mien.streaming import StreamSettings
from mien.streaming.video import VideoOptions, VideoOutcome, VideoProgress, analyze_video

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Exit status: 0 all analyzed, 1 some inputs failed, 2 wrong usage, 130 interrupted: "
    "what was written then is readable, marked partial, and goes on with --resume. "
    "Expressions are apparent: how a face looks, not what a person feels."
)
@takes_settings
def video(  # noqa: PLR0917
    clips: Annotated[
        list[Path],
        typer.Argument(help="Files of any format that FFmpeg reads.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="For each clip a folder of its name is made in here.",
            metavar="FOLDER",
            show_default=False,
        ),
    ],
    every: Annotated[int, typer.Option(help="Analyze each so-manieth frame.", min=1)] = 1,
    fps: Annotated[
        float, typer.Option(help="Analyze at most so many frames a second; 0 takes all.", min=0)
    ] = 0,
    start: Annotated[float, typer.Option(help="From this second.", min=0)] = 0,
    end: Annotated[float | None, typer.Option(help="Up to this second.", min=0)] = None,
    no_annotate: Annotated[
        bool, typer.Option("--no-annotate", help="Write no annotated video: much faster.")
    ] = False,
    blur_faces: Annotated[
        bool,
        typer.Option(
            "--blur-faces",
            help="Blur the found faces in the video and leave them out of the report, for "
            "sharing. A face that was not found is not blurred: look before you share.",
        ),
    ] = False,
    no_thumbnails: Annotated[
        bool, typer.Option("--no-thumbnails", help="Show no pictures of faces in the report.")
    ] = False,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="Take each person's resting face as neutral; see docs/streams.md.",
        ),
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write faces.parquet, too (needs the extra parquet).")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    *,
    settings: Settings,
) -> None:
    """Turn videos into tables, annotated videos and reports of apparent expressions."""
    if end is not None and end <= start:
        raise typer.BadParameter(f"--end must be later than --start, got {end:g} and {start:g}")
    options = VideoOptions(
        selection=Selection(every=every, max_fps=fps, start_s=start, end_s=end),
        annotate=not no_annotate,
        blur_faces=blur_faces,
        thumbnails=not no_thumbnails,
        parquet=parquet,
        resume=resume,
    )
    pipeline = FacePipeline(settings)
    stream_settings = StreamSettings(baseline=baseline)
    failed = 0
    for clip, folder in _folders(clips, out):
        try:
            outcome = _analyze(clip, folder, options, pipeline, stream_settings)
        except InputError as error:
            print_error(str(error))
            failed += 1
            continue
        _tell(clip, outcome)
    if failed:
        raise typer.Exit(1)


def _analyze(
    clip: Path,
    folder: Path,
    options: VideoOptions,
    pipeline: FacePipeline,
    settings: StreamSettings,
) -> VideoOutcome:
    already: int | None = None
    with _bar(clip.name) as (progress, task), graceful_stop() as should_stop:

        def show(now: VideoProgress) -> None:
            nonlocal already
            already = now.frames - 1 if already is None else already
            progress.update(
                task,
                total=None if now.share is None else 1.0,
                completed=now.share or 0.0,
                frames=now.frames,
                rate=_rate(progress, task, now.frames - already),
            )

        try:
            outcome = analyze_video(
                clip,
                folder,
                options,
                pipeline=pipeline,
                settings=settings,
                on_progress=show,
                should_stop=should_stop,
            )
            stopped = should_stop() and not outcome.complete
        except KeyboardInterrupt:
            stopped = True
        if stopped:
            progress.stop()
            print_error(
                f"interrupted: what was written to {folder} is readable and marked partial; "
                "the same command with --resume goes on"
            )
            raise typer.Exit(130)
        return outcome


@contextmanager
def _bar(name: str) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar on stderr, for people only."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[frames]} frames, {task.fields[rate]:.0f} a second"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with progress:
        yield progress, progress.add_task(name, total=None, frames=0, rate=0.0)


def _rate(progress: Progress, task: TaskID, frames: int) -> float:
    elapsed = progress.tasks[task].elapsed
    return frames / elapsed if elapsed else 0.0


def _tell(clip: Path, outcome: VideoOutcome) -> None:
    faces = "1 track" if outcome.tracks == 1 else f"{outcome.tracks} tracks"
    typer.echo(f"{clip}: {outcome.frames} frames, {faces}: {outcome.folder / 'report.html'}")
    if outcome.damaged:
        print_error(f"{clip}: {outcome.damaged} damaged parts were passed over")


def _folders(clips: list[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Each clip with its folder; clips of one name get a number."""
    taken: set[str] = set()
    for clip in clips:
        name, number = clip.stem or "clip", 2
        while name in taken:
            name, number = f"{clip.stem}-{number}", number + 1
        taken.add(name)
        yield clip, out / name
