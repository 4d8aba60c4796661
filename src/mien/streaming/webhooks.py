"""Sending events to a webhook or a command, without delaying the stream."""

import json
import queue
import shlex
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from mien.errors import SettingError
from mien.tracking import Event

Receiver = Callable[[dict[str, Any]], None]
"""Receives one event as JSON; raises OSError where it could not be delivered."""

_TIMEOUT_S = 5.0


class EventDispatcher:
    """Passes events to receivers in its own thread.

    Receivers may be slow or unavailable: at most `depth` events wait, later ones are dropped and
    counted.

    Args:
        receivers: each gets every event, in order.
        on_failure: called with the reason for the first of consecutive failures.
        depth: of the queue.

    Attributes:
        delivered, failed, dropped: numbers of events.
    """

    def __init__(
        self,
        receivers: Sequence[Receiver],
        *,
        on_failure: Callable[[str], None] = lambda reason: None,
        depth: int = 256,
    ) -> None:
        self.delivered = self.failed = self.dropped = 0
        self._receivers = tuple(receivers)
        self._on_failure = on_failure
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(depth)
        self._failing = False
        self._thread = threading.Thread(target=self._deliver, daemon=True, name="mien-events")
        if self._receivers:
            self._thread.start()

    def __call__(self, event: Event) -> None:
        """Send an event, without waiting."""
        if not self._receivers:
            return
        try:
            self._queue.put_nowait(event.to_dict())
        except queue.Full:
            self.dropped += 1

    def close(self, timeout_s: float = 2 * _TIMEOUT_S) -> None:
        """Deliver the waiting events, for at most `timeout_s`."""
        if not self._receivers:
            return
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _deliver(self) -> None:
        while (document := self._queue.get()) is not None:
            for receiver in self._receivers:
                try:
                    receiver(document)
                except (OSError, subprocess.SubprocessError) as error:
                    self.failed += 1
                    if not self._failing:
                        self._on_failure(str(error))
                    self._failing = True
                else:
                    self.delivered += 1
                    self._failing = False


def webhook(url: str) -> Receiver:
    """A receiver that posts each event as JSON to an address.

    Raises:
        SettingError: not an http or https address.
    """
    if not url.startswith(("http://", "https://")):
        raise SettingError(f"expected a webhook at http:// or https://, got {url!r}")

    def post(document: dict[str, Any]) -> None:
        request = urllib.request.Request(
            url,
            data=json.dumps(document).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "mien"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            response.read(1)

    return post


def command(line: str) -> Receiver:
    """A receiver that runs a program for each event, with the event as JSON on its stdin.

    The line is split as a shell would split it, but no shell sees it.

    Raises:
        SettingError: an empty line, or one with a quote that is never closed.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise SettingError(f"expected a command, got {line!r}: {error}") from None
    if not words:
        raise SettingError("expected a command, got an empty line")

    def start(document: dict[str, Any]) -> None:
        subprocess.run(words, input=json.dumps(document).encode(), timeout=_TIMEOUT_S, check=True)

    return start
