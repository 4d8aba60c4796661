"""A recording: the folder that an analyzed stream is written to, and read back from.

While a stream runs, three things are written: ``frames.jsonl``, one line for each analyzed frame,
which is the FrameResult document with the ``events`` of the frame; the annotated video and the
thumbnails, if wanted; and ``run.json``, the state of the run. Tables and the report are made from
it afterwards; see :mod:`mien.tables` and :mod:`mien.report`.
"""

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mien.errors import InputError, SettingError
from mien.media.sources import Frame
from mien.tracking import Event, StreamStatistics
from mien.types import FrameResult

FRAMES_FILE = "frames.jsonl"
STATE_FILE = "run.json"
VIDEO_FILE = "annotated.mp4"
THUMBNAILS_FOLDER = "thumbnails"
APPLICATION_FILE = "application.json"

# Between two states in run.json, in seconds of the stream.
_SAVE_EVERY_S = 1.0
_DAMAGED = f"{STATE_FILE} cannot be read: options, warnings and the end of the run are unknown"
# A frame at the end of a video part may be rounded to the tick of 1/90000 s below its time.
_TICK_S = 1 / 90_000

_RunStatus = Literal["running", "partial", "complete"]
"""``"running"`` also after a kill; ``"partial"`` after a stop or an error."""


class RecordedFrame(NamedTuple):
    """A line of a recording.

    Attributes:
        result: of the frame.
        events: what happened in the frame.
        closing_events: what the end of the stream ended, after the last frame.
    """

    result: FrameResult
    events: tuple[Event, ...] = ()
    closing_events: tuple[Event, ...] = ()

    @property
    def all_events(self) -> tuple[Event, ...]:
        return (*self.events, *self.closing_events)


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run, in ``run.json``.

    Attributes:
        status: whether the end of the stream was reached.
        error: why the run ended before the end of the stream, if it was an error.
        frames: number of frames analyzed.
        frame_index, timestamp_s: of the last one; -1 before the first.
        title: name of the stream, for example of the file.
        size_wh: of the frames in pixels, if known.
        frame_rate: of the source in frames per second, if known.
        labels: of the expression model, in its order.
        models: name of the model behind each step.
        notes: what readers of the results should know, for example which frames were analyzed.
        warnings: what went wrong without ending the run.
        plan: the options of the run; a resumed run must have the same.
    """

    status: _RunStatus = "running"
    error: str | None = None
    frames: int = 0
    frame_index: int = -1
    timestamp_s: float = -1.0
    title: str = ""
    size_wh: tuple[int, int] | None = None
    frame_rate: float | None = None
    labels: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "RunState | None":
        """The state in a folder; None where there is none that can be read."""
        try:
            document = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
            for name in ("size_wh", "labels", "notes", "warnings"):
                if known.get(name) is not None:
                    known[name] = tuple(known[name])
            return cls(**known) if known["frames"] >= 0 and known["status"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, folder: Path) -> None:
        """Replace the state in a folder, in one step."""
        text = json.dumps({"schema_version": 1, **asdict(self)}, indent=2).encode() + b"\n"
        unfinished, path = folder / f"{STATE_FILE}.partial", folder / STATE_FILE
        try:
            unfinished.write_bytes(text)
            unfinished.replace(path)
        except OSError:
            # On a full disk, the old file can still be written over: it keeps its blocks.
            unfinished.unlink(missing_ok=True)
            with path.open("rb+") as file:
                file.write(text)
                file.truncate()

    def check_plan(self, plan: Mapping[str, Any]) -> None:
        """Compare the options of this run with those of the one that resumes it.

        Raises:
            SettingError: they differ.
        """
        differing = sorted(
            key for key in {*plan, *self.plan} if plan.get(key) != self.plan.get(key)
        )
        if differing:
            raise SettingError(
                "expected the same video and options as in the run that is resumed, but these "
                f"differ: {', '.join(differing)}; omit --resume to start over"
            )


class LineFile:
    """A text file that only ever holds whole lines, also when the process is killed.

    Lines are gathered for half a second and then passed to the system in one piece. With `append`
    the file is continued, else replaced.

    Attributes:
        failed: whether a line could not be written; those after it are dropped.
    """

    _GATHER_S = 0.5

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self._file = path.open("ab" if append else "wb", buffering=0)
        self._lines: list[str] = []
        self._last_flush = time.monotonic()
        self.failed = False

    def write(self, line: str) -> None:
        if self.failed:
            return
        self._lines.append(line)
        if time.monotonic() - self._last_flush >= self._GATHER_S:
            self.flush()

    def flush(self) -> None:
        """Pass the gathered lines to the system.

        Raises:
            OSError: they cannot be written, for example because the disk is full; the file then
                ends with the last whole line before them.
        """
        if self._lines:
            data = memoryview("".join(self._lines).encode())
            self._lines.clear()
            before = self._file.tell()
            try:
                while data:
                    data = data[self._file.write(data) :]
            except OSError as error:
                self.failed = True
                self._file.truncate(before)
                raise OSError(error.errno, error.strerror, self._file.name) from error
        self._last_flush = time.monotonic()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._file.close()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under another name, which replaces it at the end of the block.

    Raises:
        OSError: the file cannot be written; what was there before is kept.
    """
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)


class RecordingSink:
    """A sink that writes ``frames.jsonl`` and ``run.json``.

    Args:
        folder: an existing folder.
        state: title, labels, models and plan of the run; for a resumed run with its frame count.
        landmarks: whether the points of every face are recorded.

    Attributes:
        state: of the run so far.
    """

    def __init__(self, folder: Path, state: RunState, *, landmarks: bool = False) -> None:
        self.state = replace(state, status="running", error=None)
        self._folder = folder
        self._landmarks = landmarks
        self._file = LineFile(folder / FRAMES_FILE, append=state.frames > 0)
        # The last frame waits for the events that the end of the stream may add.
        self._pending: dict[str, Any] | None = None
        self._saved_s = state.timestamp_s
        self.state.write(folder)

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        is_first = self._pending is None  # its size is upright, which the header's is not
        self._write_pending()
        self._pending = frame_document(result, events, landmarks=self._landmarks)
        self.state = replace(
            self.state,
            frames=self.state.frames + 1,
            frame_index=frame.index,
            timestamp_s=frame.timestamp_s,
            size_wh=result.image_size_wh if is_first else self.state.size_wh,
            warnings=tuple(dict.fromkeys((*self.state.warnings, *result.warnings))),
        )
        if frame.timestamp_s - self._saved_s >= _SAVE_EVERY_S:
            self._file.flush()
            self.state.write(self._folder)
            self._saved_s = frame.timestamp_s

    def add_events(self, events: Sequence[Event]) -> None:
        """Add events to the last frame, as those that an application found in it."""
        if self._pending is not None:
            self._pending["events"] += [event.to_dict() for event in events]

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        if self._pending is not None and events:
            self._pending["closing_events"] = [event.to_dict() for event in events]
        status: _RunStatus = "partial"
        try:
            self._write_pending()
            self._file.close()
            status = "complete" if complete else "partial"
        finally:
            if self._file.failed:
                self.state = Recording(self._folder).cut(math.inf)
            self.state = replace(self.state, status=status)
            self.state.write(self._folder)

    def _write_pending(self) -> None:
        if self._pending is not None:
            self._file.write(json.dumps(self._pending, ensure_ascii=False) + "\n")
            self._pending = None


def frame_document(
    result: FrameResult, events: Sequence[Event], *, landmarks: bool = False
) -> dict[str, Any]:
    """A line of ``frames.jsonl``: the document of a result, and the events of its frame."""
    document = result.to_dict(landmarks=landmarks)
    return {**document, "events": [event.to_dict() for event in events]}


class Recording:
    """Reads the recording in a folder; ``frames.jsonl`` is enough.

    Raises:
        InputError: the folder has no ``frames.jsonl``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder = Path(folder)
        if not (folder / FRAMES_FILE).is_file():
            raise InputError(
                f"expected a recording with {FRAMES_FILE} in {folder}, but there is none; "
                "make one with `mien video` or `mien live --record`"
            )

    def documents(self) -> Iterator[dict[str, Any]]:
        """The lines in order; a torn last line, as after a power cut, is left out.

        Raises:
            InputError: another line cannot be read.
        """
        for number, line in enumerate(_whole_lines(self.folder / FRAMES_FILE), start=1):
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                document = None
            if not isinstance(document, dict) or "faces" not in document:
                raise InputError(
                    f"expected a result as JSON in line {number} of {self.folder / FRAMES_FILE}, "
                    f"got {line[:40]!r}; delete the line"
                )
            yield document

    def frames(self) -> Iterator[RecordedFrame]:
        """The frames in order; see :func:`read_frames`."""
        return read_frames(self.documents())

    def state(self) -> RunState:
        """The state in ``run.json``; without that file, what the frames show."""
        if (state := RunState.read(self.folder)) is not None:
            return state
        damaged = (self.folder / STATE_FILE).exists()
        state = RunState(title=self.folder.name, warnings=(_DAMAGED,) if damaged else ())
        for result in map(FrameResult.from_dict, self.documents()):
            if result.frame_index is None or result.timestamp_s is None:
                raise InputError(
                    f"expected frames of a stream in {self.folder / FRAMES_FILE}, got one without "
                    "frame_index or timestamp_s; make a recording with `mien video`"
                )
            labels = next((face.expression.labels for face in result if face.expression), ())
            state = replace(
                state,
                frames=state.frames + 1,
                frame_index=result.frame_index,
                timestamp_s=result.timestamp_s,
                title=result.source or state.title,
                size_wh=result.image_size_wh,
                labels=state.labels or tuple(label.value for label in labels),
                models=dict(result.models),
            )
        return state

    def cut(self, until_s: float) -> RunState:
        """Drop the frames after a time and a torn last line, so that a run can be resumed.

        Returns:
            The state at the last frame that is left.
        """
        state = replace(self.state(), status="running", frames=0, frame_index=-1, timestamp_s=-1.0)
        path, kept, last = self.folder / FRAMES_FILE, 0, b""
        for line in _whole_lines(path):
            document = json.loads(line)
            if document["timestamp_s"] > until_s + _TICK_S:
                break
            state = replace(
                state,
                frames=state.frames + 1,
                frame_index=document["frame_index"],
                timestamp_s=document["timestamp_s"],
            )
            kept, last = kept + len(line), line
        # The stream goes on: what its end ended is not over.
        document = json.loads(last) if last else {}
        with path.open("rb+") as file:
            file.truncate(kept)
            if document.pop("closing_events", None):
                file.truncate(kept - len(last))
                file.seek(0, 2)
                file.write((json.dumps(document, ensure_ascii=False) + "\n").encode())
        return state


def read_frames(documents: Iterable[Mapping[str, Any]]) -> Iterator[RecordedFrame]:
    """Frames from the lines of a recording, or from FrameResult documents without events.

    Tracks that are still open at the end, as in the recording of a run that was killed, end with
    the last frame. Memory does not grow with the recording.

    Raises:
        InputError: a document is not a result, or its time is before that of another.
    """
    statistics = StreamStatistics()
    last: RecordedFrame | None = None
    last_s = -math.inf
    for document in documents:
        if last is not None:
            yield last
        result = FrameResult.from_dict(document)
        now_s = result.timestamp_s or 0.0
        if not last_s <= now_s < math.inf:
            raise InputError(f"expected frames by time, got {now_s} s after {last_s} s: sort them")
        last_s = now_s
        kinds = ("events", "closing_events")
        events = (tuple(map(Event.from_dict, document.get(kind, ()))) for kind in kinds)
        last = RecordedFrame(result, *events)
        statistics.replay(last.result, last.events)
    if last is not None:
        statistics.drop([event.track_id for event in last.closing_events])
        closing = (*last.closing_events, *statistics.end(statistics.track_ids))
        yield last._replace(closing_events=closing)


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
