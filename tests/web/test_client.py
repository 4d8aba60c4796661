"""`mien.client` against the application on a real socket."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from mien.client import Client
from mien.errors import ImageReadError, ServerError, VideoReadError
from mien.web.app import start, stop

TOKEN = "correct horse battery staple"
Serve = Callable[[Flask], Any]


@pytest.fixture
def client(app: Flask, serve: Serve) -> Client:
    return Client(f"http://{serve(app).address}/")


def test_analyzes_a_photograph(client: Client, photo: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'a "group" \u4eba.jpg'
    path.write_bytes(photo)
    result = client.analyze(path)
    assert len(result.faces) == 4
    assert result.source == path.name
    counts = []
    for asked in (False, True):
        landmarks = client.analyze(photo, landmarks=asked).faces[0].landmarks
        assert landmarks is not None
        counts.append(len(landmarks.points))
    assert counts == [0, 468]


def test_analyzes_a_batch(client: Client, photo: bytes, smile: bytes) -> None:
    first, second, third = client.analyze_batch([photo, b"nonsense", smile])
    assert not isinstance(first, Exception)
    assert not isinstance(third, Exception)
    assert (len(first.faces), len(third.faces)) == (4, 1)
    assert isinstance(second, ImageReadError)
    assert client.analyze_batch([]) == []


def test_analyzes_a_video(app: Flask, serve: Serve, walk: Path, tmp_path: Path) -> None:
    client = Client(f"http://{serve(app).address}")
    start(app)
    try:
        folder = client.analyze_video(walk, tmp_path / "out", every=4, annotate=False)
        (tmp_path / "text.mp4").write_text("no video")
        with pytest.raises(VideoReadError, match=r"text\.mp4"):
            client.analyze_video(tmp_path / "text.mp4", tmp_path / "none")
    finally:
        stop(app)
    assert (folder / "faces.csv").read_text().count("\n") == 5
    assert not (tmp_path / "none").exists()


def test_errors_say_what_to_do(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"missing\.jpg"):
        client.analyze(tmp_path / "missing.jpg")
    with pytest.raises(ImageReadError, match=r"(?i)image"):
        client.analyze(b"nonsense")
    with pytest.raises(ServerError, match="localhost:8000"):
        Client("localhost:8000")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = Client(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ServerError, match="mien serve"):
            gone.analyze(b"x")


def test_sends_the_token(make_app: Callable[..., Flask], serve: Serve, smile: bytes) -> None:
    address = f"http://{serve(make_app(access_token=TOKEN)).address}"
    assert len(Client(address, TOKEN).analyze(smile).faces) == 1
    with pytest.raises(ServerError, match="401"):
        Client(address).analyze(smile)


def test_rejects_servers_of_another_kind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ServerError, match="is it a mien server"):
            Client(f"http://127.0.0.1:{server.getsockname()[1]}").analyze(b"x")
        thread.join()
