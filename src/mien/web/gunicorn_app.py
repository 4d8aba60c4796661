"""Gunicorn with the settings that this application needs, with one process or several.

The application is imported in the process that serves: onnxruntime starts a thread when it is
imported, and a process that is forked afterwards aborts at its end because that thread is missing.
"""

import ctypes
import http.client
import json
import logging
import mmap
import os
import re
import socket
import string
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.types import StartResponse, WSGIEnvironment

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    ConfigurationProblem,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from mien.web.config import WebConfig
from mien.web.error_words import CODES, WORDS

if TYPE_CHECKING:
    from flask import Flask

_M_ARENA_MAX = -8
# A request of which no more arrives for so long is ended.
_READ_TIMEOUT_S = 10
_CLOSE_TIMEOUT_S, _SHORT_TIMEOUT_S = 2.0, 0.05
# Threads that wait for clients to close.
_waiting = threading.BoundedSemaphore(16)
_DISCARDED_BYTES = 65536
_SIGNS = string.ascii_letters + string.digits + "-_"
_STREAM_PATH = re.compile(r"/api/v1/live/([\w-])[\w-]{21}(?:/.*)?")
# Time for a process with fewer connections to wake up and accept.
_YIELD_S = 0.004
_TIMEOUT_S = 60.0
_ADDRESS = "HTTP_X_MIEN_ADDRESS"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}


class _Processes:
    """What the processes of one server share; made before they are forked."""

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


class Application(BaseApplication):  # type: ignore[misc]
    """The server.

    Args:
        make_app: makes the application, in the process that serves it.
        on_listening: called with the port, once the server listens.
    """

    def __init__(
        self,
        config: WebConfig,
        make_app: "Callable[[WebConfig], Flask]",
        on_listening: Callable[[int], None],
    ) -> None:
        self._config = config
        self._make_app = make_app
        self._on_listening = on_listening
        count = config.worker_count
        self._processes = _Processes(count) if count > 1 else None
        super().__init__()

    def load_config(self) -> None:
        for name, value in _options(self._config).items():
            self.cfg.set(name, value)

        def when_ready(server: Any) -> None:
            self._on_listening(server.LISTENERS[0].sock.getsockname()[1])

        self.cfg.set("when_ready", when_ready)
        if self._processes is not None:
            processes = self._processes

            def pre_fork(server: Any, worker: Any) -> None:
                taken = {other.index for other in server.WORKERS.values()}
                worker.processes = processes
                worker.index = min(set(range(processes.count)) - taken, default=0)
                processes.note(worker.index, 0)

            self.cfg.set("pre_fork", pre_fork)
            self.cfg.set("on_exit", lambda server: processes.close())

    def load(self) -> "Flask":
        return self._make_app(self._config)


def _options(config: WebConfig) -> dict[str, Any]:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return {
        "bind": [f"{host}:{config.port}"],
        # Whatever WEB_CONCURRENCY says: live streams, their batches and rate limits are kept in
        # each process; threads share its models.
        "workers": config.worker_count,
        "worker_class": _Worker,
        "threads": config.threads,
        # More connections than live streams must be accepted, to tell clients the reason.
        "worker_connections": 1000,
        "keepalive": 5,
        # More than the application accepts, which answers in the language of the visitor.
        "limit_request_line": 8190,
        "limit_request_field_size": 32_760,
        "timeout": 60,
        # Ends before the 30 s after which hosts kill a process; a busy machine may need most of it.
        "graceful_timeout": 20,
        # With the heartbeat on a slow disk, gunicorn would kill a healthy worker.
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None,
        "loglevel": "warning",
        "post_worker_init": _start,
        "worker_exit": _stop,
    }


class _Worker(ThreadWorker):  # type: ignore[misc]
    """Closes a connection in the thread that served it.

    Gunicorn does so in the one thread that accepts connections, and waits two seconds for each
    client that does not close.
    """

    processes: _Processes | None = None  # None if it is the only one
    index = 0  # of this process

    def accept(self, listener: Any) -> None:
        if self.processes is not None:
            self.processes.let_others_accept(self.index)
        super().accept(listener)

    def notify(self) -> None:
        super().notify()
        if self.processes is not None:
            # A stream over plain HTTP stays where it was opened, without a connection.
            streams = self.wsgi.extensions["mien"].live_streams.count
            self.processes.note(self.index, self.nr_conns + streams)

    def handle_request(self, req: Any, conn: Any) -> Any:
        by_headers = req.should_close
        req.should_close = lambda: by_headers() or _is_unread(req.body)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what is no valid request in the one format of errors; gunicorn's is HTML."""
        ours = isinstance(
            exc, ConfigurationProblem | InvalidResponseHeader | InvalidResponseHeaderName
        )
        if ours or not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        status = {LimitRequestLine: 414, LimitRequestHeaders: 431}.get(type(exc), 400)
        with suppress(OSError):
            client.sendall(_refusal(status, "" if status > 400 else str(exc)))

    def handle(self, conn: Any) -> Any:
        kept = super().handle(conn)
        if kept is False:
            _shutdown(conn.sock)
        return kept


def _refusal(status: int, message: str) -> bytes:
    """The answer to a request whose headers were not read, so that its language is unknown."""
    error = {"code": CODES[status], "message": message or WORDS[CODES[status]], "status": status}
    body = json.dumps({"error": {**error, "request_id": "", "details": []}}).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _is_unread(body: Any) -> bool:
    """Whether a part of a request was not read, as of a refused upload.

    Gunicorn ends such a connection after it promised to keep it, and a client that sends its next
    request there gets no answer.
    """
    left = getattr(body.reader, "length", None)
    return bool(left) if left is not None else getattr(body.reader, "parser", None) is not None


def _shutdown(sock: socket.socket) -> None:
    """Close in both directions, after the client had time to read the response.

    A socket that is closed while unread data arrives resets the connection, and the end of the
    response is lost. Many clients that do not close must not occupy the threads of others, so that
    only some get much time.
    """
    has_place = _waiting.acquire(blocking=False)
    try:
        _discard(sock, time.monotonic() + (_CLOSE_TIMEOUT_S if has_place else _SHORT_TIMEOUT_S))
    finally:
        if has_place:
            _waiting.release()
    # Nothing is left for gunicorn to wait for.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _discard(sock: socket.socket, deadline: float) -> None:
    """Read what a client still sends until it closes, but not after the deadline."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while (left_s := deadline - time.monotonic()) > 0:
            sock.settimeout(left_s)
            if not sock.recv(_DISCARDED_BYTES):
                break
        else:
            # A client that still sends would wait for minutes for room, if closing did not reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _start(worker: Any) -> None:
    """Load models and start to work on jobs, in the process that serves."""
    from mien.web.app import start
    from mien.web.metrics import configure_logging

    configure_logging()
    _limit_memory_arenas()
    _set_read_timeout(worker)
    worker.wsgi.register_error_handler(ParseException, _unreadable_body)
    start(worker.wsgi)
    if worker.processes is not None:
        app = worker.wsgi
        app.extensions["mien"].live_streams.sign = worker.processes.sign(worker.index)
        app.wsgi_app = worker.processes.passing_on(app.wsgi_app, worker.index)
        worker.sockets = [*worker.sockets, worker.processes.listener(worker.index)]


def _unreadable_body(_: Exception) -> Any:
    """The answer to a body whose chunks are broken; its headers were read before."""
    from mien.web.errors import ProblemError, problem_response

    return problem_response(ProblemError(400, CODES[400], "Expected a body in valid chunks."))


def _stop(_: Any, worker: Any) -> None:
    """Exit without the interpreter's shutdown, which would interrupt threads inside a model."""
    app = getattr(worker, "wsgi", None)
    if app is None:
        return
    from mien.web.app import stop

    stop(app)
    sys.stderr.flush()
    os._exit(0)


def _set_read_timeout(worker: Any) -> None:
    """End requests that are begun and never completed.

    Gunicorn waits for them forever, so that some sixty connections could block the server. The
    kernel copies the timeout to each accepted connection.
    """
    if sys.platform != "linux":
        return
    timeout = struct.pack("ll", _READ_TIMEOUT_S, 0)
    for listener in worker.sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    logging.getLogger("gunicorn.error").addFilter(_is_no_timeout)


def _is_no_timeout(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], BlockingIOError))


def _limit_memory_arenas() -> None:
    """Let glibc use two memory arenas instead of eight for each core.

    Memory freed by one of many threads cannot be reused by threads of other arenas, and the
    process would grow for hours.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library
    mallopt(_M_ARENA_MAX, 2)
