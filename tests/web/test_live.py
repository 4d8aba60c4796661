"""Live streams over the WebSocket and over plain HTTP."""

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simple_websocket import Client, ConnectionClosed  # type: ignore[import-untyped]
from wsproto import ConnectionType, WSConnection
from wsproto.events import Message, Request

from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.testing import FakeClassifier, FakePipeline, face_image
from mien.types import Box
from mien.web import live, live_socket
from mien.web.app import create_app, start, stop
from mien.web.config import WebConfig
from mien.web.live_socket import LockedSocket
from mien.web.schemas import FrameResultDocument

WaitUntil = Callable[..., Any]
MakeApp = Callable[..., Flask]
_SIZE = 200_000


Serve = Callable[[Flask], Any]


class LiveClient(Client):  # type: ignore[misc]
    """Also handles what the server sends together with the handshake."""

    def handshake(self) -> None:
        super().handshake()
        if not self._handle_events():
            raise ConnectionClosed(self.close_reason, self.close_message)


@contextmanager
def connected(served: Any, **headers: str) -> Iterator[Client]:
    client = LiveClient.connect(f"ws://{served.address}/ws/live", headers=headers or None)
    try:
        yield client
    finally:
        with suppress(ConnectionClosed):
            client.close()


def ask(client: Client, message: bytes | dict[str, Any]) -> dict[str, Any]:
    client.send(message if isinstance(message, bytes) else json.dumps(message))
    answer = client.receive(timeout=600)
    assert answer is not None
    document: dict[str, Any] = json.loads(answer)
    return document


def test_each_image_is_answered_by_its_result(app: Flask, serve: Serve, smile: bytes) -> None:
    with connected(serve(app)) as client:
        first, second = ask(client, smile), ask(client, smile)
        FrameResultDocument.model_validate(first)
        assert [first["frame_index"], second["frame_index"]] == [0, 1]
        assert first["timestamp_s"] < second["timestamp_s"]
        assert first["faces"][0]["track_id"] == second["faces"][0]["track_id"] is not None
        assert second["faces"][0]["expression"]["label"] == "happiness"
        assert "points" not in first["faces"][0]["landmarks"]
        client.send(json.dumps({"type": "options", "landmarks": True}))
        assert len(ask(client, smile)["faces"][0]["landmarks"]["points"]) == 468
        for value, given in (("False", False), ("True", True), (None, False), ([], False)):
            client.send(json.dumps({"type": "options", "landmarks": value}))
            assert ("points" in ask(client, smile)["faces"][0]["landmarks"]) == given


def test_a_present_face_becomes_neutral(tmp_path: Path, serve: Serve) -> None:
    (smile,) = (p.read_bytes() for p in sample_paths() if p.stem == "person-a-smiling")
    pipeline = FacePipeline(landmarks="face-landmarker", classifier=FakeClassifier())
    app = create_app(WebConfig(data_dir=tmp_path, rate_limits=False), pipeline)

    def smiling(client: Client) -> float:
        return float(ask(client, smile)["faces"][0]["action_units"]["AU12"])

    with connected(serve(app)) as client:
        before = smiling(client)
        assert before > 0.4
        for message, is_set, expected in (
            ({"type": "neutral", "track_id": 2}, False, before),
            ({"type": "neutral", "track_id": "1"}, False, before),
            ({"type": "neutral", "track_id": 1}, True, 0),
            ({"type": "forget_neutral", "track_id": 1}, False, before),
        ):
            assert ask(client, message) == {**message, "type": "neutral", "is_set": is_set}
            assert smiling(client) == pytest.approx(expected, abs=0.05)


def test_invalid_messages_are_answered_by_errors(app: Flask, serve: Serve, smile: bytes) -> None:
    with connected(serve(app)) as client:
        for message, code in (
            (b"", "image_unreadable"),
            (b"\xff\xd8\xff nonsense", "image_unreadable"),
            (smile[:200], "image_unreadable"),
            ({"type": "dance"}, "message_unknown"),
            ({"kind": "record"}, "message_unreadable"),
        ):
            assert ask(client, message)["error"]["code"] == code
        assert len(ask(client, smile)["faces"]) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(st.one_of(st.binary(max_size=300), st.text(max_size=80)), max_size=8))
def test_no_message_breaks_the_conversation(shared: Any, messages: list[bytes | str]) -> None:
    with connected(shared) as client:
        for message in messages:
            client.send(message)
        client.send(json.dumps({"type": "stop_recording"}))
        while True:
            answer = client.receive(timeout=600)
            assert answer is not None
            document = json.loads(answer)
            assert document["type"] in {"error", "dropped", "recording", "busy"}
            if document["type"] == "recording":
                break


@pytest.fixture
def shared(app: Flask, serve: Serve) -> Any:
    return serve(app)


def test_too_large_message_closes_the_connection(
    app: Flask, serve: Serve, wait_until: WaitUntil
) -> None:
    served = serve(app)
    with connected(served) as client:
        client.send(b"x" * 5_000_000)
        with pytest.raises(ConnectionClosed) as closed:
            client.receive(timeout=600)
        assert closed.value.reason == 1009
    wait_until(lambda: app.extensions["mien"].live_streams.count == 0)


def test_frames_that_arrive_too_fast_are_dropped_and_counted(
    app: Flask,
    serve: Serve,
    smile: bytes,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = live_socket._Conversation._answer

    def answer_slowly(self: Any, image: bytes) -> None:
        """Answer the first image, and look for more when all the others have arrived."""
        answer(self, image)
        monkeypatch.setattr(live_socket._Conversation, "_answer", answer)
        wait_until(lambda: len(self._ws.input_buffer) == 12)

    monkeypatch.setattr(live_socket._Conversation, "_answer", answer_slowly)
    with connected(serve(app)) as client:
        ask(client, smile)
        for _ in range(12):
            client.send(smile)
        assert json.loads(client.receive(timeout=600)) == {"type": "dropped", "frames": 11}
        assert json.loads(client.receive(timeout=600))["faces"]
        assert client.receive(timeout=0.2) is None
    metrics = app.test_client().get("/metrics").text
    assert 'mien_frames_total{outcome="dropped",source="live"} 11.0' in metrics


def test_clients_over_the_limit_are_refused(
    make_app: MakeApp, serve: Serve, smile: bytes, wait_until: WaitUntil
) -> None:
    app = make_app(max_live=2)
    served = serve(app)
    with connected(served) as one, connected(served) as two:
        ask(one, smile)
        ask(two, smile)
        with pytest.raises(ConnectionClosed) as closed, connected(served) as three:
            three.receive(timeout=600)
        assert closed.value.reason == 1013
        with urllib.request.urlopen(f"http://{served.address}/healthz", timeout=600) as answer:
            assert answer.status == 200
        assert app.test_client().post("/api/v1/live").status_code == 503
    wait_until(lambda: app.extensions["mien"].live_streams.count == 0)
    with connected(served) as four:
        assert ask(four, smile)["faces"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("http://{}", 101), ("https://{}", 101)],
)
def test_only_own_pages_can_connect(app: Flask, serve: Serve, origin: str, status: int) -> None:
    address = serve(app).address
    lines = (
        "GET /ws/live HTTP/1.1", f"Host: {address}", f"Origin: {origin.format(address)}",
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Extensions: permessage-deflate",
    )  # fmt: skip
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=600) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = connection.recv(4096).decode("latin-1")
    assert answer.startswith(f"HTTP/1.1 {status} ")
    # Images are compressed already.
    assert "permessage-deflate" not in answer


def test_client_that_does_not_read_delays_no_one(app: Flask, serve: Serve, smile: bytes) -> None:
    served = serve(app)
    with connected(served) as slow, connected(served) as quick:
        ask(quick, smile)
        # Its answers are never read.
        flood = threading.Thread(target=lambda: [slow.send(smile) for _ in range(8)])
        flood.start()
        assert ask(quick, smile)["faces"]
        flood.join()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs Linux")
def test_client_that_never_reads_is_disconnected(
    app: Flask, serve: Serve, smile: bytes, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The smallest buffers, so that few answers fill them.
    _set_send_timeout = live_socket._set_send_timeout

    def set_short_timeout(sock: socket.socket, _: float) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        _set_send_timeout(sock, 1.0)

    monkeypatch.setattr(live_socket, "_set_send_timeout", set_short_timeout)
    host, port = serve(app).address.split(":")
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        silent.connect((host, int(port)))
        client = WSConnection(ConnectionType.CLIENT)
        silent.sendall(client.send(Request(host=host, target="/ws/live")))
        while not list(client.events()):
            client.receive_data(silent.recv(4096))
        silent.sendall(client.send(Message(data='{"type": "options", "landmarks": true}')))
        streams = app.extensions["mien"].live_streams
        wait_until(lambda: streams.count == 1)
        silent.sendall(client.send(Message(data=smile)))
        wait_until(lambda: streams.count == 0, seconds=30)


def test_a_connection_that_has_ended_is_no_error() -> None:
    """The reader closes it at once, after a message that breaks the protocol."""
    with socket.socket() as ended:
        pass
    live_socket._set_send_timeout(ended, 1.0)


def test_plain_http_streams_record_and_close(app: Flask, smile: bytes) -> None:
    client = app.test_client()
    opened = client.post("/api/v1/live")
    assert opened.status_code == 201
    assert opened.json is not None
    url = f"/api/v1/live/{opened.json['id']}"
    streams = app.extensions["mien"].live_streams
    results = [client.post(f"{url}/frames", data=smile).json for _ in range(2)]
    assert results[0] is not None
    assert results[1] is not None
    assert results[0]["faces"][0]["track_id"] == results[1]["faces"][0]["track_id"] is not None
    assert client.post(f"{url}/frames", data=b"nonsense").status_code == 400
    assert client.post(f"{url}/recording").json == {
        "type": "recording", "state": "started",
        "session_id": streams.find(opened.json["id"], "").recording.session_id,
    }  # fmt: skip
    client.post(f"{url}/frames", data=smile)
    stopped = client.delete(f"{url}/recording").json
    assert stopped is not None
    assert stopped["complete"] is True
    assert client.delete(url).status_code == 200
    assert client.post(f"{url}/frames", data=smile).status_code == 404


def test_stream_says_when_its_session_is_deleted(
    app: Flask, serve: Serve, smile: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.web.store.sessions._WRITE_EVERY_S", 0.0)
    client = app.test_client()
    with connected(serve(app)) as socket_client:
        started = ask(socket_client, {"type": "record"})
        assert "faces" in ask(socket_client, smile)
        client.delete(f"/api/v1/sessions/{started['session_id']}")
        assert "faces" in ask(socket_client, smile)
        stopped = json.loads(socket_client.receive(timeout=600))
        assert stopped == {
            "type": "recording", "state": "stopped",
            "session_id": started["session_id"], "complete": False,
        }  # fmt: skip
        ended = json.loads(socket_client.receive(timeout=600))
        assert ended["error"]["code"] == "session_deleted"
        assert "faces" in ask(socket_client, smile)


@pytest.mark.parametrize("route", ["frames", "results"])
def test_http_stream_says_when_its_sessions_are_deleted(
    app: Flask, smile: bytes, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.web.store.sessions._WRITE_EVERY_S", 0.0)
    client = app.test_client()
    client.get("/photo")
    url = f"/api/v1/live/{client.post('/api/v1/live').json['id']}"  # type: ignore[index]
    client.post(f"{url}/recording")

    def go_on(at_s: float) -> int:
        if route == "frames":
            return client.post(f"{url}/frames", data=smile).status_code
        results = [result_at(at_s, round(10 * at_s))]
        return client.post(f"{url}/results", json={"results": results}).status_code

    assert go_on(0.1) == 200
    assert client.delete("/api/v1/sessions").json == {"deleted": 1}
    assert [go_on(0.2), go_on(0.3)] == [410, 410]
    assert client.delete(f"{url}/recording").json["complete"] is False  # type: ignore[index]
    assert go_on(0.4) == (200 if route == "frames" else 409)
    assert client.get("/api/v1/sessions").json == {"sessions": []}


def test_recording_without_results_is_not_kept(app: Flask) -> None:
    client = app.test_client()
    client.get("/photo")
    url = f"/api/v1/live/{client.post('/api/v1/live').json['id']}"  # type: ignore[index]
    assert client.post(f"{url}/recording").json["session_id"]  # type: ignore[index]
    stopped: Any = client.delete(f"{url}/recording").json
    assert (stopped["session_id"], stopped["complete"]) == (None, True)
    assert client.get("/api/v1/sessions").json["sessions"] == []  # type: ignore[index]


def test_idle_streams_are_closed(app: Flask) -> None:
    client = app.test_client()
    streams = app.extensions["mien"].live_streams
    opened = client.post("/api/v1/live").json
    assert opened is not None
    streams.find(opened["id"], "").last_used -= 60
    client.post("/api/v1/live")
    assert streams.find(opened["id"], "") is None
    assert streams.count == 1


def test_recording_of_a_page_that_was_left_is_completed(
    app: Flask, smile: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_IDLE_CHECK_S", 0.01)
    monkeypatch.setattr(live, "_IDLE_TIMEOUT_S", 0.5)
    client = app.test_client()
    opened: Any = client.post("/api/v1/live").json
    url = f"/api/v1/live/{opened['id']}"
    started: Any = client.post(f"{url}/recording").json
    client.post(f"{url}/frames", data=smile)
    start(app)
    deadline = time.monotonic() + 20
    session: Any = {"state": "recording"}
    while session["state"] == "recording" and time.monotonic() < deadline:
        time.sleep(0.05)
        session = client.get(f"/api/v1/sessions/{started['session_id']}").json
    stop(app)
    assert (session["state"], session["frames"]) == ("complete", 1)


def test_recordings_are_completed_at_shutdown(app: Flask, smile: bytes) -> None:
    client = app.test_client()
    opened = client.post("/api/v1/live").json
    assert opened is not None
    url = f"/api/v1/live/{opened['id']}"
    started = client.post(f"{url}/recording").json
    assert started is not None
    client.post(f"{url}/frames", data=smile)
    stop(app)
    session = client.get(f"/api/v1/sessions/{started['session_id']}").json
    assert session is not None
    assert (session["state"], session["frames"]) == ("complete", 1)
    assert client.post("/api/v1/live").status_code == 503


def test_messages_of_two_threads_are_not_mixed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # A buffer so small that each message waits in the middle until the other side reads.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        shared = LockedSocket(ours)
        assert shared.fileno() == ours.fileno()
        senders = [
            threading.Thread(target=shared.send, args=(letter * _SIZE,)) for letter in (b"a", b"b")
        ]
        for sender in senders:
            sender.start()
        received = b""
        while len(received) < 2 * _SIZE:
            received += theirs.recv(65536)
        for sender in senders:
            sender.join()
    assert received in (b"a" * _SIZE + b"b" * _SIZE, b"b" * _SIZE + b"a" * _SIZE)


def result_at(timestamp_s: float, frame_index: int, faces: int = 1) -> dict[str, Any]:
    """A result of a stream that a browser analyzed itself."""
    image = face_image([(Box(20 + 60 * k, 20, 70 + 60 * k, 70), "happiness") for k in range(faces)])
    result = FakePipeline().analyze(image)
    return {**result.to_dict(), "timestamp_s": timestamp_s, "frame_index": frame_index}


def test_people_of_a_browser_stay_the_same_when_the_server_restarts(app: Flask) -> None:
    client = app.test_client()
    client.get("/photo")

    def record(first: int, session_id: str = "") -> str:
        stream: Any = client.post("/api/v1/live").json
        url, query = f"/api/v1/live/{stream['id']}", {"session_id": session_id}
        started: Any = client.post(
            f"{url}/recording", query_string=query if session_id else {}
        ).json
        results = [result_at(index / 10, index) for index in range(first, first + 3)]
        for result in results:
            result["faces"][0]["track_id"] = 2
        assert client.post(f"{url}/results", json={"results": results}).json == {"added": 3}
        client.delete(url)
        return str(started["session_id"])

    def stored() -> list[tuple[int, int]]:
        answer: Any = client.get(f"/api/v1/sessions/{session_id}/frames").json
        return [(frame["frame_index"], frame["faces"][0]["track_id"]) for frame in answer["frames"]]

    session_id = record(0)
    # The browser's stream goes on, with its numbers.
    assert record(7, session_id) == session_id
    assert stored() == [(0, 2), (1, 2), (2, 2), (7, 2), (8, 2), (9, 2)]
    # A new one numbers its frames and people from the start.
    assert record(0, session_id) == session_id
    assert stored()[6:] == [(10, 4), (11, 4), (12, 4)]


def test_results_that_a_browser_computed_are_recorded(app: Flask) -> None:
    client = app.test_client()
    client.get("/photo")
    url = f"/api/v1/live/{client.post('/api/v1/live').json['id']}"  # type: ignore[index]
    assert client.post(f"{url}/results", json={"results": []}).status_code == 409
    session_id = client.post(f"{url}/recording?name=Live, Tuesday").json["session_id"]  # type: ignore[index]
    # A second of a crowd is more JSON than other routes accept.
    frames = [result_at(index / 30, index, faces=4) for index in range(30)]
    assert len(json.dumps(frames)) > 64 * 1024
    answer = client.post(f"{url}/results", json={"results": frames})
    assert (answer.status_code, answer.json) == (200, {"added": 30})
    # As after an answer that did not arrive.
    again = client.post(f"{url}/results", json={"results": [*frames[-2:], result_at(1.0, 30)]})
    assert again.json == {"added": 1}
    client.delete(url)
    session: Any = client.get(f"/api/v1/sessions/{session_id}").json
    assert session["name"] == "Live, Tuesday"
    assert (session["frames"], session["duration_s"]) == (31, pytest.approx(1.0, abs=1e-3))
    assert client.get(f"/sessions/{session_id}").status_code == 200


def with_labels(count: int) -> list[dict[str, Any]]:
    shares = {f"label {number}": 1 / count for number in range(count)}
    expression = {"label": "label 0", "uncertain": False, "probabilities": shares}
    return [face | {"expression": expression} for face in result_at(0.0, 0)["faces"]]


@pytest.mark.parametrize(
    "changed",
    [
        {"faces": with_labels(51)},
        {"timestamp_s": -1.0}, {"timestamp_s": 1e300}, {"timestamp_s": float("nan")},
        {"frame_index": 10**30}, {"schema_version": 2}, {"faces": [{}]}, {"faces": "none"},
    ],
)  # fmt: skip
def test_results_that_are_none_are_refused(app: Flask, changed: dict[str, Any]) -> None:
    client = app.test_client()
    client.get("/photo")
    url = f"/api/v1/live/{client.post('/api/v1/live').json['id']}"  # type: ignore[index]
    client.post(f"{url}/recording")
    body = json.dumps({"results": [result_at(0.0, 0) | changed]})
    answer = client.post(f"{url}/results", data=body, content_type="application/json")
    assert answer.status_code == 422
    assert client.post(f"{url}/results", json={"results": [result_at(0, 0)]}).status_code == 200
