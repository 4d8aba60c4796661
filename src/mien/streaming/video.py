"""A video file into a recording, with its tables and its report."""

import dataclasses
import math
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.errors import SettingError
from mien.media.joining import end_of_parts_s, parts_in
from mien.media.sources import Selection, SourceInfo
from mien.media.thumbnails import ThumbnailSink
from mien.media.video import VideoSource
from mien.media.video_writer import AnnotatedVideoSink
from mien.pipeline import FacePipeline
from mien.recording import (
    FRAMES_FILE,
    THUMBNAILS_FOLDER,
    VIDEO_FILE,
    Recording,
    RecordingSink,
    RunState,
)
from mien.report import write_report
from mien.streaming.face_stream import FaceStream, StreamSettings
from mien.streaming.runner import Sink, run
from mien.tables import require_pyarrow, write_tables


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is analyzed and written.

    Attributes:
        selection: which frames are analyzed.
        annotate: whether ``annotated.mp4`` is written.
        blur_faces: whether faces are blurred in it, and left out of the report.
        thumbnails: whether the report shows a small picture of each track.
        parquet: whether ``faces.parquet`` is written as well.
        resume: whether to continue an earlier run that was stopped.
    """

    selection: Selection = field(default_factory=Selection)
    annotate: bool = True
    blur_faces: bool = False
    thumbnails: bool = True
    parquet: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class VideoProgress:
    """The progress of an analysis.

    Attributes:
        frames: number of frames analyzed so far.
        timestamp_s: of the last one.
        share: of the video that is done, in [0, 1]; None where its length is unknown.
    """

    frames: int
    timestamp_s: float
    share: float | None


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """The result of an analysis.

    Attributes:
        folder: where the files are.
        frames: number of frames analyzed, in this run and the ones that it resumed.
        tracks: number of faces that were followed.
        complete: whether the end was reached.
        warnings: what is wrong with the file, and what went wrong without ending the run.
    """

    folder: Path
    frames: int
    tracks: int
    complete: bool
    warnings: tuple[str, ...] = ()


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
    """Analyze a video file, and write everything that is known into a folder.

    ``frames.jsonl``: the result of each frame with its events; ``annotated.mp4``; ``run.json``: the
    state of the run; and the tables and the report that are made from them. After a stop or an
    error, what was written is readable and marked ``partial``, and the run can be resumed.

    Args:
        clip: the video.
        folder: is made where it does not exist; files of an earlier run are replaced.
        options: what is written.
        pipeline: by default one with the default settings.
        settings: how the stream is followed.
        on_progress: called after each frame.
        should_stop: asked after each frame; True ends the run as a partial one.

    Raises:
        VideoReadError: not a readable video; nothing is written then.
        SettingError: a run with other options is to be resumed, or the folder cannot be made.
        MissingExtraError: PyAV, lapx or pyarrow is not installed.
    """
    options = options or VideoOptions()
    if options.parquet:
        require_pyarrow()
    source = VideoSource(clip, options.selection)
    pipeline = pipeline or FacePipeline()
    settings = settings or StreamSettings()
    settings = _thorough(settings) if options.blur_faces else settings
    plan = _plan(clip, options, pipeline, settings)
    earlier = RunState.read(folder) if options.resume else None
    if earlier is not None:
        earlier.check_plan(plan)
        if earlier.status == "complete":
            tracks = write_outputs(folder, options, clip=clip)
            return VideoOutcome(folder, earlier.frames, tracks, True, earlier.warnings)
    make_folder(folder)
    stream = FaceStream(pipeline, settings, source=source.info.name)
    state = new_state(source.info, stream, notes=_notes(options), plan=plan)
    if earlier is not None and (folder / FRAMES_FILE).is_file():
        state = _resume(folder, options, stream, state)
        start_s = max(options.selection.start_s, state.timestamp_s + 1e-6)
        source = VideoSource(clip, replace(options.selection, start_s=start_s))
    recording = RecordingSink(folder, state)
    sinks = recording_sinks(folder, options, recording, original=clip)
    complete = False
    try:
        with closing(run(source, stream, sinks=sinks)) as steps:
            for step in steps:
                now = step.frame.timestamp_s
                share = min(1.0, now / source.info.duration_s) if source.info.duration_s else None
                on_progress(VideoProgress(recording.state.frames, now, share))
                if should_stop():
                    break
            else:
                complete = True
    finally:
        if source.warnings:
            recording.state = replace(recording.state, warnings=source.warnings)
            recording.state.write(folder)
        tracks = write_outputs(folder, options, clip=clip)
    return VideoOutcome(folder, recording.state.frames, tracks, complete, source.warnings)


def make_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        SettingError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"expected a folder that can be made at {folder}: {error.strerror}"
        ) from None


def new_state(
    info: SourceInfo,
    stream: FaceStream,
    *,
    notes: tuple[str, ...] = (),
    plan: dict[str, Any] | None = None,
) -> RunState:
    """The state of a run before its first frame."""
    labels = stream.pipeline.classifier.spec.labels if stream.settings.expressions else ()
    return RunState(
        title=info.name,
        size_wh=info.size_wh,
        frame_rate=info.frame_rate,
        labels=tuple(label.value for label in labels),
        models=dict(stream.pipeline.models),
        notes=notes,
        plan=plan or {},
    )


def recording_sinks(
    folder: Path,
    options: VideoOptions,
    recording: RecordingSink,
    *,
    original: Path | None = None,
    resumable: bool = True,
) -> list[Sink]:
    """The sinks of a run; the recording is the last, so that its end says that all is written.

    Args:
        folder: an existing folder.
        options: what is written.
        recording: the sink of the results.
        original: the video whose sound is copied.
        resumable: whether the run can be resumed later.
    """
    resumed = recording.state.frames > 0
    if not resumed:
        # The report must not show pictures of an earlier run, which may not have been blurred.
        (folder / VIDEO_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / THUMBNAILS_FOLDER, ignore_errors=True)
    sinks: list[Sink] = []
    if options.annotate:
        video = AnnotatedVideoSink(
            folder,
            original,
            blur=options.blur_faces,
            resumed=resumed,
            resumable=resumable,
            frame_rate=recording.state.frame_rate,
        )
        sinks.append(video)
    if options.thumbnails and not options.blur_faces:
        sinks.append(ThumbnailSink(folder / THUMBNAILS_FOLDER, resumed=resumed))
    return [*sinks, recording]


def write_outputs(folder: Path, options: VideoOptions, *, clip: Path | None = None) -> int:
    """Write the tables and the report of the recording in a folder.

    Args:
        folder: of the recording and of what is made from it.
        options: of the run.
        clip: the original video, which the report plays if there is no annotated one.

    Returns:
        The number of tracks.
    """
    recording = Recording(folder)
    tracks = write_tables(recording, folder, parquet=options.parquet)
    # The original shows faces that are not blurred.
    original = None if options.annotate or options.blur_faces else clip
    write_report(recording, folder, video=original)
    return tracks


def _resume(folder: Path, options: VideoOptions, stream: FaceStream, state: RunState) -> RunState:
    """Bring a stream to where an earlier run stopped.

    Of a run that was killed, the annotated video may end before the recorded frames do.
    """
    recording = Recording(folder)
    until_s = end_of_parts_s(parts_in(folder)) if options.annotate else math.inf
    kept = recording.cut(until_s)
    stream.resume((frame.result, frame.events) for frame in recording.frames())
    return replace(
        state, frames=kept.frames, frame_index=kept.frame_index, timestamp_s=kept.timestamp_s
    )


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
        notes.append(f"one of {chosen.every} frames was analyzed")
    if chosen.max_fps:
        notes.append(f"at most {chosen.max_fps:g} frames per second were analyzed")
    if chosen.start_s or chosen.end_s is not None:
        end = "the end" if chosen.end_s is None else f"{chosen.end_s:g} s"
        notes.append(f"from {chosen.start_s:g} s to {end}")
    return tuple(notes)
