"""The live page over a line that carries little, and over the same line once it is quick again."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


class Line:
    """A TCP line to a server that carries only so much.

    Attributes:
        rate: bytes a second each way, all connections together; None for as many as come.
    """

    def __init__(self, port: int) -> None:
        self.rate: int | None = None
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ways = threading.Lock(), threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._join, args=(here, there), daemon=True).start()

    def _join(self, here: socket.socket, there: socket.socket) -> None:
        with here, there:
            upwards = threading.Thread(target=self._carry, args=(here, there, self._ways[0]))
            upwards.start()
            self._carry(there, here, self._ways[1])
            upwards.join()

    def _carry(self, source: socket.socket, target: socket.socket, way: threading.Lock) -> None:
        with suppress(OSError):  # one of the ends is gone
            while data := source.recv(1024):
                with way:
                    if self.rate is not None:
                        time.sleep(len(data) / self.rate)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(server: Any) -> Iterator[Line]:
    started = Line(server.port)
    yield started
    started.close()


class _Through:
    """The server as it is reached by a line."""

    def __init__(self, line: Line) -> None:
        self.url = f"http://127.0.0.1:{line.port}"


# Each picture's size in bytes, as it is handed to the network.
_NOTE_SIZES = """
    window.sizes = [];
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      if (data instanceof Blob) window.sizes.push(data.size);
      send.call(this, data);
    };
"""


def test_smaller_pictures_go_over_a_slow_network_and_larger_ones_again_over_a_quick_one(
    browser: Any, line: Line, open_page: Callable[..., Any]
) -> None:
    page = open_page(browser, _Through(line), init_script=_NOTE_SIZES)

    def sizes() -> list[int]:
        return list(page.evaluate("window.sizes"))

    def wait_for_width(*widths: int) -> None:
        shown = "parseInt(document.querySelector('[data-size]').textContent)"
        page.wait_for_function(f"(widths) => widths.includes({shown})", arg=list(widths))

    page.click("[data-start]")
    page.wait_for_selector(".person")
    wait_for_width(640)
    widest = max(sizes())

    line.rate = 20_000
    page.wait_for_selector("[data-toast]:has-text('network is slow')")
    wait_for_width(320, 256)
    # Fewer pictures are sent, too; each is answered, and the person still seen.
    before, began = len(sizes()), time.monotonic()
    page.wait_for_function("(count) => window.sizes.length >= count", arg=before + 8)
    assert 8 / (time.monotonic() - began) < 15
    assert max(sizes()[before:]) < widest / 2
    assert page.locator(".person").count() > 0

    # So slow that a large picture would take longer than the page waits for its answer.
    line.rate = 3_000
    wait_for_width(256)
    before = len(sizes())
    page.wait_for_function("(count) => window.sizes.length >= count", arg=before + 3)

    line.rate = None
    wait_for_width(640)
    page.wait_for_selector(".person")
    assert page.inner_text("[data-link]") == "WebSocket"
    assert page.problems == []
