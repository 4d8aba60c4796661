"""The web application: pages, an HTTP API, and live analysis over a WebSocket.

::

    app.py        create_app(config, pipeline): the application and its wiring
    pages.py      HTML          api.py    JSON under /api/v1        live.py   the WebSocket
    engine.py     one inference engine for all connections: a fair gate, batched crops
    store/        what is kept: sessions, jobs, files               jobs.py   the video jobs
    camera.py     the server's own camera                           security.py  observe.py

Needs the extra ``mien[web]``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.web.app import create_app
    from mien.web.config import WebConfig

__all__ = ["WebConfig", "create_app"]


def __getattr__(name: str) -> object:
    # `import mien.web` must work, and be quick, where Flask is not installed.
    if name == "create_app":
        from mien.web.app import create_app

        return create_app
    if name == "WebConfig":
        from mien.web.config import WebConfig

        return WebConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
