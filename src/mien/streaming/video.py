"""A video file into a recording, with its tables and its report."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from mien.config import Settings
from mien.errors import InputError, MienError, NoFrameError, SettingError, VideoReadError
from mien.media.clips import Clip
from mien.media.sources import Source
from mien.media.video_writer import end_of_parts_s, parts_in
from mien.pipeline import FacePipeline
from mien.recording import FRAMES_FILE, Recording, RecordingSink, RunState
from mien.streaming.expressions import for_streams
from mien.streaming.face_stream import FaceStream, StreamSettings
from mien.streaming.outputs import (
    VideoOptions,
    check_unused,
    delete_results,
    locked,
    new_state,
    recording_sinks,
    write_application,
    write_outputs,
)
from mien.streaming.runner import Application, Sink, run
from mien.tables import require_pyarrow
from mien.tables.trials import trials_outside
from mien.types import Face


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
        warnings: what is wrong with the video, as in ``run.json``.
    """

    folder: Path
    frames: int
    tracks: int
    complete: bool
    warnings: tuple[str, ...] = ()


def analyze_video(
    clip: str | Path | Clip,
    folder: str | Path,
    options: VideoOptions | None = None,
    *,
    pipeline: FacePipeline | None = None,
    settings: StreamSettings | None = None,
    application: Application | None = None,
    on_progress: Callable[[VideoProgress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> VideoOutcome:
    """Analyze a video, and write everything that is known into a folder.

    ``frames.jsonl``: the result of each frame with its events; ``annotated.mp4``; ``run.json``: the
    state of the run; and the tables and the report that are made from them. After a stop or an
    error, what was written is readable and marked ``partial``, and the run can be resumed.

    Args:
        clip: the video, or numbered pictures.
        folder: is made where it does not exist; must not have the results of an earlier run, unless
            they are to be resumed or overwritten.
        options: what is written.
        pipeline: by default one with the landmarks that show blinks and yawns best.
        settings: how the stream is followed.
        application: finds more events, and writes its summary to ``application.json``.
        on_progress: called after each frame.
        should_stop: asked after each frame; True ends the run as a partial one.

    Raises:
        VideoReadError: not a readable video; nothing is written then.
        SettingError: the folder has other results or is in use, a run with other options is to be
            resumed, or the folder cannot be made.
        MissingExtraError: PyAV, lapx or pyarrow is not installed.
        MienError: a file cannot be written.

    Examples:
        >>> (mien.analyze_video("clip.mp4", "results").folder / "report.html").is_file()
        True
    """
    clip, folder, options = _as_clip(clip), Path(folder), options or VideoOptions()
    if options.tables.parquet:
        require_pyarrow()
    source = clip.open(options.selection)
    pipeline = for_streams(pipeline or FacePipeline(Settings().for_streams()))
    settings = _thorough(settings, options)
    plan = _plan(clip, options, pipeline, settings, application)
    with _removed_if_unreadable(folder), locked(folder):
        earlier = _earlier(folder, options, plan)
        if earlier is not None and earlier.status == "complete":
            return _written_again(folder, options, clip, earlier)
        stream = FaceStream(pipeline, settings, source=source.info.name)
        state = new_state(source.info, stream, notes=_notes(options, application), plan=plan)
        if earlier is not None:
            state = _resume(folder, options, stream, state, application)
            start_s = max(options.selection.start_s, state.timestamp_s + 1e-6)
            source = clip.open(replace(options.selection, start_s=start_s))
        recording = RecordingSink(folder, state, landmarks=options.tables.landmarks)
        sinks = recording_sinks(folder, options, recording, original=clip)
        failure = _analyze_frames(
            source,
            stream,
            sinks=sinks,
            recording=recording,
            application=application,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        state = _with_warnings(recording.state, options, source.warnings, stream.warnings_at_end())
        return _finish(folder, options, clip, state=state, application=application, failure=failure)


def _as_clip(clip: str | Path | Clip) -> Clip:
    if isinstance(clip, Clip):
        return clip
    if isinstance(clip, str | PathLike):
        return Clip(str(clip), Path(clip))
    raise InputError(f"expected the path of a video or a Clip, got {type(clip).__name__}")


def _written_again(
    folder: Path, options: VideoOptions, clip: Clip, earlier: RunState
) -> VideoOutcome:
    """The outputs of a run that was complete."""
    tracks = write_outputs(folder, options, clip=clip)
    state = _with_warnings(replace(earlier, error=None), options)
    state.write(folder)
    return VideoOutcome(folder, state.frames, tracks, True, state.warnings)


def _with_warnings(
    state: RunState, options: VideoOptions, warnings: Iterable[str] = (), at_end: Iterable[str] = ()
) -> RunState:
    """The state with more warnings.

    Those at the end, and of trials that it does not show as a whole, are of a complete run only.
    """
    is_complete = state.status == "complete"
    found = dict.fromkeys((*state.warnings, *warnings, *(at_end if is_complete else ())))
    state = replace(state, warnings=tuple(found))
    if not is_complete:
        return state
    start_s, tables = options.selection.start_s, options.tables
    # A frame lasts until the next one; the last may last twice as long as the others.
    step_s = 2 * (state.timestamp_s - start_s) / max(1, state.frames - 1)
    outside = trials_outside(
        tables.trials,
        start_s - step_s if start_s else 0.0,
        state.timestamp_s + step_s,
        time_offset_s=tables.time_offset_s,
    )
    return replace(state, warnings=tuple(dict.fromkeys((*state.warnings, *outside))))


@contextmanager
def _removed_if_unreadable(folder: Path) -> Iterator[None]:
    """Of a video without a frame to analyze, leave no empty folders that this run made."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except VideoReadError:
        with suppress(OSError):
            for path in made:
                path.rmdir()
        raise


def _earlier(folder: Path, options: VideoOptions, plan: dict[str, Any]) -> RunState | None:
    """The state of the run to resume, if any; else the folder has no results afterwards."""
    if options.overwrite:
        delete_results(folder)
    state = RunState.read(folder) if options.resume else None
    if state is None:
        check_unused(folder, resumable=True)
        return None
    state.check_plan(plan)
    if not (folder / FRAMES_FILE).is_file():
        raise SettingError(
            f"expected {FRAMES_FILE} of the run to resume in {folder}, but there is none: use "
            "--overwrite to start over"
        )
    return state


def _analyze_frames(
    source: Source,
    stream: FaceStream,
    *,
    sinks: list[Sink],
    recording: RecordingSink,
    application: Application | None,
    on_progress: Callable[[VideoProgress], None],
    should_stop: Callable[[], bool],
) -> BaseException | None:
    """Analyze frames to the end or a stop, close the sinks, and return what went wrong."""
    try:
        with closing(run(source, stream, sinks=sinks)) as steps:
            for step in steps:
                if application is not None:
                    found = application.update(step.result, step.events)
                    recording.add_events(found)
                now, duration_s = step.frame.timestamp_s, source.info.duration_s
                share = min(1.0, now / duration_s) if duration_s else None
                on_progress(VideoProgress(recording.state.frames, now, share))
                if should_stop():
                    break
    except BaseException as error:  # noqa: BLE001 - raised again when all is written
        return error
    return None


def _finish(
    folder: Path,
    options: VideoOptions,
    clip: Clip,
    *,
    state: RunState,
    application: Application | None,
    failure: BaseException | None,
) -> VideoOutcome:
    """Write what is made from the recording, and in ``run.json`` how the run ended.

    Raises the failure, if there was one; nothing is left then of a video without a readable frame.
    """
    if isinstance(failure, NoFrameError) and state.frames:
        # An earlier run was stopped after the last frame.
        state, failure = replace(state, status="complete"), None
    elif isinstance(failure, VideoReadError) and not state.frames:
        delete_results(folder)
        raise failure
    tracks = 0
    try:
        with suppress(OSError):
            state.write(folder)
        if application is not None:
            write_application(folder, application)
        tracks = write_outputs(folder, options, clip=clip)
    except Exception as error:  # noqa: BLE001 - raised below, the first failure first
        failure = failure or error
    if failure is None:
        complete = state.status == "complete"
        return VideoOutcome(folder, state.frames, tracks, complete, state.warnings)
    if isinstance(failure, Exception):
        reason = str(failure) or type(failure).__name__
        # Without a table, a complete recording stays one: --resume then writes the tables.
        state = replace(state, error=reason)
        with suppress(OSError):
            state.write(folder)
    if isinstance(failure, OSError):
        raise MienError(
            f"expected to write the results to {folder}, but: {failure}; make room there, then use "
            "--resume"
        ) from failure
    raise failure


def _resume(
    folder: Path,
    options: VideoOptions,
    stream: FaceStream,
    state: RunState,
    application: Application | None,
) -> RunState:
    """Bring a stream and an application to where an earlier run stopped.

    Of a run that was killed, the annotated video may end before the recorded frames do.
    """
    recording = Recording(folder)
    until_s = end_of_parts_s(parts_in(folder)) if options.annotate else math.inf
    kept = recording.cut(until_s)
    stream.resume((frame.result, frame.events) for frame in recording.frames())
    warnings = dict.fromkeys(w for frame in recording.frames() for w in frame.result.warnings)
    if application is not None:
        for frame in recording.frames():
            application.update(frame.result, frame.events)
    return replace(
        state,
        frames=kept.frames,
        frame_index=kept.frame_index,
        timestamp_s=kept.timestamp_s,
        warnings=tuple(warnings),
    )


def _thorough(settings: StreamSettings | None, options: VideoOptions) -> StreamSettings:
    """The settings; with blurring, those that search in every frame: a face that is not found is
    not blurred.
    """
    settings = settings or StreamSettings()
    if not options.blur_faces:
        return settings
    search = replace(settings.search, detect_every_s=0.1, still_every_s=0.1, search_every_s=0.0)
    return replace(settings, search=search)


def _plan(
    clip: Clip,
    options: VideoOptions,
    pipeline: FacePipeline,
    settings: StreamSettings,
    application: Application | None,
) -> dict[str, Any]:
    return {
        **clip.identity(),
        **dataclasses.asdict(options.selection),
        "annotate": options.annotate,
        "blur_faces": options.blur_faces,
        **({"draw": sorted(options.draw)} if options.draw else {}),
        "crops": options.crops,
        "landmarks": options.tables.landmarks,
        "baseline": settings.baseline,
        **_neutral_plan(pipeline.neutral, settings.neutral_track),
        "region": None if settings.region is None else list(settings.region),
        "application": None if application is None else application.name,
        "models": pipeline.models,
    }


def _neutral_plan(neutral: Face | None, track_id: int) -> dict[str, Any]:
    """The neutral photograph by the hash of what was measured in it."""
    if neutral is None:
        return {}
    measured = repr(sorted((neutral.blendshapes or {}).items()))
    digest = hashlib.sha256(measured.encode()).hexdigest()[:16]
    return {"neutral": digest, "neutral_track": track_id}


def _notes(options: VideoOptions, application: Application | None) -> tuple[str, ...]:
    chosen, notes = options.selection, []
    if chosen.every > 1:
        notes.append(f"one of {chosen.every} frames was analyzed")
    if chosen.max_fps:
        notes.append(f"at most {chosen.max_fps:g} frames per second were analyzed")
    if chosen.start_s or chosen.end_s is not None:
        end = "the end" if chosen.end_s is None else f"{chosen.end_s:g} s"
        notes.append(f"from {chosen.start_s:g} s to {end}")
    if application is not None:
        notes.append(f"{application.name}: {application.limits}")
    return tuple(notes)
