"""Starting and stopping the server: what is said where it cannot start, and a quiet end."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from mien.errors import MissingExtraError, SettingError
from mien.web import server
from mien.web.config import WebConfig


def mien_serve(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "mien", "serve", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )


def test_nothing_that_dislikes_forks_is_imported_before_the_fork() -> None:
    code = (
        "import sys, mien.cli.serve, mien.web.gunicorn_conf\n"
        "print([name for name in ('onnxruntime', 'cv2', 'av', 'flask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_serves_and_ends_without_a_word() -> None:
    process = mien_serve("--port", "0")
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        assert first.startswith("Serving mien on http://localhost:")
        url = first.split()[-1].replace("localhost", "127.0.0.1")
        with urllib.request.urlopen(f"{url}/healthz", timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, rest) == (0, "")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = WebConfig(port=taken.getsockname()[1], data_dir=tmp_path)
        with pytest.raises(SettingError, match="choose another port with --port"):
            server.serve(config)


def test_an_address_of_no_machine_is_told(tmp_path: Path) -> None:
    config = WebConfig(host="nowhere.invalid", public=True, data_dir=tmp_path)
    with pytest.raises(SettingError, match="no address of this machine"):
        server.serve(config)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_NEEDED", ("a_package_that_nobody_has",))
    with pytest.raises(MissingExtraError, match=r"mien\[web\]"):
        server.serve(WebConfig(data_dir=tmp_path))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"DATABASE_URL": "mysql://host/name"}, "expected DATABASE_URL of PostgreSQL or SQLite"),
        ({"MIEN_DATA_DIR": "/proc/nowhere"}, "set MIEN_DATA_DIR to a folder"),
        ({"MIEN_MODEL": "a-model-that-nobody-has"}, "a-model-that-nobody-has"),
    ],
)
def test_an_application_that_cannot_be_made_says_why_in_one_line(
    environment: dict[str, str], told: str
) -> None:
    process = mien_serve("--port", "0", **environment)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    assert told in errors
    assert "Traceback" not in errors
