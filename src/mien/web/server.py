"""Serving the application: gunicorn, where there is one, and Werkzeug's server on Windows."""

import logging
import sys
from pathlib import Path
from typing import Any

from flask import Flask

from mien.web.app import create_app, start
from mien.web.config import WebConfig
from mien.web.observe import configure_logging


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
        "worker_class": "gthread",
        "threads": config.threads,
        # Connections beyond the live places must still be accepted, to be told so.
        "worker_connections": 1000,
        "keepalive": 5,
        "timeout": 60,
        "graceful_timeout": 8,
        # A heartbeat on a slow disk would have the worker taken for dead.
        "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,
        "loglevel": "warning",
        "post_worker_init": _begin,
    }


def _begin(worker: Any) -> None:
    """Load models and take up jobs, in the process that will serve."""
    configure_logging()
    start(worker.wsgi)


def serve(config: WebConfig) -> None:
    """Serve until interrupted.

    Raises:
        SettingError: the address can be reached from elsewhere, and nobody allowed that.
    """
    options = gunicorn_options(config)
    if sys.platform == "win32":
        _serve_with_werkzeug(create_app(config), config)
        return
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            # Made in the worker: nothing of it has to live through a fork.
            return create_app(config)

    Application().run()


def _serve_with_werkzeug(app: Flask, config: WebConfig) -> None:
    from werkzeug.serving import run_simple

    configure_logging()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    start(app)
    run_simple(config.host, config.port, app, threaded=True)
