"""Events reach a real web server and a real program, and a dead one does not stop the stream."""

import json
import shlex
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mien.errors import SettingError
from mien.streaming.receivers import EventDispatcher, command, webhook
from mien.tracking import Event

BLINK = Event("blink", 1.5, 2, {"duration_s": 0.2})


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, object]]]]:
    got: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", got
        running.shutdown()
        thread.join()


def test_webhook_receives_events_in_order(server: tuple[str, list[dict[str, object]]]) -> None:
    address, got = server
    dispatcher = EventDispatcher([webhook(address)])
    for number in range(5):
        dispatcher(Event("yawn", float(number), 1))
    dispatcher(BLINK)
    dispatcher.close()
    assert [document["timestamp_s"] for document in got] == [0, 1, 2, 3, 4, 1.5]
    assert got[-1] == {"event": "blink", "timestamp_s": 1.5, "track_id": 2, "duration_s": 0.2}
    assert dispatcher.delivered == 6


def test_command_receives_the_event_on_stdin(tmp_path: Path) -> None:
    target = tmp_path / "it's here.json"
    script = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    line = shlex.join([sys.executable, "-c", script, str(target)])
    dispatcher = EventDispatcher([command(line)])
    dispatcher(BLINK)
    dispatcher.close()
    assert json.loads(target.read_text())["event"] == "blink"


def test_an_unavailable_receiver_is_reported_once_and_does_not_block() -> None:
    failures: list[str] = []
    sent_all = threading.Event()
    # No program listens on port 9 of this machine.
    unavailable = webhook("http://127.0.0.1:9/")

    def receiver(event: dict[str, Any]) -> None:
        sent_all.wait()
        unavailable(event)

    dispatcher = EventDispatcher([receiver], on_failure=failures.append, depth=4)
    for _ in range(1000):
        dispatcher(BLINK)
    sent_all.set()
    dispatcher.close()
    assert len(failures) == 1
    assert dispatcher.failed + dispatcher.dropped == 1000


def test_a_program_that_fails_counts_as_a_failure() -> None:
    failures: list[str] = []
    dispatcher = EventDispatcher(
        [command("false"), command("/no/such/program")], on_failure=failures.append
    )
    dispatcher(BLINK)
    dispatcher.close()
    assert dispatcher.failed == 2


@pytest.mark.parametrize("line", ["", "echo 'unclosed"])
def test_rejects_invalid_commands(line: str) -> None:
    with pytest.raises(SettingError):
        command(line)


def test_rejects_other_addresses() -> None:
    with pytest.raises(SettingError, match="file:"):
        webhook("file:///etc/passwd")
