"""What is written of a stream: its recording while it runs, what is made from it, and where.

Only one run at a time uses a folder, and it never mixes the files of two runs.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mien.errors import SettingError
from mien.media.clips import Clip
from mien.media.sources import Selection, SourceInfo
from mien.media.thumbnails import CropSink, ThumbnailSink
from mien.media.video_writer import AnnotatedVideoSink, parts_in
from mien.recording import (
    APPLICATION_FILE,
    FRAMES_FILE,
    STATE_FILE,
    THUMBNAILS_FOLDER,
    VIDEO_FILE,
    Recording,
    RecordingSink,
    RunState,
    replacing,
)
from mien.report import write_report
from mien.report.page import REPORT_FILE
from mien.streaming.face_stream import FaceStream
from mien.streaming.runner import Application, Sink
from mien.tables import TableOptions, write_tables
from mien.tables.write import TABLE_FILES

_CROPS_FOLDER = "crops"
LOCK_FILE = ".mien.lock"

RESULT_FILES = (FRAMES_FILE, STATE_FILE, VIDEO_FILE, REPORT_FILE, APPLICATION_FILE, *TABLE_FILES)
"""Every file, besides pictures, that is written into the folder of a recording."""
_UNFINISHED = ("*.partial", "annotated.partial.mp4")
RESULT_FOLDERS = (THUMBNAILS_FOLDER, _CROPS_FOLDER)


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is analyzed and written.

    Attributes:
        selection: which frames are analyzed.
        annotate: whether ``annotated.mp4`` is written.
        blur_faces: whether faces are blurred in it, and left out of the report.
        draw: what else is drawn in it; see :func:`mien.drawing.annotate`.
        thumbnails: whether the report shows a small picture of each track.
        crops: whether every face of every analyzed frame is written as ``crops/TRACK/FRAME.jpg``.
        tables: which tables are written.
        resume: whether to continue an earlier run that was stopped.
        overwrite: whether to delete the results of an earlier run.
    """

    selection: Selection = field(default_factory=Selection)
    annotate: bool = True
    blur_faces: bool = False
    draw: tuple[str, ...] = ()
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
        if self.draw and (self.blur_faces or not self.annotate):
            raise SettingError(
                "expected an annotated video without blurred faces to draw on: leave out draw, or "
                "the other option"
            )


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
            draw=options.draw,
            resumed=resumed,
            resumable=resumable,
            frame_rate=recording.state.frame_rate,
        )
        sinks.append(video)
    if options.thumbnails and not options.blur_faces:
        sinks.append(ThumbnailSink(folder / THUMBNAILS_FOLDER, resumed=resumed))
    if options.crops:
        sinks.append(CropSink(folder / _CROPS_FOLDER))
    return [*sinks, recording]


def write_application(folder: Path, application: Application) -> None:
    """Write the summary and the limits of an application."""
    document = {
        "application": application.name,
        "limits": application.limits,
        "summary": application.summary(),
    }
    with replacing(folder / APPLICATION_FILE) as unfinished:
        unfinished.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


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


def _make_folder(folder: Path) -> None:
    """Make a folder for results; raises SettingError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"expected a folder that can be made at {folder}: {error.strerror}"
        ) from None


def _written_files(folder: Path) -> list[Path]:
    """The files in a folder that an earlier run wrote, and its folders of pictures."""
    found = [folder / name for name in (*RESULT_FILES, *RESULT_FOLDERS) if (folder / name).exists()]
    return [*found, *parts_in(folder)]


def check_unused(folder: Path, *, resumable: bool = False) -> None:
    """Refuse a folder with the results of an earlier run.

    Args:
        folder: for results; may be missing.
        resumable: whether the error mentions that a run can be resumed.

    Raises:
        SettingError: there are such results.
    """
    found = _written_files(folder)
    if found:
        names = ", ".join(path.name for path in found[:3]) + (", …" if len(found) > 3 else "")
        resume = "--resume to continue that run, " if resumable else ""
        raise SettingError(
            f"expected a folder without earlier results, but {folder} has {names}: use "
            f"--overwrite to replace them, {resume}or another folder"
        )


def delete_results(folder: Path) -> None:
    """Delete the results of an earlier run, and nothing else."""
    for path in _written_files(folder):
        if path.is_dir():
            for picture in path.glob("**/*.jpg"):
                picture.unlink()
            for inner in sorted((p for p in path.glob("**/") if p.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    inner.rmdir()
        else:
            path.unlink(missing_ok=True)
    for pattern in _UNFINISHED:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder, and hold it until the end of the block.

    The system releases the lock when the process ends, however it ends; a lock file that a killed
    process left behind is taken over.

    Raises:
        SettingError: another process or thread holds it.
    """
    _make_folder(folder)
    path = folder / LOCK_FILE
    while True:
        file = path.open("a+", encoding="utf-8")
        if not _lock(file):
            holder = _holder(file)
            file.close()
            raise SettingError(
                f"expected a folder that no other run uses, but process {holder} writes to "
                f"{folder}: wait for it, or use another --out"
            )
        # The one before may have deleted the file after it was opened here.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()
    try:
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder now."""
    try:
        with (folder / LOCK_FILE).open("a+" if os.name == "nt" else "r", encoding="utf-8") as file:
            return not _lock(file)
    except OSError:
        return False


def _lock(file: IO[str]) -> bool:
    """Lock an open file without waiting; returns whether that succeeded."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(file: IO[str]) -> str:
    try:
        file.seek(0)
        return file.read().strip() or "unknown"
    except OSError:
        # On Windows a locked file cannot be read.
        return "unknown"
