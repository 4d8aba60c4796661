"""Several processes that serve one port; they share the database and a count of connections.

The process with the fewest connections accepts the next one, so live connections are spread. A
live stream over plain HTTP is in the memory of one process, whose sign begins the stream's id; the
others pass its requests on, over a socket in a private folder.
"""

import http.client
import mmap
import re
import socket
import string
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

_SIGNS = string.ascii_letters + string.digits + "-_"
_STREAM_PATH = re.compile(r"/api/v1/live/([\w-])[\w-]{21}(?:/.*)?")
# Time for a process with fewer connections to wake up and accept.
_YIELD_S = 0.004
_TIMEOUT_S = 60.0
_ADDRESS = "HTTP_X_MIEN_ADDRESS"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}


class Processes:
    """What the processes of one server share; made before they are forked.

    Args:
        count: their number.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._folder = tempfile.TemporaryDirectory(prefix="mien-")
        self._connections = memoryview(mmap.mmap(-1, 4 * count)).cast("i")

    def sign(self, index: int) -> str:
        """The first character of the ids of a process's streams."""
        return _SIGNS[index]

    def note(self, index: int, connections: int) -> None:
        """Tell the other processes how many connections this one has."""
        self._connections[index] = connections

    def let_others_accept(self, index: int) -> None:
        """Wait a moment if another process has fewer connections."""
        if self._connections[index] > min(self._connections):
            time.sleep(_YIELD_S)

    def listener(self, index: int) -> socket.socket:
        """The socket on which a process gets the requests that others pass on."""
        path = self._path(index)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(128)
        return listener

    def close(self) -> None:
        """Delete the folder of the sockets."""
        self._folder.cleanup()

    def _path(self, index: int) -> Path:
        return Path(self._folder.name) / f"{index}.sock"

    def passing_on(self, app: Callable[..., Iterable[bytes]], index: int) -> Callable[..., Any]:
        """The WSGI application of a process, which passes requests of others' streams on."""

        def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if not environ.get("REMOTE_ADDR"):
                # Passed on by another process: only these can open the socket.
                environ["REMOTE_ADDR"] = environ.pop(_ADDRESS, "")
                return app(environ, start_response)
            environ.pop(_ADDRESS, None)
            found = _STREAM_PATH.fullmatch(environ.get("PATH_INFO", ""))
            target = _SIGNS.index(found[1]) if found else index
            if target == index or target >= self.count:
                return app(environ, start_response)
            return self._pass_on(environ, start_response, target)

        return serve

    def _pass_on(
        self, environ: WSGIEnvironment, start_response: StartResponse, target: int
    ) -> Iterable[bytes]:
        connection = _UnixConnection(self._path(target))
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}
        }
        headers = {name: text for name, text in headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["X-Mien-Address"] = environ["REMOTE_ADDR"]
        query = environ.get("QUERY_STRING", "")
        path = environ["PATH_INFO"] + (f"?{query}" if query else "")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            connection.request(environ["REQUEST_METHOD"], path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            # The process ended, and its streams with it.
            start_response("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"error":{"code":"not_found","message":"This live stream was closed."}}']
        finally:
            connection.close()
        kept = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
        start_response(f"{answer.status} {answer.reason}", kept)
        return [content]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
