"""Gunicorn's worker of threads, in which one client cannot hold up all others."""

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker as Base  # type: ignore[import-untyped]

_GOODBYE_S = 2.0
_MOST_BYTES = 65536


class ThreadWorker(Base):  # type: ignore[misc]
    """Takes leave of a client in the thread that served it.

    Gunicorn does so in the one thread that accepts connections, and waits two seconds for each
    client that does not close.
    """

    def handle(self, conn: Any) -> Any:
        kept = super().handle(conn)
        if kept is False:
            _take_leave(conn.sock)
        return kept


def _take_leave(sock: socket.socket) -> None:
    """Say that nothing more comes, and hear the other side out, or its last words would be lost."""
    deadline = time.monotonic() + _GOODBYE_S
    heard = 0
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while heard < _MOST_BYTES and (left_s := deadline - time.monotonic()) > 0:
            sock.settimeout(left_s)
            data = sock.recv(4096)
            if not data:
                break
            heard += len(data)
    # What gunicorn does afterwards finds nobody there to wait for.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
