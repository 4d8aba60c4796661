"""Other programs that receive a stream: webhooks and commands get events, avatars blendshapes."""

import json
import queue
import shlex
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from mien.errors import SettingError, import_extra
from mien.media.sources import Frame
from mien.tracking import Event
from mien.types import FrameResult

_Receiver = Callable[[dict[str, Any]], None]
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
        receivers: Sequence[_Receiver],
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


def webhook(url: str) -> _Receiver:
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


def command(line: str) -> _Receiver:
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


class OscSink:
    """Sends the blendshapes of the largest face in every frame as one UDP packet.

    The messages are those of the VMC protocol (protocol.vmc.info), which programs for avatars
    understand: ``/VMC/Ext/OK 1``, ``/VMC/Ext/Blend/Val NAME VALUE`` for each of the blendshapes,
    and ``/VMC/Ext/Blend/Apply``. Without a face the packet is ``/VMC/Ext/OK 0`` alone, so that the
    avatar keeps its last expression. Whether a packet arrives is not known.

    Args:
        target: ``HOST:PORT``; receivers of the protocol usually listen at port 39539 or 39540.

    Raises:
        SettingError: not an address, or a host that is not known.
        MissingExtraError: the extra ``osc`` is not installed.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise SettingError(
                f"expected HOST:PORT to send blendshapes to, such as 127.0.0.1:39539, "
                f"got {target!r}"
            )
        udp = import_extra("pythonosc.udp_client", "osc", "send blendshapes by OSC")
        try:
            self._client = udp.SimpleUDPClient(host, int(port))
        except OSError as error:
            raise SettingError(
                f"expected the address of a computer in HOST:PORT, got {host!r}: {error.strerror}"
            ) from None

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        """Send one frame."""
        faces = [face for face in result.faces if face.blendshapes]
        largest = max(faces, key=lambda face: face.box.area, default=None)
        messages: list[tuple[str, list[Any]]] = [("/VMC/Ext/OK", [int(largest is not None)])]
        if largest is not None:
            messages += [
                ("/VMC/Ext/Blend/Val", [name, float(value)])
                for name, value in (largest.blendshapes or {}).items()
                if name != "_neutral"
            ]
            messages.append(("/VMC/Ext/Blend/Apply", []))
        try:
            self._client.send(_bundle(messages))
        except OSError:
            # No program listens yet, or the network is disconnected: the next frame is tried again.
            return

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        """Close the socket."""
        self._client.close()


def _bundle(messages: Sequence[tuple[str, Sequence[Any]]]) -> Any:
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, values in messages:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        bundle.add_content(message.build())
    return bundle.build()
