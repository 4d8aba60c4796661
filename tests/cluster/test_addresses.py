"""Addresses of remote files."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

import pytest

from mien.cluster import storage
from mien.cluster.inputs import Input
from mien.errors import InputError


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(handler: Callable[..., Handler]) -> Iterator[str]:
    """The address of a server on a port of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", ["my photo 1.png", "größe.png", "100%25.png"])
def test_reads_addresses_as_people_write_them(tmp_path: Path, name: str) -> None:
    (tmp_path / unquote(name)).write_bytes(b"content")
    with serving(partial(Handler, directory=str(tmp_path))) as base:
        assert storage.read(f"{base}/{name}", 7) == b"content"
        with pytest.raises(InputError, match=r"expected an image of at most 0 MiB, got more"):
            storage.read(f"{base}/{name}", 6)


def test_a_server_that_is_gone_is_named_plainly() -> None:
    with serving(Handler) as base:
        pass
    with pytest.raises(InputError, match=r"a\.png: the file cannot be read: Connection refused$"):
        storage.read(f"{base}/a.png")
    with pytest.raises(InputError, match="the file cannot be read: Invalid IPv6 URL"):
        storage.read(Input("a", "http://[::1/a.png").address)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Content-Length", r"the connection ended 997 bytes before the end"),
        ("Transfer-Encoding", r"the connection ended before the end of the file"),
    ],
)
def test_an_answer_that_breaks_off_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, expected: str
) -> None:
    asked: list[str] = []

    class Breaking(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if "reset" in self.path and len(asked) == 1:
                return
            self.send_response(200)
            if "always" in self.path:
                self.send_header(header, "1000" if header == "Content-Length" else "chunked")
            self.end_headers()
            self.wfile.write(b"few" if header == "Content-Length" else b"1000\r\nfew")

    monkeypatch.setattr(storage, "_PAUSES_S", (0, 0))
    with serving(Breaking) as base:
        assert b"few" in storage.read(f"{base}/reset.png")
        with pytest.raises(InputError, match=rf"/always\.png: the file cannot be read: {expected}"):
            storage.read(f"{base}/always.png")
        with pytest.raises(InputError, match=expected):
            storage.download(f"{base}/always.png", tmp_path / "copy")
    assert [asked.count(f"/{name}.png") for name in ("reset", "always")] == [2, 6]


def test_a_server_that_hardly_sends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dripping(Handler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(bytes(4_000_000))  # a fast beginning
                while True:
                    self.wfile.write(b".")
                    time.sleep(0.01)

    monkeypatch.setattr(storage, "_TIMEOUT_S", 0.2)
    monkeypatch.setattr(storage, "_SLOWEST_BYTES_PER_S", 10_000)
    with serving(Dripping) as base, pytest.raises(InputError, match="the server is too slow"):
        storage.read(f"{base}/a.png")


def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Busy(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            code = 404 if "gone" in self.path else (500, 503, 200)[len(asked) - 1]
            self.send_response(code)
            self.end_headers()

    monkeypatch.setattr(storage, "_PAUSES_S", (0, 0))
    with serving(Busy) as base:
        assert storage.read(f"{base}/a.png") == b""
        with pytest.raises(InputError, match="Not Found"):
            storage.read(f"{base}/gone.png")
    assert asked == ["/a.png"] * 3 + ["/gone.png"]


@pytest.mark.parametrize("name", ["a#1", "what?", "a?b=c", "[a]", "a b", "größe", "a\nb"])
def test_names_in_storage_may_have_any_characters(name: str) -> None:
    pytest.importorskip("pyarrow")
    assert storage.join(f"s3://bucket/{name}", "b.png") == f"s3://bucket/{name}/b.png"
    assert Input("a", f"s3://bucket/{name}.mp4").is_video
    options = "?endpoint_override=localhost:9000&scheme=http"
    _, path = storage.filesystem(f"s3://bucket/{name}/a.png{options}")
    assert path == f"bucket/{name}/a.png"


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("s3://bucket/lists", "../in/a b?.png", "s3://bucket/in/a b?.png"),
        ("s3://bucket/lists", "/in//[1].png", "s3://bucket/in/[1].png"),
        ("s3://bucket?region=x", "./a#.png", "s3://bucket/a#.png?region=x"),
        ("https://host/a?key=1", "b/../c.png", "https://host/a/c.png?key=1"),
        ("https://host/a?key=1", "/c.png?own=//2", "https://host/c.png?own=//2"),
    ],
)
def test_tables_name_files_as_relative_paths_or_from_the_root(
    folder: str, name: str, expected: str
) -> None:
    assert storage.resolve(folder, name) == expected


@pytest.mark.parametrize("address", ["s3://", "s3:///a.png", "s3://bucket/a//b.png"])
def test_an_address_with_an_empty_name_is_a_failure_of_its_input(address: str) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="expected an address such as s3://bucket/folder/name"):
        storage.read(address)
    storage.check_answers(address)  # and does not stop the run


def test_an_address_keeps_its_query() -> None:
    options = "?region=eu-west-1"
    assert storage.join(f"s3://bucket/a{options}", "b.png") == f"s3://bucket/a/b.png{options}"
    assert storage.join("https://host/a?key=1", "b.png") == "https://host/a/b.png?key=1"
    assert Input("a", "https://host/a.mp4?name=a.png").is_video
    assert Input("a", "https://host/a.mp4#t=1.jpg").suffix == ".mp4"
