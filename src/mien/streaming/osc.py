"""Sending blendshapes to programs that move avatars, by Open Sound Control."""

from collections.abc import Sequence
from typing import Any

from mien.errors import SettingError, import_extra
from mien.media.sources import Frame
from mien.tracking import Event
from mien.types import FrameResult


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
        largest = max(faces, key=lambda face: face.box.width * face.box.height, default=None)
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
