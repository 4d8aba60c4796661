"""From a source to results and sinks, with decoding, inference and encoding in parallel."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, Protocol, Unpack, runtime_checkable

from mien.config import SettingKeywords, Settings, shows_settings
from mien.errors import SettingError
from mien.media import open_source
from mien.media.images import read_image
from mien.media.sources import Frame, Selection, Source, stop_of
from mien.pipeline import FacePipeline
from mien.streaming.background import Counter, in_background, newest_in_background
from mien.streaming.face_stream import FaceStream, StreamSettings
from mien.tracking import Event
from mien.types import FrameResult


@runtime_checkable
class Sink(Protocol):
    """Receives the results of a stream, frame after frame, in order, in one thread.

    You may write your own.
    """

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        """Receive one frame, its result and what happened in it."""
        ...

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        """Finish.

        Args:
            events: what the end of the stream ended.
            complete: False where the stream was stopped or failed before its end.
        """
        ...


class Application(Protocol):
    """Evaluates one stream for one purpose; see :mod:`mien.applications`.

    Attributes:
        name: name on the command line.
        limits: what it cannot do, for users.
        reads_expressions: whether it needs the expression model, which is otherwise not loaded.
    """

    name: ClassVar[str]
    limits: ClassVar[str]
    reads_expressions: ClassVar[bool]

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        """Process the result and events of one frame, and return new events."""
        ...

    def summary(self) -> dict[str, Any]:
        """The state so far, as JSON-compatible data."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One frame with what was found in it."""

    frame: Frame
    result: FrameResult
    events: tuple[Event, ...]


@shows_settings
def stream(
    source: Source | str | int | PathLike[str],
    *,
    pipeline: FacePipeline | None = None,
    settings: StreamSettings | None = None,
    selection: Selection | None = None,
    neutral: Any = None,
    sinks: Sequence[Sink] = (),
    on_event: Callable[[Event], None] | None = None,
    **keywords: Unpack[SettingKeywords],
) -> Iterator[FrameResult]:
    """Analyze a video, a camera or any source, frame after frame.

    Decoding, inference and what the caller does with the results happen in their own threads.
    Every frame of a file is analyzed, at the speed of the caller; of a camera the newest frame is
    analyzed, and older ones are dropped. Leaving the loop stops everything.

    Args:
        source: path of a video, number or address of a camera, or a source of your own. A camera
            is opened by the first `next`.
        pipeline: by default one with the following settings, and the landmarks that show blinks.
        settings: how the stream is followed.
        selection: which frames of a file are wanted.
        neutral: photograph of a person at rest, with one face, as :func:`mien.read_image` takes it:
            action units are measured from it, while the person is the only one in view, or the
            track that `StreamSettings.neutral_track` names. It takes the landmarks that
            blendshapes need.
        sinks: receive each frame in this thread, and are closed at the end, also after an error.
        on_event: called in this thread for each event, before the result of its frame is yielded.
        detector, landmarks, model, min_score, min_presence, tiles, max_faces, prior, \
max_megapixels, focal_length, threads, provider: see :class:`mien.Settings`.

    Yields:
        One result for each analyzed frame; see :meth:`FaceStream.update`.

    Raises:
        SettingError: a setting, or `neutral`, has an invalid value or comes with a pipeline.
        InputError: not one face in `neutral`.
        VideoReadError, CameraError: the video cannot be read, or the camera not opened.
        MissingExtraError: PyAV or lapx is not installed.

    Examples:
        >>> [result[0].track_id for result in mien.stream("clip.mp4")][-1]
        1
    """
    own = Settings().override(**keywords)
    if pipeline is not None and (own != Settings() or neutral is not None):
        raise SettingError("expected a pipeline or settings of one, got both: set them in it")
    if pipeline is None:
        rest = None if neutral is None else read_image(neutral)
        pipeline = FacePipeline(own.for_streams(), neutral=rest)
    opened = open_source(source, selection)
    follower = FaceStream(pipeline, settings, source=opened.info.name)
    for step in run(opened, follower, sinks=sinks, on_event=on_event):
        yield step.result


def run(
    source: Source,
    follower: FaceStream,
    *,
    sinks: Sequence[Sink] = (),
    on_event: Callable[[Event], None] | None = None,
    dropped: Counter | None = None,
) -> Generator[Step, None, None]:
    """Like :func:`stream`, for an existing stream object; yields frames and events as well.

    Args:
        dropped: counts the frames of a live source that were dropped.
    """
    complete = False
    try:
        with closing(_steps(source, follower, dropped)) as steps:
            for step in steps:
                for sink in sinks:
                    sink.write(step.frame, step.result, step.events)
                _notify(step.events, on_event)
                yield step
        complete = True
    finally:
        events = follower.finish()
        try:
            _notify(events, on_event)
        finally:
            _close_all(sinks, events, complete=complete)


def _close_all(sinks: Sequence[Sink], events: Sequence[Event], *, complete: bool) -> None:
    """Close every sink, also where one of them fails; the first failure is raised at the end."""
    failures: list[Exception] = []
    for sink in sinks:
        try:
            sink.close(events, complete=complete)
        except Exception as error:  # noqa: BLE001 - the others must be closed before it is raised
            failures.append(error)
    if failures:
        raise failures[0]


def _steps(
    source: Source, follower: FaceStream, dropped: Counter | None
) -> Generator[Step, None, None]:
    if source.info.live:
        # No queue after inference: a queued result of a camera is a late one.
        return _analyzed(newest_in_background(source.frames(), dropped, stop_of(source)), follower)
    return in_background(_analyzed(in_background(source.frames()), follower))


def _analyzed(
    frames: Generator[Frame, None, None], follower: FaceStream
) -> Generator[Step, None, None]:
    with closing(frames):
        for frame in frames:
            result = follower.update(frame.image, frame.timestamp_s, frame_index=frame.index)
            yield Step(frame, result, follower.events)


def _notify(events: Sequence[Event], on_event: Callable[[Event], None] | None) -> None:
    if on_event is not None:
        for event in events:
            on_event(event)
