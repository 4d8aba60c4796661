"""Messages about ended jobs: what is sent, to whom, and how often."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from mien.client import Client, read_webhook
from mien.errors import ServerError
from mien.web import webhooks
from mien.web.app import start, stop
from mien.web.config import WebConfig
from mien.web.store import database as tables
from mien.web.store.database import Database, now
from mien.web.webhooks import _is_public, _parse, _WebhookError

SECRET = "a secret of the receiver".replace(" ", "-")
MakeApp = Callable[..., Flask]


class Receiver:
    """Takes messages, and answers with the given statuses in turn, then with 204."""

    def __init__(self, *statuses: int) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        left = list(statuses)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.messages.append((dict(self.headers), body))
                self.send_response(left.pop(0) if left else 204)
                self.send_header("Location", f"http://localhost:{outer.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://localhost:{self.port}/done?job=1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*statuses: int) -> Receiver:
        made.append(Receiver(*statuses))
        return made[-1]

    yield make
    for one in made:
        one.close()


def submit(client: FlaskClient, walk: Path, **fields: str) -> Any:
    data = {"video": (walk.open("rb"), "walk.mp4"), "every": "8", "annotate": "false", **fields}
    return client.post("/api/v1/videos", data=data)


def parts(app: Flask) -> tuple[Database, WebConfig]:
    services = app.extensions["mien"]
    return services.database, services.config


def test_receiver_gets_a_signed_job(
    make_app: MakeApp, serve: Any, receive: Any, walk: Path, wait_until: Any
) -> None:
    app, receiver = make_app(webhook_hosts="localhost"), receive()
    client = Client(f"http://{serve(app).address}")
    start(app)
    try:
        job = client.submit_video(
            walk, annotate=False, webhook_url=receiver.url, webhook_secret=SECRET
        )
        wait_until(lambda: receiver.messages)
    finally:
        stop(app)
    headers, body = receiver.messages[0]
    message = read_webhook(headers, body, SECRET)
    assert message["type"] == "job.done"
    assert message["data"]["id"] == job["id"]
    assert {"faces.csv", "tracks.csv"} <= {entry["name"] for entry in message["data"]["files"]}
    document = app.test_client().get(f"/api/v1/jobs/{job['id']}").json
    assert message["data"] == document
    assert SECRET not in json.dumps(document)
    for wrong in (
        ({**headers, "webhook-timestamp": "1"}, body, SECRET),
        (headers, body + b" ", SECRET),
        (headers, body, "another-secret-text"),
        ({}, body, SECRET),
    ):
        with pytest.raises(ServerError, match="signed"):
            read_webhook(*wrong)
    with pytest.raises(ServerError, match="older"):
        read_webhook(headers, body, SECRET, max_age_s=-1)


def test_refused_messages_are_repeated(make_app: MakeApp, receive: Any, walk: Path) -> None:
    app, receiver = make_app(webhook_hosts="localhost"), receive(500, 302)
    answer = submit(app.test_client(), walk, webhook_url=receiver.url, webhook_secret=SECRET)
    assert answer.status_code == 202
    database, config = parts(app)
    assert not webhooks.deliver_due(database, config)  # the job has not ended
    app.test_client().post(f"/api/v1/jobs/{answer.json['id']}/cancel")
    for attempt in (1, 2, 3):
        assert webhooks.deliver_due(database, config)
        assert not webhooks.deliver_due(database, config)  # not at once
        assert len(receiver.messages) == attempt
        database.execute(sa.update(tables.webhooks).values(due_at=now() - timedelta(seconds=1)))
    assert not webhooks.deliver_due(database, config)  # the third was received
    ids = {dict(headers)["webhook-id"] for headers, _ in receiver.messages}
    assert len(ids) == 1
    assert json.loads(receiver.messages[2][1])["type"] == "job.cancelled"


def test_gives_up_after_seven_attempts(make_app: MakeApp, receive: Any, walk: Path) -> None:
    app, receiver = make_app(webhook_hosts="localhost"), receive(*[500] * 20)
    client = app.test_client()
    answer = submit(client, walk, webhook_url=receiver.url, webhook_secret=SECRET)
    client.post(f"/api/v1/jobs/{answer.json['id']}/cancel")
    database, config = parts(app)
    while webhooks.deliver_due(database, config):
        database.execute(sa.update(tables.webhooks).values(due_at=now() - timedelta(seconds=1)))
    assert len(receiver.messages) == 7
    assert not database.rows(sa.select(tables.webhooks))


def test_deleted_jobs_are_not_notified(make_app: MakeApp, receive: Any, walk: Path) -> None:
    app, receiver = make_app(webhook_hosts="localhost"), receive()
    client = app.test_client()
    answer = submit(client, walk, webhook_url=receiver.url, webhook_secret=SECRET)
    client.delete(f"/api/v1/jobs/{answer.json['id']}")
    assert not webhooks.deliver_due(*parts(app))
    assert not receiver.messages


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https://", "https://user:word@example.org/",
        "https://example.org:99999/", "https://[::1", "//example.org/", "https://exa mple.org/",
        "https://" + "a" * 500, "https://example.org/\r\nX: y",
        # Plainly private.
        "https://10.1.2.3/", "https://[::1]/", "https://127.1/", "https://0x7f.1/", "https://intern/",
        "https://2130706433/", "https://localhost./",
        "HTTPS://LocalHost/", "https://%6cocalhost/", "https://example.org\\@10.0.0.1/",
        "https://a..example.org/", "https://-a.example.org/", "https://example.org:0/",
        "https://a.localhost/", "https://db.internal/",
    ],
)  # fmt: skip
def test_rejects_urls(client: FlaskClient, walk: Path, url: str) -> None:
    answer = submit(client, walk, webhook_url=url, webhook_secret=SECRET)
    assert answer.status_code == 422
    assert answer.json["error"]["code"] == "invalid"


def test_needs_url_and_secret(client: FlaskClient, walk: Path) -> None:
    assert submit(client, walk, webhook_url="https://example.org/").status_code == 422
    assert submit(client, walk, webhook_secret=SECRET).status_code == 422
    answer = submit(client, walk, webhook_url="https://example.org/", webhook_secret="short")
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1",
        "ff02::1",
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not _is_public(address)


def test_public_addresses() -> None:
    assert all(
        map(_is_public, ("1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::"))
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"])
def test_names_of_private_addresses_are_not_connected_to(host: str, receive: Any) -> None:
    receiver = receive()
    url = f"https://{host}:{receiver.port}/"
    _parse(url, WebConfig())  # resolved only when the message is sent
    with pytest.raises((_WebhookError, socket.gaierror)):
        webhooks._post(url, b"{}", {}, WebConfig())


def test_hosts_are_chosen_by_the_operator() -> None:
    named = WebConfig(webhook_hosts="hooks.example.org,.internal,[::1]")
    for url in ("http://hooks.example.org/", "https://a.internal:8000/x", "http://[::1]:9/"):
        _parse(url, named)
    for config in (named, WebConfig(webhook_hosts="")):
        with pytest.raises(_WebhookError, match="MIEN_WEBHOOK_HOSTS"):
            _parse("https://other.example.org/", config)
