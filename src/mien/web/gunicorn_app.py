"""Gunicorn with the settings that this application needs.

The application is imported in the process that serves: onnxruntime starts a thread when it is
imported, and a process that is forked afterwards aborts at its end because that thread is missing.
"""

import ctypes
import logging
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from mien.web.config import WebConfig
from mien.web.processes import Processes

if TYPE_CHECKING:
    from flask import Flask

_M_ARENA_MAX = -8
# A request of which no more arrives for so long is ended.
_READ_TIMEOUT_S = 10
_CLOSE_TIMEOUT_S = 2.0
_MAX_DISCARDED_BYTES = 65536


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
        self._processes = Processes(count) if count > 1 else None
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

    Attributes:
        processes: what the processes of this server share; None if it is the only one.
        index: this process among them.
    """

    processes: Processes | None = None
    index = 0

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

    def handle(self, conn: Any) -> Any:
        kept = super().handle(conn)
        if kept is False:
            _shutdown(conn.sock)
        return kept


def _shutdown(sock: socket.socket) -> None:
    """Close in both directions, after the client had time to read the response.

    A socket that is closed while unread data arrives resets the connection, and the end of the
    response is lost.
    """
    deadline = time.monotonic() + _CLOSE_TIMEOUT_S
    discarded = 0
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while discarded < _MAX_DISCARDED_BYTES and (left_s := deadline - time.monotonic()) > 0:
            sock.settimeout(left_s)
            data = sock.recv(4096)
            if not data:
                break
            discarded += len(data)
    # Nothing is left for gunicorn to wait for.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _start(worker: Any) -> None:
    """Load models and start to work on jobs, in the process that serves."""
    from mien.web.app import start
    from mien.web.metrics import configure_logging

    configure_logging()
    _limit_memory_arenas()
    _set_read_timeout(worker)
    start(worker.wsgi)
    if worker.processes is not None:
        app = worker.wsgi
        app.extensions["mien"].live_streams.sign = worker.processes.sign(worker.index)
        app.wsgi_app = worker.processes.passing_on(app.wsgi_app, worker.index)
        worker.sockets = [*worker.sockets, worker.processes.listener(worker.index)]


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
