"""``mien video``: analyze video files."""

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
    epilog="Exit status: 0 all analyzed, 1 some inputs failed, 2 invalid usage, 130 interrupted: "
    "the output is readable and marked partial; continue with --resume. "
    "Expressions are apparent: what a face shows, not what a person feels."
)
@takes_settings
def video(  # noqa: PLR0917
    clips: Annotated[
        list[Path],
        typer.Argument(help="Video files in any format that FFmpeg supports.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Output folder; each clip gets a subfolder with its name.",
            metavar="FOLDER",
            show_default=False,
        ),
    ],
    every: Annotated[int, typer.Option(help="Analyze every Nth frame.", min=1)] = 1,
    fps: Annotated[
        float, typer.Option(help="Maximum analyzed frames per second; 0: no limit.", min=0)
    ] = 0,
    start: Annotated[float, typer.Option(help="Start time in seconds.", min=0)] = 0,
    end: Annotated[float | None, typer.Option(help="End time in seconds.", min=0)] = None,
    no_annotate: Annotated[
        bool, typer.Option("--no-annotate", help="Do not write an annotated video; much faster.")
    ] = False,
    blur_faces: Annotated[
        bool,
        typer.Option(
            "--blur-faces",
            help="Blur the detected faces in the video and omit thumbnails, for sharing. A face "
            "that was not detected is not blurred: check the video before you share it.",
        ),
    ] = False,
    no_thumbnails: Annotated[
        bool, typer.Option("--no-thumbnails", help="Omit thumbnails of faces from the report.")
    ] = False,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="Use each person's resting face as neutral; see docs/streams.md.",
        ),
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Also write faces.parquet (needs the extra parquet).")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    *,
    settings: Settings,
) -> None:
    """Analyze video files: tables, annotated videos and reports."""
    if end is not None and end <= start:
        raise typer.BadParameter(f"expected --end after --start, got {end:g} and {start:g}")
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
        _print_outcome(clip, outcome)
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
                f"interrupted: the output in {folder} is readable and marked partial; "
                "run the same command with --resume to continue"
            )
            raise typer.Exit(130)
        return outcome


@contextmanager
def _bar(name: str) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar on stderr, if it is a terminal."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[frames]} frames, {task.fields[rate]:.0f} per second"),
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


def _print_outcome(clip: Path, outcome: VideoOutcome) -> None:
    faces = "1 track" if outcome.tracks == 1 else f"{outcome.tracks} tracks"
    typer.echo(f"{clip}: {outcome.frames} frames, {faces}: {outcome.folder / 'report.html'}")
    for warning in outcome.warnings:
        typer.echo(f"Warning: {clip}: {warning}", err=True)


def _folders(clips: list[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Each clip with its folder; clips with equal names get a number."""
    taken: set[str] = set()
    for clip in clips:
        name, number = clip.stem or "clip", 2
        while name in taken:
            name, number = f"{clip.stem}-{number}", number + 1
        taken.add(name)
        yield clip, out / name
