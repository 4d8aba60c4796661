"""Receive the events of a stream over HTTP, and write them to a CSV file.

    python examples/webhook_receiver.py events.csv
    mien live --webhook http://127.0.0.1:9000        (in a second terminal)

It listens on this machine only. In a program of your own, start what should happen in `do_POST`,
for example dim the light after an episode of happiness.
"""

import csv
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

MAX_BYTES = 100_000


def make_server(table: Path, port: int = 9000) -> HTTPServer:
    """A server that appends each event to a table: time in seconds, kind, person, details as JSON.

    Args:
        table: the CSV file.
        port: to listen at; 0 for any free one.
    """

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            try:
                event = json.loads(self.rfile.read(min(length, MAX_BYTES)))
                row = [event.pop(key) for key in ("timestamp_s", "event", "track_id")]
            except (ValueError, KeyError, AttributeError):
                self.send_error(400, "expected an event of mien as JSON")
                return
            with table.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([*row, json.dumps(event)])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Requests are not logged."""

    return HTTPServer(("127.0.0.1", port), Receiver)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: webhook_receiver.py TABLE.csv")
    make_server(Path(sys.argv[1])).serve_forever()
