"""``mien video``: analyze videos."""

import json as json_module
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.progress import TaskID

from mien.applications import build_application, open_stream
from mien.cli import video_options as option
from mien.cli.console import graceful_stop, print_error, print_warning, printable, text_progress
from mien.cli.options import DrawOption, parse_draw, takes_settings
from mien.cli.output_files import check_folder
from mien.config import Settings
from mien.errors import SettingError, valid_text
from mien.media.clips import Clip, find_clips, listed_clips
from mien.media.sources import Selection
from mien.pipeline import FacePipeline
from mien.streaming import StreamSettings
from mien.streaming.batch import ClipOutcome, analyze_videos
from mien.streaming.outputs import RESULT_FILES, VideoOptions
from mien.streaming.video import VideoProgress
from mien.tables import TableOptions, read_trials
from mien.tables.combined import COMBINED_FILES
from mien.tables.csv_files import read_rows

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Exit status: 0 all analyzed, 1 some inputs failed, 2 invalid usage, 130 interrupted: "
    "the output is readable and marked partial; continue with --resume. "
    "Expressions are apparent: what a face shows, not what a person feels."
)
@takes_settings
def video(
    out: option.Out,
    *,
    clips: option.Clips = None,
    list_file: option.ListFile = None,
    resume: option.Resume = False,
    overwrite: option.Overwrite = False,
    sequence_fps: option.SequenceFps = 25.0,
    json: option.Json = False,
    every: option.Every = 1,
    fps: option.Fps = 0,
    start: option.Start = 0,
    end: option.End = None,
    roi: option.Roi = None,
    baseline: option.Baseline = False,
    application: option.ApplicationName = None,
    no_annotate: option.NoAnnotate = False,
    draw: DrawOption = None,
    blur_faces: option.BlurFaces = False,
    no_thumbnails: option.NoThumbnails = False,
    crops: option.Crops = False,
    landmark_table: option.LandmarkTable = False,
    parquet: option.Parquet = False,
    trials: option.Trials = None,
    time_offset: option.TimeOffset = 0.0,
    group: option.Group = None,
    settings: Settings,
) -> None:
    """Analyze videos: tables, annotated videos and reports."""
    if end is not None and end <= start:
        raise typer.BadParameter(f"expected --end after --start, got {end:g} and {start:g}")
    layers, settings = parse_draw(draw, settings)
    options = VideoOptions(
        selection=Selection(every=every, max_fps=fps, start_s=start, end_s=end),
        annotate=not no_annotate,
        blur_faces=blur_faces,
        draw=layers,
        thumbnails=not no_thumbnails,
        crops=crops,
        tables=TableOptions(
            parquet=parquet,
            landmarks=landmark_table,
            trials=tuple(read_trials(trials)) if trials else (),
            time_offset_s=time_offset,
        ),
        resume=resume,
        overwrite=overwrite,
    )
    found = _clips(clips or [], list_file, out, sequence_fps)
    results = (*RESULT_FILES, *COMBINED_FILES)
    check_folder(out, "--out", results, [*(clip.path for clip in found), list_file, trials])
    pipeline, stream_settings = _stream(application, settings, baseline=baseline, roi=roi)
    with _Bar(len(found)) as bar, graceful_stop() as should_stop:
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
        _print_all(ended, bar, len(found), json=json)


def _clips(paths: list[str], list_file: Path | None, out: Path, sequence_fps: float) -> list[Clip]:
    found = find_clips(paths, sequence_fps=sequence_fps, exclude=out)
    if list_file is not None:
        rows = read_rows(list_file, required=("clip",))
        found += listed_clips(rows, list_file.parent, sequence_fps=sequence_fps)
    if not found:
        raise SettingError("expected videos, folders, patterns or --list, got none")
    return found


def _stream(
    application: str | None, settings: Settings, *, baseline: bool, roi: str | None
) -> tuple[FacePipeline, StreamSettings]:
    region = option.parse_region(roi)
    if settings.landmarks == "default":
        settings = settings.with_blendshapes()
    rules = build_application(application) if application else None
    if rules is None or rules.reads_expressions:
        return FacePipeline(settings), StreamSettings(baseline=baseline, region=region)
    if baseline:
        raise SettingError(
            f"expected no --baseline with {rules.name}, which does not use expressions"
        )
    stream = open_stream(rules, settings)
    return stream.pipeline, StreamSettings(expressions=False, region=region)


def _print_all(ended: Iterator[ClipOutcome], bar: "_Bar", count: int, *, json: bool) -> None:
    """Print each outcome when it ends, then how many failed, and exit with the right status."""
    failed, interrupted = 0, False
    try:
        for one in ended:
            bar.advance()
            if json:
                typer.echo(json_module.dumps(_document(one), ensure_ascii=False))
            elif one.outcome is not None:
                tracks = "1 track" if one.outcome.tracks == 1 else f"{one.outcome.tracks} tracks"
                report = one.folder / "report.html"
                frames = "1 frame" if one.outcome.frames == 1 else f"{one.outcome.frames} frames"
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


class _Bar:
    """Progress bars on stderr, if it is a terminal: of the clip, and of several clips."""

    def __init__(self, clips: int) -> None:
        self._progress = text_progress()
        self._all: TaskID | None = None
        if clips > 1:
            self._all = self._progress.add_task("all clips", total=clips, text=f"0 of {clips}")
        self._clips, self._done = clips, 0
        self._clip: Clip | None = None
        self._task: TaskID | None = None
        self._already = 0

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        self._progress.stop()

    def show(self, clip: Clip, now: VideoProgress) -> None:
        """Show the progress of a clip."""
        if clip is not self._clip or self._task is None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(printable(clip.title), total=None, text="")
            self._clip, self._already = clip, now.frames - 1
        elapsed = self._progress.tasks[-1].elapsed
        rate = (now.frames - self._already) / elapsed if elapsed else 0.0
        self._progress.update(
            self._task,
            total=None if now.share is None else 1.0,
            completed=now.share or 0.0,
            text=f"{now.frames} frames, {rate:.0f} per second",
        )
        if self._all is not None:
            self._progress.update(self._all, completed=self._done + (now.share or 0.0))

    def advance(self) -> None:
        """One more clip is done."""
        self._done += 1
        if self._all is not None:
            text = f"{self._done} of {self._clips}"
            self._progress.update(self._all, completed=self._done, text=text)
