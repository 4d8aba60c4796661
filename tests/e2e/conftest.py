"""Real servers as processes of their own, and a real Chromium whose camera is a clip."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image as PillowImage

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "src/mien/web/static/sample.mp4"
CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")
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
    """``mien serve`` that can be killed and started again at the same address."""

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
            **self._environment,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [*command, *self._arguments], env=environment, stderr=self._log, stdout=self._log,
            start_new_session=True,
        )  # fmt: skip
        self.wait_until_ready()

    def wait_until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        """As the machine would: without a word, the server and its workers together."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()


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


@pytest.fixture
def server(serve: Callable[..., ServerProcess]) -> ServerProcess:
    return serve()


@pytest.fixture(scope="session")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample clip as Chromium's fake camera wants it: JPEGs one after the other."""
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
def playwright() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the group e2e")
    if not Path(CHROMIUM).is_file():
        pytest.skip("needs Chromium: apt-get install chromium, or set CHROMIUM")
    with sync_api.sync_playwright() as started:
        yield started


@pytest.fixture
def launch(playwright: Any) -> Iterator[Callable[..., Any]]:
    """Starts browsers with further flags."""
    started: list[Any] = []

    def start(*flags: str) -> Any:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        started.append(browser)
        return browser

    yield start
    for browser in started:
        browser.close()


@pytest.fixture
def browser(launch: Callable[..., Any], camera_file: Path) -> Any:
    """A browser whose camera shows the sample clip, and whose person allows it."""
    return launch(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file}",
    )
