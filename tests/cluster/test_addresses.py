"""Addresses of remote files."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from mien.cluster import storage
from mien.cluster.inputs import Input
from mien.errors import InputError


@pytest.mark.parametrize("name", ["my photo 1.png", "größe.png", "100%25.png"])
def test_reads_addresses_as_people_write_them(tmp_path: Path, name: str) -> None:
    (tmp_path / unquote(name)).write_bytes(b"content")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = storage.read(f"http://127.0.0.1:{server.server_port}/{name}")
        server.shutdown()
    assert found == b"content"


def test_an_answer_that_breaks_off_is_a_failure_of_its_input() -> None:
    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"few")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match=r"/a\.png: the file cannot be read: IncompleteRead"):
            storage.read(f"http://127.0.0.1:{server.server_port}/a.png")
        server.shutdown()


def test_names_in_storage_may_have_a_number_sign() -> None:
    assert storage.join("s3://bucket/a#1", "b.png") == "s3://bucket/a#1/b.png"
    assert Input("a", "s3://bucket/a#1.mp4").is_video
    assert Input("a", "https://host/a.mp4#t=1.jpg").suffix == ".mp4"
