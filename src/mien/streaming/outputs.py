"""What is written of a stream: its recording while it runs, and what is made from it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import SettingError
from mien.media.clips import Clip
from mien.media.sources import Selection, SourceInfo
from mien.media.thumbnails import CropSink, ThumbnailSink
from mien.media.video_writer import AnnotatedVideoSink
from mien.recording import THUMBNAILS_FOLDER, Recording, RecordingSink, RunState
from mien.report import write_report
from mien.streaming.face_stream import FaceStream
from mien.streaming.output_folder import CROPS_FOLDER
from mien.streaming.runner import Sink
from mien.tables import TableOptions, write_tables


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is analyzed and written.

    Attributes:
        selection: which frames are analyzed.
        annotate: whether ``annotated.mp4`` is written.
        blur_faces: whether faces are blurred in it, and left out of the report.
        thumbnails: whether the report shows a small picture of each track.
        crops: whether every face of every analyzed frame is written as ``crops/TRACK/FRAME.jpg``.
        tables: which tables are written.
        resume: whether to continue an earlier run that was stopped.
        overwrite: whether to delete the results of an earlier run.
    """

    selection: Selection = field(default_factory=Selection)
    annotate: bool = True
    blur_faces: bool = False
    thumbnails: bool = True
    crops: bool = False
    tables: TableOptions = field(default_factory=TableOptions)
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise SettingError("expected one of resume and overwrite, got both")
        if self.crops and self.blur_faces:
            raise SettingError("expected no crops of faces in a run that blurs them, got both")


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
    original: Clip | None = None,
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
    sinks: list[Sink] = []
    if options.annotate:
        video = AnnotatedVideoSink(
            folder,
            original.path if original is not None and not original.pictures else None,
            blur=options.blur_faces,
            resumed=resumed,
            resumable=resumable,
            frame_rate=recording.state.frame_rate,
        )
        sinks.append(video)
    if options.thumbnails and not options.blur_faces:
        sinks.append(ThumbnailSink(folder / THUMBNAILS_FOLDER, resumed=resumed))
    if options.crops:
        sinks.append(CropSink(folder / CROPS_FOLDER))
    return [*sinks, recording]


def write_outputs(folder: Path, options: VideoOptions, *, clip: Clip | None = None) -> int:
    """Write the tables and the report of the recording in a folder.

    Args:
        folder: of the recording and of what is made from it.
        options: of the run.
        clip: the original video, which the report plays if there is no annotated one.

    Returns:
        The number of tracks.
    """
    recording = Recording(folder)
    tracks = write_tables(recording, folder, options.tables)
    # The original shows faces that are not blurred.
    hidden = clip is None or bool(clip.pictures) or options.annotate or options.blur_faces
    write_report(recording, folder, video=None if clip is None or hidden else clip.path)
    return tracks
