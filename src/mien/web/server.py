"""Serving the application: gunicorn, where there is one, and Werkzeug's server on Windows.

The application is imported in the process that serves: onnxruntime starts a thread when it is
imported, and a process that was forked afterwards aborts at its end, in want of that thread.
"""

import ctypes
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mien.errors import MienError, MissingExtraError, SettingError
from mien.web.config import WebConfig

if TYPE_CHECKING:
    from flask import Flask

# What the web extra brings, and what cannot be done without.
_NEEDED = (
    "flask",
    "flask_sock",
    "flask_openapi3",
    "flask_limiter",
    "sqlalchemy",
    "alembic",
)
_M_ARENA_MAX = -8
# A request of which nothing more comes for so long gives its thread back.
_SILENT_S = 10
# Gunicorn's word for a worker that would fail again and again.
_DO_NOT_TRY_AGAIN = 3


def gunicorn_options(config: WebConfig) -> dict[str, Any]:
    """Gunicorn's settings.

    Raises:
        SettingError: the address can be reached from elsewhere, and nobody allowed that.
    """
    config.check_bind(config.host)
    host = f"[{config.host}]" if ":" in config.host else config.host
    return {
        "bind": [f"{host}:{config.port}"],
        # Live streams, their batches and their rate limits live in one process, whatever
        # WEB_CONCURRENCY says; threads share the models.
        "workers": 1,
        "worker_class": "mien.web.gunicorn_worker.ThreadWorker",
        "threads": config.threads,
        # Connections beyond the live places must still be accepted, to be told so.
        "worker_connections": 1000,
        "keepalive": 5,
        "timeout": 60,
        "graceful_timeout": 8,
        # A heartbeat on a slow disk would have the worker taken for dead.
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None,
        "loglevel": "warning",
        "post_worker_init": _begin,
        "worker_exit": _end,
    }


def _begin(worker: Any) -> None:
    """Load models and take up jobs, in the process that will serve."""
    from mien.web.app import start
    from mien.web.metrics import configure_logging

    configure_logging()
    _share_memory_between_threads()
    _limit_silence(worker)
    start(worker.wsgi)


def _limit_silence(worker: Any) -> None:
    """Let no more threads be held by requests that are begun and never ended.

    Gunicorn waits for them without end, and some sixty connections could silence the server. The
    kernel hands the limit on to each connection that is accepted.
    """
    if sys.platform != "linux":
        return
    for listener in worker.sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _SILENT_S, 0))
    logging.getLogger("gunicorn.error").addFilter(_is_not_silence)


def _is_not_silence(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], BlockingIOError))


def _share_memory_between_threads() -> None:
    """Let glibc keep two heaps instead of eight for each core.

    What one of very many threads gives back is of no use to the others in their heaps, and memory
    grows for hours.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library
    mallopt(_M_ARENA_MAX, 2)


def _end(_: Any, worker: Any) -> None:
    """Leave without Python's own end, which would break threads off in the midst of a model."""
    app = getattr(worker, "wsgi", None)
    if app is None:
        return
    from mien.web.app import stop

    stop(app)
    sys.stderr.flush()
    os._exit(0)


def serve(config: WebConfig, on_listening: Callable[[str], None] = lambda url: None) -> None:
    """Serve until interrupted.

    Args:
        on_listening: is told the address, once the server listens.

    Raises:
        SettingError: a setting with which nothing can be served.
        MissingExtraError: the web extra is not installed.
    """
    for package in _NEEDED:
        if find_spec(package) is None:
            raise MissingExtraError(package, "web", "use `mien serve`")
    options = gunicorn_options(config)
    _check_port(config.host, config.port)
    if sys.platform == "win32":
        _serve_with_werkzeug(config, on_listening)
        return
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

    def tell(server: Any) -> None:
        on_listening(_shown(config.host, server.LISTENERS[0].sock.getsockname()[1]))

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)
            self.cfg.set("when_ready", tell)

        def load(self) -> "Flask":
            return made_app(config)

    Application().run()


def made_app(config: WebConfig | None = None) -> "Flask":
    """The application; where it cannot be made, the process ends with one line that says why."""
    from mien.web.app import create_app

    try:
        return create_app(config)
    except MienError as error:
        sys.stderr.write(f"mien: {error}\n")
        sys.exit(_DO_NOT_TRY_AGAIN)


def _check_port(host: str, port: int) -> None:
    """Say what is wrong with the address before anything is loaded.

    Raises:
        SettingError: nobody can listen there.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except socket.gaierror:
        raise SettingError(f"{host} is no address of this machine: see --host") from None
    except OSError as error:
        raise SettingError(
            f"cannot listen on {host}, port {port} ({error.strerror}): choose another port with "
            "--port, or end the program that uses this one"
        ) from None


def _shown(host: str, port: int) -> str:
    """The address that a person on this machine opens."""
    name = "localhost" if host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else host
    return f"http://{name}:{port}"


def _serve_with_werkzeug(config: WebConfig, on_listening: Callable[[str], None]) -> None:
    from werkzeug.serving import run_simple

    from mien.web.app import start
    from mien.web.metrics import configure_logging

    app = made_app(config)
    configure_logging()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    start(app)
    on_listening(_shown(config.host, config.port))
    run_simple(config.host, config.port, app, threaded=True)
