"""Clients that open connections and stall, against a real server."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

_PARTIAL_HEADERS = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
_PARTIAL_BODY = (
    b"POST /api/v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
    b"Content-Length: 100000\r\n\r\nhalf"
)
_TOO_LARGE = b"POST /photo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 300000000\r\n\r\nhalf"
_SOCKET = (
    b"GET /ws/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_COMPLETE_BUT_NOT_CLOSED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _connect(held: ExitStack, port: int, said: bytes, *, count: int) -> None:
    """Connections that say something and stay open."""
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        held.enter_context(connection)
        connection.sendall(said)


@pytest.mark.parametrize("said", [_PARTIAL_HEADERS, _PARTIAL_BODY, _COMPLETE_BUT_NOT_CLOSED])
def test_stalled_connections_do_not_block_the_server(
    serve: Callable[..., Any], tmp_path: Path, said: bytes
) -> None:
    server = serve(MIEN_WEB_THREADS="20", MIEN_MAX_LIVE="2")
    with ExitStack() as held:
        _connect(held, server.port, said, count=40)
        # Forty connections in twenty threads, ten seconds each, and a margin for slow machines.
        deadline = time.monotonic() + 60
        while not _answers(server.url + "/healthz"):
            assert time.monotonic() < deadline
        times_s = []
        for _ in range(10):
            started = time.monotonic()
            assert _answers(server.url + "/healthz")
            times_s.append(time.monotonic() - started)
        assert sorted(times_s)[5] < 1
    log = (tmp_path / "server-0" / "server.log").read_text()
    assert "Traceback" not in log


@pytest.mark.parametrize("said", [_TOO_LARGE, _SOCKET])
def test_refused_clients_that_stay_do_not_delay_others(
    serve: Callable[..., Any], said: bytes
) -> None:
    server = serve(MIEN_WEB_THREADS="40", MIEN_MAX_LIVE="2")
    with ExitStack() as held:
        _connect(held, server.port, said, count=200)
        started = time.monotonic()
        assert _answers(server.url + "/healthz")
        # With two seconds for each in some forty threads it was ten.
        assert time.monotonic() - started < 4
