"""What a WebSocket's TCP socket needs beyond its library."""

import socket
import threading
from typing import Any


class OneAtATime:
    """A socket on which the whole of one thread's bytes goes out before another's begin.

    A WebSocket's reading thread sends pings and pongs. Where the network is slow, they would come
    to lie in the midst of another thread's message, and the other side would close.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, data: bytes) -> int:
        """Send all of it.

        Raises:
            OSError: the connection is over.
        """
        with self._lock:
            self._sock.sendall(data)
        return len(data)

    def fileno(self) -> int:
        return self._sock.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def notice_the_deaf(sock: socket.socket | OneAtATime, after_s: float) -> None:
    """End a connection whose other side takes nothing for so long.

    It would hold its place and its threads for ever.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * after_s))
