"""Recorded sessions: stored, shown, exported, deleted, and private to their owner."""

import csv
import html
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError
from tests.web.conftest import record

from mien.media.images import read_image
from mien.web.store import database as tables
from mien.web.store.database import Database, now
from mien.web.store.sessions import SessionStore

CsrfOf = Callable[[FlaskClient, str], str]
MakeApp = Callable[..., Flask]


def test_session_from_recording_to_deletion(app: Flask, smile: bytes) -> None:
    client = app.test_client()
    session_id = record(client, smile)
    listed: Any = client.get("/api/v1/sessions").json
    (session,) = listed["sessions"]
    assert (session["id"], session["frames"], session["people"]) == (session_id, 3, 1)
    assert session["state"] == "complete"

    url = f"/api/v1/sessions/{session_id}"
    exported: Any = client.get(f"{url}/frames").json
    assert [frame["frame_index"] for frame in exported["frames"]] == [0, 1, 2]
    assert exported["frames"][0]["timestamp_s"] == 0
    rows = list(csv.DictReader(io.StringIO(client.get(f"{url}/frames.csv").text)))
    assert [row["expression"] for row in rows] == ["happiness"] * 3
    assert float(rows[0]["p_happiness"]) > 0.5
    assert float(rows[0]["p_raw_happiness"]) > 0.5

    page = client.get(f"/sessions/{session_id}").text
    assert "Person 1" in page
    assert '<svg class="lane"' in page
    (address,) = re.findall(r'<img class="strip" src="([^"]+)"', client.get("/sessions").text)
    strip = client.get(html.unescape(address))
    assert strip.mimetype == "image/svg+xml"
    assert "happiness, 0:00.0 to" in strip.text
    assert "<image" not in strip.text
    assert app.test_client().get(address).status_code == 404
    assert client.patch(url, json={"name": "A walk"}).json["name"] == "A walk"  # type: ignore[index]
    assert "A walk" in client.get("/sessions").text
    assert client.patch(url, json={"name": ""}).status_code == 422
    assert client.delete(url).json == {"deleted": 1}
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(("chunks", "each"), [(1, 400), (40, 20), (900, 2)])
def test_thumbnail_reads_few_frames_of_the_whole_session(
    app: Flask, smile: bytes, chunks: int, each: int
) -> None:
    session_id = record(app.test_client(), smile, 1)
    services = app.extensions["mien"]
    (frame,) = services.session_store.read_frames(session_id)
    services.database.execute(sa.delete(tables.session_chunks))
    rows = []
    for number in range(chunks):
        times = [number + k / each for k in range(each)]
        lines = [json.dumps(frame | {"timestamp_s": at_s}) for at_s in times]
        data = zlib.compress("\n".join(lines).encode())
        rows.append({"session_id": session_id, "sequence": number, "data": data})
    services.database.execute(sa.insert(tables.session_chunks).values(rows))
    times = [one["timestamp_s"] for one in services.session_store.sample_frames(session_id, 150)]
    assert 100 <= len(times) <= 300
    assert times == sorted(times)
    assert times[-1] >= 0.98 * chunks


def test_recording_goes_on_after_a_lost_connection(app: Flask, smile: bytes) -> None:
    client = app.test_client()
    session_id = record(client, smile, 3)
    database: Database = app.extensions["mien"].database
    earlier = now() - timedelta(seconds=30)
    database.execute(sa.update(tables.sessions).values(created_at=earlier))

    assert record(client, smile, 2, resume=session_id) == session_id
    session: Any = client.get(f"/api/v1/sessions/{session_id}").json
    assert (session["frames"], session["people"], session["state"]) == (5, 2, "complete")
    frames = client.get(f"/api/v1/sessions/{session_id}/frames").json["frames"]  # type: ignore[index]
    assert [frame["frame_index"] for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame["faces"][0]["track_id"] for frame in frames] == [1, 1, 1, 2, 2]
    # The time that passed stays a gap.
    assert frames[2]["timestamp_s"] < 30 <= frames[3]["timestamp_s"]


def test_recording_does_not_go_on_with_other_or_old_sessions(app: Flask, smile: bytes) -> None:
    client = app.test_client()
    session_id = record(client, smile, 1)
    assert record(app.test_client(), smile, 1, resume=session_id) != session_id
    assert record(client, smile, 1, resume="A" * 22) != session_id
    database: Database = app.extensions["mien"].database
    database.execute(sa.update(tables.sessions).values(updated_at=now() - timedelta(minutes=11)))
    assert record(client, smile, 1, resume=session_id) != session_id


def test_sessions_are_private_to_their_visitor(app: Flask, smile: bytes) -> None:
    session_id = record(app.test_client(), smile, 1)
    stranger = app.test_client()
    stranger.get("/photo")
    assert stranger.get("/api/v1/sessions").json == {"sessions": []}
    assert stranger.get(f"/sessions/{session_id}").status_code == 404
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/frames"), ("GET", "/frames.csv")):
        answer = stranger.open(f"/api/v1/sessions/{session_id}{path}", method=method)
        assert answer.status_code == 404
    assert stranger.delete("/api/v1/sessions").json == {"deleted": 0}


def test_pages_rename_and_delete(app: Flask, smile: bytes, csrf_of: CsrfOf) -> None:
    client = app.test_client()
    first, _ = record(client, smile, 2), record(client, smile, 2)
    form = {"csrf_token": csrf_of(client, "/sessions")}
    for nothing in (" ", "\0", "\u202e"):
        unnamed = {**form, "action": "rename", "name": nothing}
        assert client.post(f"/sessions/{first}", data=unnamed).status_code == 422
        api = client.patch(f"/api/v1/sessions/{first}", json={"name": nothing})
        assert api.status_code == 422
    renamed = {**form, "action": "rename", "name": "Breakfast\0 <b>\n"}
    assert client.post(f"/sessions/{first}", data=renamed).status_code == 303
    assert "Breakfast &lt;b&gt;" in client.get("/sessions").text
    client.post(f"/sessions/{first}", data={**form, "action": "delete"})
    assert client.get(f"/sessions/{first}").status_code == 404
    assert "A recording is running" not in client.get("/sessions").text
    url = f"/api/v1/live/{client.post('/api/v1/live').json['id']}"  # type: ignore[index]
    client.post(f"{url}/recording")
    client.post(f"{url}/frames", data=smile)
    assert "A recording is running" in client.get("/sessions").text
    client.post("/sessions", data={**form, "action": "delete-all"})
    assert "No sessions yet" in client.get("/sessions").text


def test_sessions_are_found_exported_and_deleted_together(
    app: Flask, smile: bytes, csrf_of: CsrfOf
) -> None:
    client = app.test_client()
    ids = [record(client, smile, 1) for _ in range(22)]
    for number, one in enumerate(ids):
        client.patch(f"/api/v1/sessions/{one}", json={"name": f"Visit {number:02} 100%/"})
    pages = [client.get(f"/sessions?page={page}").text for page in (1, 2)]
    assert [page.count('name="id"') for page in pages] == [20, 2]
    assert "Older" in pages[0]
    assert "Older" not in pages[1]
    assert client.get("/sessions?page=-3").text.count('name="id"') == 20
    assert client.get("/sessions?q=visit+07").text.count('name="id"') == 1
    assert client.get("/sessions?q=%25").text.count('name="id"') == 20
    assert "No session has this name" in client.get("/sessions?q=_").text
    form = {"csrf_token": csrf_of(client, "/sessions"), "id": ids[:2]}
    exported = client.post("/sessions", data={**form, "action": "export"}, follow_redirects=True)
    with zipfile.ZipFile(io.BytesIO(exported.data)) as archive:
        assert archive.namelist() == ["01-Visit-00-100.csv", "02-Visit-01-100.csv"]
        assert archive.read("01-Visit-00-100.csv").count(b"happiness") >= 1
    stranger = app.test_client()
    theirs = {"csrf_token": csrf_of(stranger, "/photo"), "id": ids[:2], "action": "delete-selected"}
    assert stranger.post("/sessions", data=theirs).status_code == 404
    client.post("/sessions", data={**form, "action": "delete-selected"})
    left = client.get("/api/v1/sessions").json
    assert left is not None
    assert {one["id"] for one in left["sessions"]} == set(ids[2:])
    assert client.post("/sessions", data={**form, "action": "x"}).status_code == 400


def test_written_frames_survive_a_lost_recorder(app: Flask) -> None:
    database: Database = app.extensions["mien"].database
    recording = SessionStore(database).start("", name="", days=1)
    with database.begin() as connection:
        connection.execute(
            sa.insert(tables.session_chunks).values(
                session_id=recording.session_id, sequence=1, data=zlib.compress(b'{"faces": []}\n')
            )
        )
        connection.execute(
            sa.update(tables.sessions).values(updated_at=now() - timedelta(minutes=2))
        )
    SessionStore(database).sweep()
    found = SessionStore(database).find(recording.session_id, "")
    assert found is not None
    assert found["state"] == "interrupted"
    assert list(SessionStore(database).read_frames(recording.session_id)) == [{"faces": []}]


def test_sessions_expire(app: Flask) -> None:
    database: Database = app.extensions["mien"].database
    old = SessionStore(database).start("", name="old", days=1)
    new = SessionStore(database).start("", name="new", days=2)
    with database.begin() as connection:
        connection.execute(
            sa.update(tables.sessions)
            .where(tables.sessions.c.id == old.session_id)
            .values(expires_at=now() - timedelta(seconds=1))
        )
    SessionStore(database).sweep()
    assert SessionStore(database).find(old.session_id, "") is None
    assert SessionStore(database).find(new.session_id, "") is not None


def test_results_wait_for_an_unavailable_database(
    app: Flask, smile: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = app.extensions["mien"].database
    pipeline = app.extensions["mien"].inference.pipeline
    result = pipeline.analyze(read_image(smile))
    recording = SessionStore(database).start("", name="", days=1)

    def fail() -> None:
        raise OperationalError("", None, Exception("connection refused"))

    with monkeypatch.context() as patch:
        patch.setattr(database, "_ready", fail)
        recording.add(result)
        assert recording.finish() is False
        answer = app.test_client().get("/readyz")
        assert answer.status_code == 503
    recording.add(result)
    assert recording.finish() is True
    assert len(list(SessionStore(database).read_frames(recording.session_id))) == 2


def test_unavailable_database_returns_503(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    client = app.test_client()
    client.get("/photo")

    def fail() -> None:
        raise OperationalError("", None, Exception("connection refused"))

    monkeypatch.setattr(app.extensions["mien"].database, "_ready", fail)
    answer = client.get("/api/v1/sessions")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["error"]["code"] == "storage_unavailable"
    assert client.post("/api/v1/live").status_code == 201
