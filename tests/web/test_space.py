"""Recorded sessions count toward the space of the server, and end where it is used up."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from tests.web.test_live import ask, connected, result_at

MakeApp = Callable[..., Flask]
Serve = Callable[[Flask], Any]


@pytest.fixture
def small(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An application with space for 4,000 bytes, which writes every result at once."""
    monkeypatch.setattr("mien.web.app.MEGABYTE", 4000)
    monkeypatch.setattr("mien.web.videos.MEGABYTE", 4000)
    monkeypatch.setattr("mien.web.store.sessions._WRITE_EVERY_S", 0.0)
    return make_app(max_stored_mb=1)


def test_a_recording_ends_where_the_space_does(small: Flask) -> None:
    client = small.test_client()
    url = f"/api/v1/live/{client.post('/api/v1/live').json['id']}"  # type: ignore[index]
    session_id = client.post(f"{url}/recording").json["session_id"]  # type: ignore[index]
    answers = [
        client.post(f"{url}/results", json={"results": [result_at(index / 30, index)]})
        for index in range(30)
    ]
    stored = [answer.status_code for answer in answers].index(507)
    assert {answer.status_code for answer in answers[stored:]} == {507}
    assert answers[-1].json["error"]["code"] == "storage_full"  # type: ignore[index]
    stopped: Any = client.delete(f"{url}/recording").json
    assert (stopped["session_id"], stopped["complete"]) == (session_id, False)
    # What was stored before stays, and can be read.
    session: Any = client.get(f"/api/v1/sessions/{session_id}").json
    frames: Any = client.get(f"/api/v1/sessions/{session_id}/frames").json
    assert (session["state"], session["frames"]) == ("complete", len(frames["frames"]))
    assert session["frames"] == stored > 0
    assert frames["frames"][-1]["timestamp_s"] == session["duration_s"]
    video = {"video": (io.BytesIO(bytes(2000)), "x.mp4")}
    assert client.post("/api/v1/videos", data=video).status_code == 507
    client.delete(f"/api/v1/sessions/{session_id}")
    video = {"video": (io.BytesIO(bytes(2000)), "x.mp4")}
    assert client.post("/api/v1/videos", data=video).status_code == 202
    # Nor does a recording start where nothing is left.
    video = {"video": (io.BytesIO(bytes(2000)), "x.mp4")}
    assert client.post("/api/v1/videos", data=video).status_code == 202
    answer: Any = client.post(f"{url}/recording")
    assert (answer.status_code, answer.json["error"]["code"]) == (507, "storage_full")


def test_a_connection_gets_an_error_where_the_space_is_used_up(
    small: Flask, serve: Serve, smile: bytes
) -> None:
    with connected(serve(small)) as live:
        assert ask(live, {"type": "record"})["state"] == "started"
        stopped = next(
            found for found in (ask(live, smile) for _ in range(30)) if "faces" not in found
        )
        assert (stopped["state"], stopped["complete"]) == ("stopped", False)
        assert json.loads(live.receive(timeout=600))["error"]["code"] == "storage_full"
        # Analysis goes on: this is of the last picture that was sent.
        assert "faces" in json.loads(live.receive(timeout=600))
