"""Real server processes, and a real Chromium whose camera is a clip."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import av
import pytest
from PIL import Image as PillowImage

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "src/mien/web/static/sample.mp4"
CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")
# Generous, because the machine may be busy.
TIMEOUT_MS = 120_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """``mien serve`` that can be killed and restarted at the same address."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._environment = environment
        self._log = (folder / "server.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mien", "serve", "--port", str(self.port)]
        environment = {
            **os.environ, "MIEN_DATA_DIR": str(self.folder), "MIEN_RATE_LIMITS": "0",
            "MIEN_LIVE": "server",
            **self._environment,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [*command, *self._arguments], env=environment, stderr=self._log, stdout=self._log,
            start_new_session=True,
        )  # fmt: skip
        self.wait_until_ready()

    def wait_until_ready(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        """Kill the server and its workers with SIGKILL."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Skips a test whose requirements are not installed; fails it if CI=true is set."""

    def say(what: str) -> NoReturn:
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {what}")
        pytest.skip(f"needs {what}")

    return say


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers; arguments go to ``mien serve``, keyword arguments to its environment."""
    started: list[ServerProcess] = []

    def start(*arguments: str, **environment: str) -> ServerProcess:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        started.append(ServerProcess(folder, *arguments, **environment))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that do not change it; each test is another visitor."""
    started = ServerProcess(tmp_path_factory.mktemp("server"))
    yield started
    started.close()


@pytest.fixture
def own_device(serve: Callable[..., ServerProcess]) -> ServerProcess:
    """A server that analyzes, or lets the visitor's device do it."""
    return serve(MIEN_LIVE="both")


@pytest.fixture(scope="session")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample clip in the format of Chromium's fake camera: concatenated JPEGs."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with av.open(str(CLIP)) as source, path.open("wb") as target:
        for index, frame in enumerate(source.decode(video=0)):
            if index % 2 == 0:
                buffer = io.BytesIO()
                picture = frame.to_ndarray(width=640, height=360, format="rgb24")
                PillowImage.fromarray(picture).save(buffer, "JPEG", quality=85)
                target.write(buffer.getvalue())
    return path


@pytest.fixture(scope="session")
def playwright(missing: Callable[[str], NoReturn]) -> Iterator[Any]:
    try:
        sync_api = import_module("playwright.sync_api")
    except ModuleNotFoundError:
        missing("Playwright: the dependency group e2e")
    if not Path(CHROMIUM).is_file():
        missing("Chromium: apt-get install chromium, or set CHROMIUM")
    with sync_api.sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def launch(playwright: Any) -> Iterator[Callable[..., Any]]:
    """Launches a browser with certain flags, once for each set of flags."""
    started: dict[tuple[str, ...], Any] = {}

    def start(*flags: str) -> Any:
        if flags not in started:
            started[flags] = playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS, *flags], timeout=TIMEOUT_MS
            )
        return started[flags]

    yield start
    for browser in started.values():
        browser.close()


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Any], camera_file: Path) -> Any:
    """A browser that allows camera access and whose camera shows the sample clip."""
    return launch(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file}",
    )


@pytest.fixture
def open_page() -> Iterator[Callable[..., Any]]:
    """Opens pages, each as another visitor, and collects their errors.

    What a script did not catch fails the test; answers that the browser could not load do not.
    """
    contexts: list[Any] = []
    pages: list[Any] = []

    def start(browser: Any, server: ServerProcess, path: str = "/", **options: Any) -> Any:
        script = options.pop("init_script", None)
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(TIMEOUT_MS)
        page = contexts[-1].new_page()
        pages.append(page)
        if script:
            page.add_init_script(script)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "console",
            lambda message: message.type == "error" and page.problems.append(message.text),
        )
        page.goto(server.url + path)
        return page

    yield start
    for context in contexts:
        context.close()
    not_loaded = (
        "Failed to load resource", "WebSocket connection to", "net::ERR_",
        "The Cross-Origin-Opener-Policy header has been ignored",  # over plain HTTP
    )  # fmt: skip
    problems = [text for page in pages for text in page.problems]
    assert [text for text in problems if not text.startswith(not_loaded)] == []


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - as in the base class
        **SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }  # fmt: skip

    def end_headers(self) -> None:
        # As hosts of pages do.
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve_folder() -> Iterator[Callable[[Path], Any]]:
    """Serves a folder as any static host does, without headers of its own."""
    with ExitStack() as stack:

        def start(folder: Path) -> Any:
            handler = partial(_Quiet, directory=str(folder))
            host = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=host.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(host.shutdown)
            return SimpleNamespace(url=f"http://localhost:{host.server_port}")

        yield start
