"""A local HTTP server that simulates faults."""

import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest


@dataclass
class FileServer:
    """Serves one content under every path.

    Attributes:
        content: of the file.
        ranges: whether it answers requests for a part with that part.
        drop_after: how many bytes of the next answers are sent before the connection breaks.
        status: answered instead of the file, if set.
        tell_length: whether answers say how long they are.
        requested: the Range header of each request, in order.
    """

    content: bytes = b""
    ranges: bool = True
    drop_after: list[int] = field(default_factory=list)
    status: int | None = None
    tell_length: bool = True
    requested: list[str | None] = field(default_factory=list)
    url: str = ""


def _handler(server: FileServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.requested.append(asked)
            if server.status is not None:
                self.send_error(server.status)
                return
            start = 0
            match = re.fullmatch(r"bytes=(\d+)-", asked or "")
            if match and server.ranges:
                start = int(match[1])
                if start >= len(server.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(server.content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                size = len(server.content)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            else:
                self.send_response(200)
            body = server.content[start:]
            if server.tell_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if server.drop_after:
                body = body[: server.drop_after.pop(0)]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[FileServer]:
    facts = FileServer()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(facts)) as running:
        facts.url = f"http://127.0.0.1:{running.server_port}/files/model.onnx"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield facts
        running.shutdown()
        thread.join()
