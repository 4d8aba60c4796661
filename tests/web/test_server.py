"""Start and stop of the server, and its messages when it cannot start."""

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mien.errors import MissingExtraError, SettingError
from mien.web import server
from mien.web.config import WebConfig
from mien.web.gunicorn_app import _Processes


def mien_serve(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "mien", "serve", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )


def test_nothing_heavy_is_imported_before_the_fork() -> None:
    code = (
        "import sys, mien.cli.serve, mien.web.gunicorn_app\n"
        "print([name for name in ('onnxruntime', 'cv2', 'av', 'flask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _wait_until_ready(url: str) -> None:
    """Until the models are loaded: a busy machine may take longer for that than for stopping."""
    for _ in range(2400):
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{url}/readyz", timeout=600):
            return
        time.sleep(0.05)


def test_serves_and_stops_silently() -> None:
    process = mien_serve("--port", "0")
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        assert first.startswith("Serving mien on http://localhost:")
        url = first.split()[-1].replace("localhost", "127.0.0.1")
        with urllib.request.urlopen(f"{url}/healthz", timeout=600) as answer:
            assert answer.status == 200
        _wait_until_ready(url)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=600)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, rest) == (0, "")


def _send_too_much(port: int) -> None:
    """A client that sends on after it was refused gets to the end of what it sends."""
    head = b"POST /photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head)
        for _ in range(100):
            client.sendall(bytes(1_000_000))
        assert client.recv(13) == b"HTTP/1.1 413 "


def _ask(port: int, path: str, sent: bytes, *, promised: int) -> tuple[bool, bool]:
    """Whether the answer keeps the connection, and whether that is so."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {promised}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head.encode() + sent)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        answer.read()
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with suppress(ConnectionError):
            return answer.getheader("Connection") == "keep-alive", bool(client.recv(1))
    return answer.getheader("Connection") == "keep-alive", False


def _check_long_requests(port: int) -> None:
    """The errors of the HTTP server itself have the one format."""
    for address, header, code in (
        ("x" * 9000, "", "uri_too_long"),
        ("x", "x" * 99_000, "headers_too_large"),
        ("x", "\x01", "bad_request"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/{address}", headers={"Cookie": header})
        error = json.loads(connection.getresponse().read())["error"]
        assert error["code"] == code
        connection.close()


def _check_broken_chunks(port: int) -> None:
    """Chunks that are no chunks, and more of them than an image may have."""
    head = "POST /api/v1/analyze HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    large = b"200000\r\n" + bytes(0x200000) + b"\r\n"
    for sent, status in ((b"ZZ\r\nabc\r\n", b"400"), (11 * large + b"0\r\n\r\n", b"413")):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(head.encode() + sent)
            assert client.recv(12) == b"HTTP/1.1 " + status


def _check_kept_connections(port: int) -> None:
    for path in ("/photo", "/api/v1/analyze", "/api/v1/videos", "/no/such/page"):
        for sent in (b"", bytes(200_000)):
            assert _ask(port, path, sent, promised=300_000_000) == (False, False), path
    assert _ask(port, "/api/v1/live", b"", promised=0) == (True, True)


@pytest.mark.skipif(sys.platform == "win32", reason="one process serves there")
def test_processes_share_a_port_and_pass_requests_of_streams_on(smile: bytes) -> None:
    process = mien_serve("--port", "0", "--workers", "2", MIEN_RATE_LIMITS="0")
    assert process.stderr is not None
    # A log that is not read would stop the server.
    reading = threading.Thread(target=process.stderr.read)
    try:
        url = process.stderr.readline().split()[-1].replace("localhost", "127.0.0.1")
        reading.start()
        _wait_until_ready(url)
        _send_too_much(int(url.rpartition(":")[2]))
        _check_kept_connections(int(url.rpartition(":")[2]))
        _check_broken_chunks(int(url.rpartition(":")[2]))
        _check_long_requests(int(url.rpartition(":")[2]))
        streams: list[str] = []
        # Each process has its sign. One may still load its models when the other is ready.
        for _ in range(2400):
            stream = json.loads(_posted(f"{url}/api/v1/live", b""))["id"]
            if not streams or stream[0] != streams[0][0]:
                streams.append(stream)
            if len(streams) == 2:
                break
            if stream not in streams:
                delete = urllib.request.Request(f"{url}/api/v1/live/{stream}", method="DELETE")
                urllib.request.urlopen(delete, timeout=600).close()
            time.sleep(0.05)
        frames = [
            json.loads(_posted(f"{url}/api/v1/live/{stream}/frames", smile))
            for _ in range(2)
            for stream in (streams[0], streams[-1])
        ]
        assert [frame["frame_index"] for frame in frames] == [0, 0, 1, 1]
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=600)
    finally:
        process.kill()
        process.wait()
        reading.join()
        process.stderr.close()
    assert process.returncode == 0


def _posted(url: str, data: bytes) -> bytes:
    request = urllib.request.Request(url, data, {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        body: bytes = answer.read()
        return body


def test_passed_on_requests_keep_their_address_which_clients_cannot_set() -> None:
    seen: list[tuple[str, bool]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append((environ["REMOTE_ADDR"], "HTTP_X_MIEN_ADDRESS" in environ))
        return []

    processes = _Processes(2)
    try:
        serve = processes.passing_on(app, 0)
        path = {"PATH_INFO": f"/api/v1/live/{processes.sign(0)}{'A' * 21}/frames"}
        serve({**path, "REMOTE_ADDR": "192.0.2.1", "HTTP_X_MIEN_ADDRESS": "127.0.0.1"}, None)
        serve({**path, "REMOTE_ADDR": "", "HTTP_X_MIEN_ADDRESS": "192.0.2.7"}, None)
        assert seen == [("192.0.2.1", False), ("192.0.2.7", False)]
        # No one listens for the other process: its streams are gone.
        other = f"/api/v1/live/{processes.sign(1)}{'A' * 21}"
        statuses: list[str] = []
        environ = {
            "PATH_INFO": other, "REMOTE_ADDR": "192.0.2.1", "REQUEST_METHOD": "DELETE",
            "wsgi.input": io.BytesIO(),
        }  # fmt: skip
        serve(environ, lambda status, headers: statuses.append(status))
        assert statuses == ["404 Not Found"]
    finally:
        processes.close()


@pytest.mark.parametrize("workers", ["0", "-1", "many", "65", "1.5", "²"])
def test_rejects_numbers_of_processes(workers: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected --workers"):
        server.serve(WebConfig(workers=workers, data_dir=tmp_path))


def test_reports_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = WebConfig(port=taken.getsockname()[1], data_dir=tmp_path)
        with pytest.raises(SettingError, match="choose another port with --port"):
            server.serve(config)


def test_reports_an_address_of_no_machine(tmp_path: Path) -> None:
    config = WebConfig(host="nowhere.invalid", public=True, data_dir=tmp_path)
    with pytest.raises(SettingError, match="not an address of this machine"):
        server.serve(config)


def test_names_the_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_REQUIRED", ("a_package_that_does_not_exist",))
    with pytest.raises(MissingExtraError, match=r"mien\[web\]"):
        server.serve(WebConfig(data_dir=tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"database_url": "mysql://host/name"}, "expected DATABASE_URL of PostgreSQL or SQLite"),
        ({"data_dir": Path("/proc/nowhere")}, "set MIEN_DATA_DIR to a folder"),
    ],
)
def test_invalid_settings_end_the_process_with_one_line(
    settings: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        server._make_app(WebConfig(**settings))
    errors = capsys.readouterr().err
    assert ended.value.code == 3
    assert message in errors
    assert errors.count("\n") == 1


def test_unknown_model_ends_the_process_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIEN_MODEL", "a-model-that-does-not-exist")
    with pytest.raises(SystemExit):
        server._make_app(WebConfig(data_dir=tmp_path))
    assert "a-model-that-does-not-exist" in capsys.readouterr().err
