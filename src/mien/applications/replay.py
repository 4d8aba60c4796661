"""An application on a recording, as if it had run when the recording was made."""

from collections.abc import Iterator
from pathlib import Path

from mien.applications import Application, build_application
from mien.recording import RecordedFrame, Recording

_EVENTS = ("alarm", "attention")
"""The kinds of events that applications find."""


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
