"""Applications: small documented rules on the signals and events of a stream."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.applications.expressions import MoodApplication, MoodItem, ObservationApplication
from mien.applications.eyes import AttentionApplication, DriverApplication
from mien.config import Settings
from mien.errors import ModelError, SettingError
from mien.pipeline import FacePipeline
from mien.recording import RecordedFrame, Recording
from mien.streaming import Application, FaceStream, StreamSettings
from mien.types import ExpressionScores, Image, ModelSpec

__all__ = [
    "APPLICATIONS",
    "Application",
    "AttentionApplication",
    "DriverApplication",
    "MoodApplication",
    "MoodItem",
    "ObservationApplication",
    "ReplayedRecording",
    "build_application",
    "open_stream",
]

_NO_EXPRESSIONS = "this pipeline classifies no expressions: use an application that reads them"


class _NoExpressions:
    """A classifier for streams without expressions, which refuses to classify."""

    name = "none"
    prior = "none"

    @property
    def spec(self) -> ModelSpec:
        raise ModelError(_NO_EXPRESSIONS)

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        raise ModelError(_NO_EXPRESSIONS)


def open_stream(application: Application, settings: Settings | None = None) -> FaceStream:
    """Open a stream that measures what an application needs, and nothing else.

    Without expressions it takes the landmarks that show lids, lips and irises.

    Args:
        application: says by `reads_expressions` whether it needs the expression model.
        settings: of the pipeline; the defaults if None.

    Returns:
        A stream for :meth:`mien.FaceStream.update`.

    Raises:
        SettingError: the settings name landmarks that do not show the lids.

    Examples:
        >>> from mien.applications import DriverApplication, open_stream
        >>> open_stream(DriverApplication()).settings.expressions
        False
    """
    if application.reads_expressions:
        return FaceStream(FacePipeline((settings or Settings()).for_streams()))
    settings = (settings or Settings()).with_blendshapes(f"the application {application.name}")
    # Its spec is a read-only property, unlike the protocol's.
    pipeline = FacePipeline(settings, classifier=_NoExpressions())  # type: ignore[arg-type]
    return FaceStream(pipeline, StreamSettings(expressions=False))


_EVENTS = ("alarm", "attention")
"""The kinds of events that applications find."""

APPLICATIONS: dict[str, type[Application]] = {
    application.name: application
    for application in (
        DriverApplication,
        AttentionApplication,
        ObservationApplication,
        MoodApplication,
    )
}


def build_application(name: str) -> Application:
    """Build an application by name, with default settings.

    Raises:
        SettingError: no such application.
    """
    if name not in APPLICATIONS:
        raise SettingError(
            f"expected an application out of {', '.join(APPLICATIONS)}, got {name!r}"
        )
    return APPLICATIONS[name]()


class ReplayedRecording(Recording):
    """A recording with the events of another application than that of its run, if it had one.

    Args:
        folder: of the recording.
        name: of the application.

    Attributes:
        application: after all frames were read for the first time; its summary is then complete.

    Raises:
        InputError: the folder is not a recording.
        SettingError: no such application.
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self._name = name
        self.application: Application = build_application(name)

    def frames(self) -> Iterator[RecordedFrame]:
        """See :meth:`mien.recording.Recording.frames`."""
        self.application = build_application(self._name)
        application = self.application
        for frame in super().frames():
            events = tuple(event for event in frame.events if event.kind not in _EVENTS)
            found = tuple(application.update(frame.result, events))
            yield frame._replace(events=(*events, *found))
