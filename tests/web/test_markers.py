"""Markers: on the pages of sessions and videos, in the API and in the tables of events."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from tests.web.conftest import analyze_video, record
from tests.web.test_live import result_at

from mien.web.markers import _CLOCK
from mien.web.recordings import _with_markers
from mien.web.store import database as tables

CsrfOf = Callable[[FlaskClient, str], str]


def mark(client: FlaskClient, recording_id: str, at_s: float, text: str) -> Any:
    url = f"/api/v1/recordings/{recording_id}/markers"
    return client.post(url, json={"at_s": at_s, "text": text})


def events_of(client: FlaskClient, url: str) -> list[tuple[str, str, str]]:
    rows = csv.DictReader(io.StringIO(client.get(url).text))
    return [(row["onset_s"], row["behavior"], row["value"]) for row in rows]


def record_until(client: FlaskClient, end_s: float) -> str:
    """Records two results, at 0 and at `end_s`; returns the session's id."""
    client.get("/photo")
    opened: Any = client.post("/api/v1/live").json
    url = f"/api/v1/live/{opened['id']}"
    started: Any = client.post(f"{url}/recording").json
    results = [result_at(0.0, 0), result_at(end_s, 1)]
    for result in results:
        result["faces"][0]["track_id"] = 1
    assert client.post(f"{url}/results", json={"results": results}).json == {"added": 2}
    client.delete(url)
    return str(started["session_id"])


def test_markers_are_events_of_the_frame_before_them() -> None:
    frames = [{"timestamp_s": at_s, "faces": []} for at_s in (0.0, 1.0, 2.0)]
    marked = [{"at_s": at_s, "text": f"at {at_s}"} for at_s in (9.0, 0.5, 1.0)]
    found = [[e["timestamp_s"] for e in one["events"]] for one in _with_markers(frames, marked)]
    assert found == [[0.5], [1.0], [9.0]]
    assert list(_with_markers([], marked)) == []


def test_markers_of_a_session(app: Flask) -> None:
    client = app.test_client()
    session_id = record_until(client, 1.5)
    first: Any = mark(client, session_id, 0.2, "  The second question  ").json
    assert first["text"] == "The second question"
    assert mark(client, session_id, 0.0, 'Start, "hello"').status_code == 201
    url = f"/api/v1/recordings/{session_id}/markers"
    listed: Any = client.get(url).json
    assert [one["at_s"] for one in listed["markers"]] == [0.0, 0.2]
    exported: Any = client.get(f"/api/v1/sessions/{session_id}/frames").json
    assert exported["markers"] == listed["markers"]
    events = events_of(client, f"/api/v1/sessions/{session_id}/events.csv")
    assert ("0.2", "marker", "The second question") in events
    assert ("0.0", "marker", 'Start, "hello"') in events
    assert ("0.0", "expression", "happiness") in events

    body = {"at_s": 1.5, "text": "later"}
    assert client.put(f"{url}/{first['id']}", json=body).json == {"id": first["id"], **body}
    assert client.delete(f"{url}/{first['id']}").json == {"deleted": 1}
    assert client.delete(f"{url}/{first['id']}").status_code == 404
    assert client.put(f"{url}/{first['id']}", json=body).status_code == 404
    client.delete(f"/api/v1/sessions/{session_id}")
    assert app.extensions["mien"].database.rows(sa.select(tables.markers)) == []


def test_markers_of_a_session_without_faces_are_in_its_table(app: Flask) -> None:
    client = app.test_client()
    empty = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(empty, "JPEG")
    session_id = record(client, empty.getvalue(), count=1)
    assert events_of(client, f"/api/v1/sessions/{session_id}/events.csv") == []
    assert mark(client, session_id, 0, "No camera").status_code == 201
    found = events_of(client, f"/api/v1/sessions/{session_id}/events.csv")
    assert found == [("0.0", "marker", "No camera")]


def test_markers_of_a_video_are_in_its_files(app: Flask, walk: Path) -> None:
    client = app.test_client()
    job_id = analyze_video(app, client, walk)
    files = f"/api/v1/jobs/{job_id}/files"
    before = events_of(client, f"{files}/events.csv")
    lines = client.get(f"{files}/frames.jsonl").text.splitlines()
    assert mark(client, job_id, 0.7, "<b>turns</b>").status_code == 201
    after = events_of(client, f"{files}/events.csv")
    assert sorted(after) == sorted([*before, ("0.7", "marker", "<b>turns</b>")])
    events = map(json.loads, client.get(f"{files}/events.jsonl").text.splitlines())
    assert [e["text"] for e in events if e["event"] == "marker"] == ["<b>turns</b>"]
    marked = client.get(f"{files}/frames.jsonl").text.splitlines()
    assert len(marked) == len(lines)
    assert sum(a != b for a, b in zip(lines, marked, strict=True)) == 1
    page = client.get(f"/jobs/{job_id}").text
    assert "&lt;b&gt;turns&lt;/b&gt;" in page
    assert "<b>turns" not in page


def test_page_adds_changes_and_deletes_markers(app: Flask, csrf_of: CsrfOf) -> None:
    client = app.test_client()
    session_id = record_until(client, 100.0)
    url = f"/recordings/{session_id}/markers"
    form = {"csrf_token": csrf_of(client, f"/sessions/{session_id}")}
    added = client.post(url, data={**form, "action": "add", "at": "1:02.5", "text": "a look"})
    assert added.location.endswith(f"/sessions/{session_id}#markers")
    page = client.get(f"/sessions/{session_id}").text
    assert 'data-marker="62.5"' in page
    assert "1:02.50" in page
    (marker,) = client.get(f"/api/v1{url}").json["markers"]  # type: ignore[index]
    changed = {**form, "id": marker["id"], "action": "change", "at": "7", "text": "a smile"}
    part = client.post(f"{url}?part=1", data=changed).text
    assert "a smile" in part
    assert "<html" not in part
    client.post(url, data={**form, "id": marker["id"], "action": "delete"})
    assert client.get(f"/api/v1{url}").json == {"markers": []}
    for at, text in (
        ("soon", "x"),
        ("1:2:3:4", "x"),
        ("1:60", "x"),
        ("0:61", "x"),
        ("1", " "),
        ("1", "x" * 201),
        ("", "x"),
    ):
        refused = client.post(url, data={**form, "action": "add", "at": at, "text": text})
        assert refused.status_code == 422, (at, text)
    assert client.post(url, data=form).status_code == 400


def test_markers_are_in_the_recording(app: Flask, walk: Path, csrf_of: CsrfOf) -> None:
    client = app.test_client()
    video, session_id = analyze_video(app, client, walk), record_until(client, 4000.02)
    # The last of 16 frames, 8 of which are a second.
    assert [mark(client, video, at_s, "x").status_code for at_s in (1.9, 1.91)] == [201, 422]
    refused: Any = mark(client, video, 100, "x").json
    message = refused["error"]["message"]
    assert message == "Expected a time up to 0:01.9, the end of the recording."
    for at_s in (True, "1", None):
        assert mark(client, video, at_s, "x").status_code == 422  # type: ignore[arg-type]

    page = client.get(f"/sessions/{session_id}").text
    assert f'pattern="{_CLOCK.pattern}"' in page
    form = {"csrf_token": csrf_of(client, f"/sessions/{session_id}"), "action": "add", "text": "x"}
    url = f"/recordings/{session_id}/markers?lang=de"
    times = {
        "66:40.1": 303, "1:06:40": 303, "4000": 303, "66:40.2": 422, "1:60:00": 422, "9:99": 422,
    }  # fmt: skip
    answers = {at: client.post(url, data=form | {"at": at}) for at in times}
    assert {at: answer.status_code for at, answer in answers.items()} == times
    assert "66:40.1" in answers["66:40.2"].text
    marker = client.get(f"/api/v1/recordings/{video}/markers").json["markers"][0]  # type: ignore[index]
    change = f"/api/v1/recordings/{video}/markers/{marker['id']}"
    assert client.put(change, json={"at_s": 9, "text": "x"}).status_code == 422


def test_markers_are_private_and_bounded(
    app: Flask, smile: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, stranger = app.test_client(), app.test_client()
    session_id = record(client, smile, 1)
    stranger.get("/photo")
    assert mark(stranger, session_id, 0, "x").status_code == 404
    assert stranger.get(f"/api/v1/recordings/{session_id}/markers").status_code == 404
    for at_s, text in ((-1, "x"), (1e9, "x"), (0, ""), (0, "a\nb"), (0, "x" * 201)):
        assert mark(client, session_id, at_s, text).status_code == 422
    monkeypatch.setattr("mien.web.markers._MOST", 2)
    assert [mark(client, session_id, 0, "x").status_code for _ in range(3)] == [201, 201, 409]
