"""A video file into a folder of tables, an annotated video and a report."""

import dataclasses
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.errors import SettingError
from mien.media.sinks import (
    CsvSink,
    EventSink,
    JsonLinesSink,
    Sink,
    TrackSink,
    csv_to_parquet,
    require_pyarrow,
)
from mien.media.sources import Selection
from mien.media.video import VideoSource
from mien.media.video_writer import AnnotatedVideoSink
from mien.pipeline import FacePipeline
from mien.report import ReportFacts, ReportSink
from mien.streaming.face_stream import FaceStream, StreamSettings
from mien.streaming.resume import (
    Progress,
    ProgressSink,
    cut_to_safe,
    replay,
    truncate_tables,
)
from mien.streaming.runner import run


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What becomes of a video.

    Attributes:
        selection: which frames are analyzed.
        annotate: whether ``annotated.mp4`` is written.
        blur_faces: whether faces are blurred in it, and left out of the report.
        thumbnails: whether the report shows a small picture of each track.
        parquet: whether ``faces.parquet`` is written, too.
        resume: whether to go on with an earlier run that was stopped.
    """

    selection: Selection = field(default_factory=Selection)
    annotate: bool = True
    blur_faces: bool = False
    thumbnails: bool = True
    parquet: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class VideoProgress:
    """How far an analysis has come.

    Attributes:
        frames: analyzed so far.
        timestamp_s: of the last one.
        share: of the recording that is done, in [0, 1]; None where its length is unknown.
    """

    frames: int
    timestamp_s: float
    share: float | None


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """What an analysis left behind.

    Attributes:
        folder: where the files lie.
        frames: analyzed, in this run and the ones that it resumed.
        tracks: how many faces were followed.
        complete: whether the end was reached.
        damaged: packets of the file that could not be decoded.
    """

    folder: Path
    frames: int
    tracks: int
    complete: bool
    damaged: int


def analyze_video(
    clip: Path,
    folder: Path,
    options: VideoOptions | None = None,
    *,
    pipeline: FacePipeline | None = None,
    settings: StreamSettings | None = None,
    on_progress: Callable[[VideoProgress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> VideoOutcome:
    """Analyze a video file and write all that there is to know into a folder.

    ``faces.csv`` and ``faces.jsonl``: a row for each face in each frame; ``tracks.csv``: one for
    each track; ``events.jsonl``: what happened; ``annotated.mp4``; ``report.html``; ``run.json``:
    how far the run came. Whatever ends the run, what was written stays readable, and marked
    ``partial``; such a run can be resumed.

    Args:
        clip: the video.
        folder: is made where it does not exist; files of an earlier run are replaced.
        options: what is written.
        pipeline: by default one with the default settings.
        settings: how the stream is followed.
        on_progress: called after each frame.
        should_stop: asked after each frame; True ends the run as a partial one.

    Raises:
        VideoReadError: no readable video; nothing is written then.
        SettingError: a run with other options is to be resumed, or the folder cannot be made.
        MissingExtraError: PyAV, lapx or pyarrow is not installed.
    """
    options = options or VideoOptions()
    if options.parquet:
        require_pyarrow()
    source = VideoSource(clip, options.selection)
    pipeline = pipeline or FacePipeline()
    settings = _thorough(settings or StreamSettings()) if options.blur_faces else settings
    plan = _plan(clip, options, pipeline, settings or StreamSettings())
    earlier = Progress.read(folder) if options.resume else None
    if earlier is not None:
        earlier.check_plan(plan)
        if earlier.complete:
            return VideoOutcome(folder, earlier.frames, _count_tracks(folder), True, 0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"expected a folder that can be made at {folder}: {error.strerror}"
        ) from None
    job = _Job(
        source,
        folder,
        options,
        pipeline=pipeline,
        settings=settings,
        plan=plan,
        earlier=earlier,
    )
    complete = job.run(on_progress, should_stop)
    if options.parquet:
        csv_to_parquet(folder / "faces.csv", folder / "faces.parquet")
    frames = job.progress.progress.frames
    return VideoOutcome(folder, frames, _count_tracks(folder), complete, job.source.damaged)


class _Job:
    """The sinks of one run."""

    def __init__(
        self,
        source: VideoSource,
        folder: Path,
        options: VideoOptions,
        *,
        pipeline: FacePipeline,
        settings: StreamSettings | None,
        plan: dict[str, Any],
        earlier: Progress | None,
    ) -> None:
        labels = pipeline.classifier.spec.labels
        self.source = source
        self._follower = FaceStream(pipeline, settings, source=source.info.name)
        until_s = -1.0
        if earlier is not None:
            earlier = cut_to_safe(folder, earlier)
            until_s = earlier.timestamp_s
            truncate_tables(folder, until_s)
            selection = replace(
                options.selection, start_s=max(options.selection.start_s, until_s + 1e-6)
            )
            self.source = VideoSource(source.path, selection)
        resumed = earlier is not None
        csv = CsvSink(folder / "faces.csv", labels, append=resumed)
        jsonl = JsonLinesSink(folder / "faces.jsonl", labels, append=resumed)
        tracks, events = TrackSink(folder / "tracks.csv"), EventSink(folder / "events.jsonl")
        facts = ReportFacts(
            title=source.info.name,
            size_wh=source.info.size_wh,
            frame_rate=source.info.frame_rate,
            models=pipeline.models,
            notes=_notes(options),
        )
        report = ReportSink(
            folder / "report.html",
            facts,
            labels,
            thumbnails=options.thumbnails and not options.blur_faces,
            video=_video_of_report(source.path, folder, options),
            trimmed=options.annotate,
        )
        if earlier is not None:
            for happened in replay(
                folder, labels, self._follower, report, progress=earlier, until_s=until_s
            ):
                tracks.replay(happened)
                events.replay(happened)
        self.progress = ProgressSink(folder, plan, (csv, jsonl), earlier)
        self._sinks: list[Sink] = [csv, jsonl, tracks, events]
        if options.annotate:
            video = AnnotatedVideoSink(
                folder,
                source.path,
                blur=options.blur_faces,
                resumed=resumed,
                frame_rate=source.info.frame_rate,
            )
            self._sinks.append(video)
        # The report plays the annotated video, which must be whole by then; the progress says
        # that all others are.
        self._sinks += [report, self.progress]

    def run(
        self, on_progress: Callable[[VideoProgress], None], should_stop: Callable[[], bool]
    ) -> bool:
        """Run to the end, or until stopped, and tell which."""
        duration_s = self.source.info.duration_s
        with closing(run(self.source, self._follower, sinks=self._sinks)) as steps:
            for step in steps:
                now = step.frame.timestamp_s
                share = min(1.0, now / duration_s) if duration_s else None
                on_progress(VideoProgress(self.progress.progress.frames, now, share))
                if should_stop():
                    return False
        return True


def _thorough(settings: StreamSettings) -> StreamSettings:
    """Search in every frame: a face that is not found is not blurred."""
    search = replace(settings.search, detect_every_s=0.1, still_every_s=0.1, search_every_s=0.0)
    return replace(settings, search=search)


def _plan(
    clip: Path, options: VideoOptions, pipeline: FacePipeline, settings: StreamSettings
) -> dict[str, Any]:
    return {
        "clip": clip.name,
        "bytes": clip.stat().st_size,
        **dataclasses.asdict(options.selection),
        "annotate": options.annotate,
        "blur_faces": options.blur_faces,
        "baseline": settings.baseline,
        "models": pipeline.models,
    }


def _notes(options: VideoOptions) -> tuple[str, ...]:
    chosen, notes = options.selection, []
    if chosen.every > 1:
        notes.append(f"only each {chosen.every}th frame was analyzed")
    if chosen.max_fps:
        notes.append(f"at most {chosen.max_fps:g} frames a second were analyzed")
    if chosen.start_s or chosen.end_s is not None:
        end = "the end" if chosen.end_s is None else f"{chosen.end_s:g} s"
        notes.append(f"from {chosen.start_s:g} s to {end}")
    return tuple(notes)


def _video_of_report(clip: Path, folder: Path, options: VideoOptions) -> Path | None:
    if options.annotate:
        return folder / "annotated.mp4"
    # Without an annotated video the report plays the original, but never unblurred faces.
    return None if options.blur_faces else clip


def _count_tracks(folder: Path) -> int:
    with (folder / "tracks.csv").open(encoding="utf-8") as file:
        return max(0, sum(1 for _ in file) - 1)
