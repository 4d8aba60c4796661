"""Pages as a person without scripts meets them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mien import drawing
from mien.labels import Expression
from mien.web import assets, charts, reports

CsrfOf = Callable[[FlaskClient, str], str]


def test_a_photograph_from_form_to_faces(client: FlaskClient, samples: dict[str, Path]) -> None:
    with samples["group"].open("rb") as photo:
        page = client.post("/photo", data={"image": (photo, "group.jpg")}).text
    assert "4 faces" in page
    assert page.count('class="card face"') == 4
    assert re.findall(r'data-expression="(\w+)"', page) == [
        "happiness", "neutral", "happiness", "neutral",
    ]  # fmt: skip
    assert page.count('src="data:image/jpeg;base64,') == 5
    assert "&#34;schema_version&#34;: 1" in page


def test_a_sample_and_a_bad_file(client: FlaskClient, csrf_of: CsrfOf) -> None:
    form = {"csrf_token": csrf_of(client, "/photo"), "sample": "person-b-smiling.jpg"}
    assert "1 face" in client.post("/photo", data=form).text
    assert client.get("/samples/person-b-smiling.jpg").mimetype == "image/jpeg"
    assert client.get("/samples/..%2f..%2fpyproject.toml").status_code == 404
    token = csrf_of(client, "/photo")
    bad = client.post("/photo", data={"csrf_token": token, "sample": "../secret.jpg"})
    assert bad.status_code == 404
    assert 'role="alert"' in bad.text


def test_the_live_page_says_what_it_needs(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "manifest", dict)
    monkeypatch.setitem(app.jinja_env.globals, "client_is_built", lambda: False)
    page = app.test_client().get("/").text
    assert "npm ci" in page
    assert "data-start-clip" not in page


def test_expressions_have_the_colors_of_the_annotated_pictures(client: FlaskClient) -> None:
    sheet = client.get("/colors.css").text
    for expression in Expression:
        red, green, blue = drawing.EXPRESSION_COLORS[expression]
        assert f"--x-{expression.value}: rgb({red}, {green}, {blue});" in sheet


def test_a_chart_breaks_its_line_where_nothing_was_seen() -> None:
    def frame(time_s: float, happiness: float) -> dict[str, object]:
        label = "happiness" if happiness > 0.5 else "neutral"
        shares = {"happiness": happiness, "neutral": 1 - happiness}
        face = {"track_id": 1, "expression": {"label": label, "probabilities": shares}}
        return {"timestamp_s": time_s, "faces": [face]}

    frames = [frame(t / 2, 0.9) for t in range(9)] + [frame(10 + t / 2, 0.1) for t in range(3)]
    (person,) = charts.people(frames)
    assert person.shares == [("happiness", 0.75), ("neutral", 0.25)]
    lines = dict(person.lines)
    assert lines["happiness"].count("M") == 2
    assert [label for _, _, label in person.strip] == ["happiness", "neutral"]
    assert person.ticks[0] == (0.0, "0:00")
    assert person.strip[-1][0] + person.strip[-1][1] == 100
    assert charts.people([]) == []


def test_a_reports_scripts_are_known_by_their_hash(app: Flask) -> None:
    # The hash of `alert(1)` by: printf 'alert(1)' | openssl dgst -sha256 -binary | base64
    document = (
        b"<script>alert(1)</script><script type='application/json'>{}</script>"
        b"<script src='x.js'></script>"
    )
    policy = reports.sandboxed(document).headers["Content-Security-Policy"]
    wanted = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    assert f"script-src {wanted};" in policy
    assert "allow-same-origin" not in policy
    assert "script-src 'none'" in reports.sandboxed(b"<p>").headers["Content-Security-Policy"]
