"""Pages without scripts."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mien import drawing
from mien.labels import Expression
from mien.web import headers, pages


def test_live_page_explains_how_to_build_the_client(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_manifest", dict)
    page = app.test_client().get("/").text
    assert "npm ci" in page
    assert "data-start-clip" not in page


def test_expressions_have_the_colors_of_annotated_pictures(client: FlaskClient) -> None:
    sheet = client.get("/colors.css").text
    for expression in Expression:
        red, green, blue = drawing.EXPRESSION_COLORS[expression]
        assert f"--x-{expression.value}: rgb({red}, {green}, {blue});" in sheet


def test_report_allows_its_own_scripts_by_hash(app: Flask) -> None:
    # The hash of `alert(1)` by: printf 'alert(1)' | openssl dgst -sha256 -binary | base64
    document = (
        b"<script>alert(1)</script><script type='application/json'>{}</script>"
        b"<script src='x.js'></script>"
    )
    policy = headers.sandboxed_report(document).headers["Content-Security-Policy"]
    wanted = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    assert f"script-src {wanted};" in policy
    assert "allow-same-origin" not in policy
    assert (
        "script-src 'none'" in headers.sandboxed_report(b"<p>").headers["Content-Security-Policy"]
    )
