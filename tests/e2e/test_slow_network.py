"""The live page over a slow network that becomes fast again."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


class SlowProxy:
    """A TCP proxy to a server with limited bandwidth.

    Attributes:
        rate: bytes a second in each direction, all connections together; None for no limit.
    """

    def __init__(self, port: int) -> None:
        self.rate: int | None = None
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._locks = threading.Lock(), threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._join, args=(client, upstream), daemon=True).start()

    def _join(self, client: socket.socket, upstream: socket.socket) -> None:
        with client, upstream:
            upwards = threading.Thread(
                target=self._forward, args=(client, upstream, self._locks[0])
            )
            upwards.start()
            self._forward(upstream, client, self._locks[1])
            upwards.join()

    def _forward(self, source: socket.socket, target: socket.socket, lock: threading.Lock) -> None:
        with suppress(OSError):  # one side was closed
            while data := source.recv(1024):
                with lock:
                    if self.rate is not None:
                        time.sleep(len(data) / self.rate)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(server: Any) -> Iterator[SlowProxy]:
    started = SlowProxy(server.port)
    yield started
    started.close()


class _ProxiedServer:
    """The server behind the proxy."""

    def __init__(self, proxy: SlowProxy) -> None:
        self.url = f"http://127.0.0.1:{proxy.port}"


# The size in bytes of each image that is sent.
_RECORD_SIZES = """
    window.sizes = [];
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      if (data instanceof Blob) window.sizes.push(data.size);
      send.call(this, data);
    };
"""


def test_image_size_follows_the_bandwidth(
    browser: Any, proxy: SlowProxy, open_page: Callable[..., Any]
) -> None:
    page = open_page(browser, _ProxiedServer(proxy), init_script=_RECORD_SIZES)

    def sizes() -> list[int]:
        return list(page.evaluate("window.sizes"))

    def wait_for_width(*widths: int) -> None:
        shown = "parseInt(document.querySelector('[data-size]').textContent)"
        page.wait_for_function(f"(widths) => widths.includes({shown})", arg=list(widths))

    page.click("[data-start]")
    page.wait_for_selector(".person")
    wait_for_width(640)
    widest = max(sizes())

    proxy.rate = 20_000
    page.wait_for_selector("[data-toast]:has-text('network is slow')")
    wait_for_width(320, 256)
    # Fewer images are sent as well; each is answered, and the person is still tracked.
    before, began = len(sizes()), time.monotonic()
    page.wait_for_function("(count) => window.sizes.length >= count", arg=before + 8)
    assert 8 / (time.monotonic() - began) < 15
    assert max(sizes()[before:]) < widest / 2
    assert page.locator(".person").count() > 0

    # So slow that a large image would take longer than the page's timeout.
    proxy.rate = 3_000
    wait_for_width(256)
    before = len(sizes())
    page.wait_for_function("(count) => window.sizes.length >= count", arg=before + 3)

    proxy.rate = None
    wait_for_width(640)
    page.wait_for_selector(".person")
    assert page.inner_text("[data-link]") == "WebSocket"
    assert page.problems == []
