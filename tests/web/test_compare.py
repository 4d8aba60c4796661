"""People of sessions and videos side by side."""

import re
from pathlib import Path
from typing import Any

from flask import Flask
from tests.web.conftest import analyze_video, record


def test_session_and_video_are_compared(app: Flask, smile: bytes, walk: Path) -> None:
    client = app.test_client()
    session_id, job_id = record(client, smile), analyze_video(app, client, walk)
    page = client.get("/compare", query_string=[("side", f"{session_id}.1"), ("side", job_id)]).text
    assert page.count('class="course" data-person="1"') == 2
    assert "Difference of 1 and 2" in page
    assert re.search(r'<td><bdi dir="ltr">[+-]?\d+</bdi></td>', page)
    assert f'<option value="{job_id}.1" selected>walk.mp4, person 1</option>' in page
    # Both timelines end with the longer recording.
    ends = {part.split('"', 1)[0] for part in page.split('data-end="')[1:]}
    assert len(ends) == 1


def test_compare_lists_what_the_visitor_has(app: Flask, smile: bytes, csrf_of: Any) -> None:
    client, stranger = app.test_client(), app.test_client()
    assert "nothing to compare yet" in client.get("/compare").text
    first, second = record(client, smile, 2), record(client, smile, 2)
    page = client.get("/compare").text
    assert f'value="{first}"' in page
    assert f'value="{second}"' in page
    form = {"csrf_token": csrf_of(client, "/sessions"), "action": "compare", "id": [first, second]}
    answer = client.post("/sessions", data=form)
    assert answer.status_code == 303
    assert answer.location.endswith(f"/compare?side={first}&side={second}")
    stranger.get("/photo")
    assert stranger.get("/compare", query_string={"side": first}).status_code == 404
    # People who are not there are replaced by the one who is seen longest.
    for person in ("99", "x", "²", "1" * 30, "1" * 4000):
        assert client.get("/compare", query_string={"side": f"{first}.{person}"}).status_code == 200
