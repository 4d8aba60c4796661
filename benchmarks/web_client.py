"""A client of the live page's WebSocket, for programs that pretend to be very many."""

from simple_websocket import Client, ConnectionClosed
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from mien.web.sockets import OneAtATime


class LiveClient(Client):  # type: ignore[misc]
    """As the library's, but it always knows why the server closed."""

    def handshake(self) -> None:
        """Ask, and hear what came together with the consent.

        The library looks at that only when more comes: a client that is sent away at once would
        never hear why, and take the end of the connection for a broken one.
        """
        self.sock = OneAtATime(self.sock)
        super().handshake()
        self.connected = self._handle_events()
        if not self.connected:
            self.sock.close()
            raise ConnectionClosed(self.close_reason, self.close_message)

    def send(self, data: bytes | str) -> None:
        """Send.

        Raises:
            ConnectionClosed: the server closed; also where the library closes its own socket, or
                hears of the close, in the same moment.
        """
        try:
            super().send(data)
        except LocalProtocolError:
            raise ConnectionClosed(self.close_reason, self.close_message) from None
        except OSError:
            if self.close_reason == CloseReason.NO_STATUS_RCVD:
                raise
            raise ConnectionClosed(self.close_reason, self.close_message) from None
