"""Applications: small documented rules on the signals and events of a stream."""

from collections.abc import Iterator
from pathlib import Path

from mien.applications.attention import AttentionApplication
from mien.applications.base import NoExpressions, open_stream
from mien.applications.driver import DriverApplication
from mien.applications.mood import MoodApplication, MoodItem
from mien.applications.observation import ObservationApplication
from mien.errors import SettingError
from mien.recording import RecordedFrame, Recording
from mien.streaming import Application

__all__ = [
    "APPLICATIONS",
    "Application",
    "AttentionApplication",
    "DriverApplication",
    "MoodApplication",
    "MoodItem",
    "NoExpressions",
    "ObservationApplication",
    "ReplayedRecording",
    "build_application",
    "open_stream",
]

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
