"""``mien serve``: gunicorn serves the application, on Windows Werkzeug's server."""

import logging
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mien.errors import MienError, MissingExtraError, SettingError
from mien.web.config import WebConfig

if TYPE_CHECKING:
    from flask import Flask

# Packages of the web extra without which nothing works.
_REQUIRED = ("flask", "flask_sock", "flask_openapi3", "flask_limiter", "sqlalchemy", "alembic")
# Gunicorn does not restart a worker that ends with this status.
_WORKER_BOOT_ERROR = 3


def serve(config: WebConfig, on_listening: Callable[[str], None] = lambda url: None) -> None:
    """Serve until interrupted.

    Args:
        on_listening: called with the address, once the server listens.

    Raises:
        SettingError: the settings do not allow to serve, or the address is not available.
        MissingExtraError: the web extra is not installed.
    """
    for package in _REQUIRED:
        if find_spec(package) is None:
            raise MissingExtraError(package, "web", "use `mien serve`")
    config.check_bind(config.host)
    if config.worker_count > 1 and sys.platform == "win32":
        raise SettingError("expected --workers 1 on Windows, where one process serves")
    _check_address(config.host, config.port)
    if sys.platform == "win32":
        _serve_with_werkzeug(config, on_listening)
        return
    from mien.web.gunicorn_app import Application

    Application(config, _make_app, lambda port: on_listening(_url(config.host, port))).run()


def _make_app(config: WebConfig) -> "Flask":
    """The application; if it cannot be made, the process ends with one line that says why."""
    from mien.web.app import create_app

    try:
        return create_app(config)
    except MienError as error:
        sys.stderr.write(f"mien: {error}\n")
        sys.exit(_WORKER_BOOT_ERROR)


def _check_address(host: str, port: int) -> None:
    """Report an address that is not available before anything is loaded."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except socket.gaierror:
        raise SettingError(f"{host} is not an address of this machine: change --host") from None
    except OSError as error:
        raise SettingError(
            f"cannot listen on {host}, port {port} ({error.strerror}): choose another port with "
            "--port, or end the program that uses this one"
        ) from None


def _url(host: str, port: int) -> str:
    """The address to open in a browser of this machine."""
    name = "localhost" if host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else host
    return f"http://{name}:{port}"


def _serve_with_werkzeug(config: WebConfig, on_listening: Callable[[str], None]) -> None:
    from werkzeug.serving import run_simple

    from mien.web.app import start
    from mien.web.metrics import configure_logging

    app = _make_app(config)
    configure_logging()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    start(app)
    on_listening(_url(config.host, config.port))
    run_simple(config.host, config.port, app, threaded=True)
