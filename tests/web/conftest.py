"""The web application over a fake pipeline, in the test's own process and over a real socket."""

import io
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from PIL import Image as PillowImage
from werkzeug.serving import make_server

from mien.pipeline import FacePipeline
from mien.testing import FakePipeline, face_frames, face_image
from mien.types import Box
from mien.web.app import create_app
from mien.web.config import WebConfig
from mien.web.store.database import Database

MakeApp = Callable[..., Flask]


@pytest.fixture(scope="session")
def pipeline() -> FacePipeline:
    return FakePipeline()


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A JPEG of four fake faces, two of them happy."""
    faces = [(40, "happiness"), (200, "neutral"), (360, "happiness"), (520, "neutral")]
    return _jpeg(face_image([(Box(x, 60, x + 90, 150), label) for x, label in faces], (640, 240)))


@pytest.fixture(scope="session")
def smile() -> bytes:
    """A JPEG of one happy fake face."""
    return _jpeg(face_image([(Box(110, 60, 210, 160), "happiness")]))


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of a fake face that is neutral, then happy."""
    path = tmp_path_factory.mktemp("walk") / "walk.mp4"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for image, _ in face_frames(16, frame_rate=8):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        target.mux(stream.encode())
    return path


def _jpeg(image: Any) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database whose tables are up to date; copying it is faster than migrating."""
    path = tmp_path_factory.mktemp("database") / "mien.sqlite"
    Database(f"sqlite:///{path}").upgrade()
    # The copy is complete without the write-ahead log.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates that every application would compile again."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture(scope="session")
def _make_app(
    pipeline: FacePipeline, migrated: Path, compiled_templates: FileSystemBytecodeCache
) -> MakeApp:
    def make(**settings: Any) -> Flask:
        settings = {"rate_limits": False, **settings}
        app = create_app(WebConfig(**settings), pipeline)
        app.jinja_env.bytecode_cache = compiled_templates
        if not (settings["data_dir"] / migrated.name).exists():
            shutil.copy(migrated, settings["data_dir"])
        app.config["TESTING"] = True
        # Unexpected errors must become responses, as in production.
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app

    return make


@pytest.fixture
def make_app(tmp_path: Path, _make_app: MakeApp) -> MakeApp:
    """Makes applications; keyword arguments are settings of WebConfig."""
    return partial(_make_app, data_dir=tmp_path / "data")


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory, _make_app: MakeApp) -> MakeApp:
    """Makes one application of each settings, for tests that do not depend on what is stored."""

    @cache
    def make(**settings: Any) -> Flask:
        return _make_app(data_dir=tmp_path_factory.mktemp("shared"), **settings)

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
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
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
    """Waits until a condition returns something true, and returns that."""
    return _wait_until


def _wait_until(condition: Callable[[], Any], *, seconds: float = 600.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("the condition did not become true in time")


@pytest.fixture
def csrf_of() -> Callable[[FlaskClient, str], str]:
    """Returns the CSRF token of the first form of a page."""
    return _csrf_of


def _csrf_of(client: FlaskClient, path: str) -> str:
    page: str = client.get(path).text
    return page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]


def record(client: FlaskClient, smile: bytes, count: int = 3, resume: str = "") -> str:
    """Records a few results over HTTP; returns the session's id."""
    client.get("/photo")
    opened: Any = client.post("/api/v1/live").json
    url = f"/api/v1/live/{opened['id']}"
    going_on = {"session_id": resume} if resume else {}
    started: Any = client.post(f"{url}/recording", query_string=going_on).json
    for _ in range(count):
        assert client.post(f"{url}/frames", data=smile).status_code == 200
    client.delete(url)
    return str(started["session_id"])


def analyze_video(app: Flask, client: FlaskClient, video: Path) -> str:
    """Analyzes a video in this thread; returns the job's id."""
    client.get("/video")
    with video.open("rb") as file:
        job: Any = client.post("/api/v1/videos", data={"video": (file, video.name)}).json
    assert app.extensions["mien"].jobs.run_next()
    assert client.get(f"/api/v1/jobs/{job['id']}").json["state"] == "done"  # type: ignore[index]
    return str(job["id"])
