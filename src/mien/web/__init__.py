"""The web application: pages, an HTTP API, and live analysis over a WebSocket.

::

    app.py        create_app(config, pipeline): the application and its wiring
    services.py   what all parts share        config.py     settings
    photos.py, batch.py, videos.py, sessions.py, live.py, camera.py, corrections.py, markers.py:
                  each with its page, its API routes and its rows
    recordings.py what sessions and videos have in common, and links to them
    live_socket.py  the WebSocket
    server.py     mien serve                  gunicorn_app.py  one process or several
    inference.py  one engine for all connections: a fair gate, batched crops
    store/        the database: its tables, sessions, jobs and their files
    jobs.py       runs video jobs             worker.py     analyzes an upload, separate process
    security.py   access, limits              headers.py    browsers, other sites
    api.py, schemas.py, errors.py, error_words.py, metrics.py, pages.py, site.py, webhooks.py,
    words.py

Needs the extra ``mien[web]``.
"""

from typing import TYPE_CHECKING

from mien.web.config import WebConfig

if TYPE_CHECKING:
    from mien.web.app import create_app

__all__ = ["WebConfig", "create_app"]


def __getattr__(name: str) -> object:
    # `import mien.web` must be fast, and must work where Flask is not installed.
    if name == "create_app":
        from mien.web.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
