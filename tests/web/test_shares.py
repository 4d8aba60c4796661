"""Links with which others see a recording."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from tests.web.conftest import analyze_video, record

from mien.web import shares
from mien.web.store import database as tables
from mien.web.store.database import Database, now

CsrfOf = Callable[[FlaskClient, str], str]
MakeApp = Callable[..., Flask]


def share(client: FlaskClient, recording_id: str, page: str, csrf_of: CsrfOf) -> str:
    """Makes a link on the recording's page; returns its path."""
    form = {"csrf_token": csrf_of(client, page), "action": "share"}
    assert client.post(f"/recordings/{recording_id}/shares", data=form).status_code == 303
    found = re.search(r'value="http://localhost(/shared/[\w-]+)"', client.get(page).text)
    assert found
    return found[1]


def test_a_link_shows_a_session_without_forms(app: Flask, smile: bytes, csrf_of: CsrfOf) -> None:
    client, other = app.test_client(), app.test_client()
    session_id = record(client, smile)
    marker = {"at_s": 0.1, "text": "<i>here</i>"}
    client.post(f"/api/v1/recordings/{session_id}/markers", json=marker)
    url = share(client, session_id, f"/sessions/{session_id}", csrf_of)
    answer = other.get(url)
    assert answer.status_code == 200
    assert answer.headers["X-Robots-Tag"].startswith("noindex")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert 'class="course" data-person="1"' in answer.text
    assert "&lt;i&gt;here&lt;/i&gt;" in answer.text
    assert "<form" not in answer.text
    assert session_id not in answer.text
    replay = other.get(f"{url}/replay.json")
    assert replay.headers["X-Robots-Tag"].startswith("noindex")
    assert replay.json == client.get(f"/recordings/{session_id}/replay.json").json
    frames: Any = replay.json["frames"] if replay.json else []
    assert set(frames[0]) == {"timestamp_s", "image_size_wh", "faces"}
    assert set(frames[0]["faces"][0]) == {"box", "track_id", "expression"}
    assert frames[0]["faces"][0]["expression"]["label"] == "happiness"
    assert other.get(f"/recordings/{session_id}/replay.json").status_code == 404
    # The link opens nothing else.
    assert other.get(f"/sessions/{session_id}").status_code == 404
    assert other.get(f"/api/v1/sessions/{session_id}/frames").status_code == 404
    for wrong in (url[:-1], url + "x", url[:-1] + ("A" if url[-1] != "A" else "B"), "/shared/é"):
        assert other.get(wrong).status_code == 404
        assert other.get(f"{wrong}/replay.json").status_code == 404


def test_a_link_of_a_video_has_no_pictures(app: Flask, walk: Path, csrf_of: CsrfOf) -> None:
    client, other = app.test_client(), app.test_client()
    job_id = analyze_video(app, client, walk)
    assert 'src="data:image/jpeg' in client.get(f"/jobs/{job_id}").text
    url = share(client, job_id, f"/jobs/{job_id}", csrf_of)
    page = other.get(url).text
    assert "walk.mp4" in page
    assert 'class="course" data-person="1"' in page
    assert "data:image" not in page
    assert "<video" not in page
    assert other.get(f"{url}/replay.json").get_json()["frames"][0]["faces"]
    client.delete(f"/api/v1/jobs/{job_id}")
    assert other.get(url).status_code == 404


def test_links_expire_and_are_revoked(app: Flask, smile: bytes, csrf_of: CsrfOf) -> None:
    client, other = app.test_client(), app.test_client()
    session_id = record(client, smile, 1)
    page = f"/sessions/{session_id}"
    url = share(client, session_id, page, csrf_of)
    database: Database = app.extensions["mien"].database
    (row,) = database.rows(sa.select(tables.shares))
    week = timedelta(days=7)
    assert week - timedelta(minutes=1) < row["expires_at"] - now() <= week
    database.execute(sa.update(tables.shares).values(expires_at=now() - timedelta(seconds=1)))
    assert other.get(url).status_code == 404
    assert "/shared/" not in client.get(page).text
    app.extensions["mien"].jobs.sweep()
    assert database.rows(sa.select(tables.shares)) == []

    url = share(client, session_id, page, csrf_of)
    form = {"csrf_token": csrf_of(client, page), "action": "revoke"}
    (row,) = database.rows(sa.select(tables.shares))
    stranger_form = {**form, "csrf_token": csrf_of(other, "/photo"), "id": row["id"]}
    assert other.post(f"/recordings/{session_id}/shares", data=stranger_form).status_code == 404
    assert other.get(url).status_code == 200
    client.post(f"/recordings/{session_id}/shares", data={**form, "id": row["id"]})
    assert other.get(url).status_code == 404


def test_links_are_only_made_where_they_are_allowed(
    make_app: MakeApp, smile: bytes, csrf_of: CsrfOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_app().test_client()
    session_id = record(client, smile, 1)
    page, url = f"/sessions/{session_id}", f"/recordings/{session_id}/shares"
    shared = share(client, session_id, page, csrf_of)
    form = {"csrf_token": csrf_of(client, page), "action": "share"}
    assert client.post(url, data={**form, "action": "give"}).status_code == 400
    monkeypatch.setattr(shares, "_MOST_LINKS", 1)
    assert client.post(url, data=form).status_code == 409
    # The same data on a server that makes no links.
    cookie = client.get_cookie("mien")
    assert cookie is not None
    off = make_app(share_days=0).test_client()
    off.set_cookie("mien", cookie.value)
    assert 'id="share"' not in off.get(page).text
    assert off.post(url, data=form).status_code == 403
    assert off.get(shared).status_code == 404
    # Of a session without an owner no link can be made.
    database: Database = make_app().extensions["mien"].database
    database.execute(sa.update(tables.sessions).values(owner=""))
    assert 'id="share"' not in client.get(page).text
    assert client.post(url, data=form).status_code == 404


def test_links_are_limited_and_need_the_access_token(
    make_app: MakeApp, smile: bytes, csrf_of: CsrfOf
) -> None:
    limited = make_app(rate_limits=True).test_client()
    answers = [limited.get("/shared/" + "A" * 44).status_code for _ in range(61)]
    assert answers == [404] * 60 + [429]
    locked = make_app(access_token="a long enough token").test_client()
    assert locked.get("/shared/" + "A" * 44).status_code == 401
