"""Scripts and style sheets: compressed, and kept by browsers until they change."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from flask import url_for
from flask.testing import FlaskClient

from mien.web import pages

STATIC = Path(pages.__file__).parent / "static"
SHEET = STATIC / "base.css"


def _get(client: FlaskClient, address: str, headers: dict[str, str] | None = None) -> Any:
    """An answer that is read and closed, as files must be."""
    with client.get(address, headers=headers) as answer:
        answer.get_data()
        return answer


def test_pages_name_files_that_are_kept_until_they_change(client: FlaskClient) -> None:
    with client.application.test_request_context():
        assert url_for("static", filename="dist/device/runtime/").endswith("/runtime/")
    found = re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get("/photo").text)
    assert any(address.startswith("/static/base.css?v=") for address in found)
    for address in found:
        answer = _get(client, address)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_other_addresses_are_asked_for_again(client: FlaskClient) -> None:
    for address in ("/static/base.css", "/static/base.css?v=old"):
        answer = _get(client, address)
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.data == SHEET.read_bytes()
        etag = {"If-None-Match": answer.headers["ETag"]}
        assert _get(client, address, headers=etag).status_code == 304


def test_text_is_compressed_for_browsers_that_read_it(client: FlaskClient) -> None:
    headers = {"Accept-Encoding": "gzip"}
    answer = _get(client, "/static/base.css", headers=headers)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert answer.mimetype == "text/css"
    assert gzip.decompress(answer.data) == SHEET.read_bytes()
    assert len(answer.data) < SHEET.stat().st_size / 2
    video = _get(client, "/static/sample.mp4", headers=headers)
    assert "Content-Encoding" not in video.headers
    part = _get(client, "/static/base.css", headers={**headers, "Range": "bytes=0-9"})
    assert (part.status_code, part.data) == (206, SHEET.read_bytes()[:10])


def test_built_files_are_sent_as_the_build_compressed_them(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "live-abcdefgh.js.br").write_bytes(b"compressed")
    monkeypatch.setattr(pages, "_DIST", tmp_path)
    answer = _get(client, "/static/dist/live-abcdefgh.js", headers={"Accept-Encoding": "gzip, br"})
    assert answer.data == b"compressed"
    assert answer.headers["Content-Encoding"] == "br"
    assert answer.mimetype == "text/javascript"
    assert "immutable" in answer.headers["Cache-Control"]
    (tmp_path / "ort.wasm.br").write_bytes(b"smaller")
    runtime = _get(client, "/static/dist/ort.wasm", headers={"Accept-Encoding": "gzip, br"})
    assert (runtime.data, runtime.mimetype) == (b"smaller", "application/wasm")


@pytest.mark.parametrize("name", ["../app.py", "dist/../../app.py", "nothing.js", "%2e%2e/app.py"])
def test_only_files_of_the_site_are_sent(client: FlaskClient, name: str) -> None:
    for encoding in ("identity", "gzip", "br"):
        answer = _get(client, f"/static/{name}", headers={"Accept-Encoding": encoding})
        assert answer.status_code == 404
