"""The web application with real models, in the test's own process and over a real socket."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from mien.pipeline import FacePipeline
from mien.web.app import create_app
from mien.web.config import WebConfig

MakeApp = Callable[..., Flask]


@pytest.fixture(scope="session")
def pipeline() -> FacePipeline:
    made = FacePipeline()
    # As the server does at its start: a first frame that loads models is long under way.
    made.warm_up()
    return made


@pytest.fixture
def make_app(tmp_path: Path, pipeline: FacePipeline) -> MakeApp:
    """Makes applications; keyword arguments are settings of WebConfig."""

    def make(**settings: Any) -> Flask:
        settings = {"rate_limits": False, "data_dir": tmp_path / "data", **settings}
        app = create_app(WebConfig(**settings), pipeline)
        app.config["TESTING"] = True
        # What is unexpected must reach the visitor as an answer, as in production.
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app

    return make


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


class Served:
    """An application behind a real socket."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], Served]]:
    """Serves applications until the test ends."""
    served: list[Served] = []

    def start(app: Flask) -> Served:
        served.append(Served(app))
        return served[-1]

    yield start
    for one in served:
        one.close()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """Waits until a condition gives something true, and gives that."""
    return _wait_until


def _wait_until(condition: Callable[[], Any], *, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@pytest.fixture
def csrf_of() -> Callable[[FlaskClient, str], str]:
    """Gives the token of the first form of a page."""
    return _csrf_of


def _csrf_of(client: FlaskClient, path: str) -> str:
    page: str = client.get(path).text
    return page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
