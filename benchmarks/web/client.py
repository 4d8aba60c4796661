"""A WebSocket client of the live page, for load tests."""

from simple_websocket import Client, ConnectionClosed
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from mien.web.live_socket import LockedSocket


class LiveClient(Client):  # type: ignore[misc]
    """The client of the library, which also reports why the server closed the connection."""

    def handshake(self) -> None:
        """Connect, and process data that arrived together with the handshake response.

        The library processes it only when more data arrives: a client that is rejected at once
        would not learn the reason and report a broken connection.
        """
        self.sock = LockedSocket(self.sock)
        super().handshake()
        self.connected = self._handle_events()
        if not self.connected:
            self.sock.close()
            raise ConnectionClosed(self.close_reason, self.close_message)

    def send(self, data: bytes | str) -> None:
        """Send.

        Raises:
            ConnectionClosed: the server closed the connection, also if the library closes its own
                socket or receives the close at the same time.
        """
        try:
            super().send(data)
        except LocalProtocolError:
            raise ConnectionClosed(self.close_reason, self.close_message) from None
        except OSError:
            if self.close_reason == CloseReason.NO_STATUS_RCVD:
                raise
            raise ConnectionClosed(self.close_reason, self.close_message) from None
