"""The site of the documentation beside the pages."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from mien.errors import SettingError
from mien.web.config import WebConfig

MakeApp = Callable[..., Flask]
SCRIPT = b'document.title = "mien"'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A small site, with a script in its page."""
    folder = tmp_path / "site"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<h1>mien</h1><script>" + SCRIPT + b"</script>")
    (folder / "assets/site.css").write_text("h1 { color: teal }")
    return folder


def test_is_linked_and_served_where_it_is_given(
    make_app: MakeApp, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.parent)
    client = make_app(docs_dir="site").test_client()
    assert b'href="/documentation/"' in client.get("/about").data
    page = client.get("/documentation/")
    assert b"<h1>mien</h1>" in page.data
    # Its scripts run, and no others.
    digest = base64.b64encode(hashlib.sha256(SCRIPT).digest()).decode()
    policy = page.headers["Content-Security-Policy"]
    assert f"script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}';" in policy
    assert policy.count("unsafe-inline") == 1  # that of styles
    with client.get("/documentation/assets/site.css") as style:
        assert style.data == b"h1 { color: teal }"
        assert "sha256" not in style.headers["Content-Security-Policy"]
    for name in ("nothing.html", "..%2Fsecret", "../mien.sqlite"):
        assert client.get(f"/documentation/{name}").status_code == 404


def test_is_behind_the_access_token(make_app: MakeApp, site: Path) -> None:
    client = make_app(docs_dir=str(site), access_token="a long token").test_client()
    for path in ("", "index.html", "assets/site.css"):
        assert client.get(f"/documentation/{path}").status_code == 401


def test_is_neither_linked_nor_served_where_it_is_not_given(make_app: MakeApp) -> None:
    client = make_app().test_client()
    assert b"/documentation/" not in client.get("/about").data
    assert client.get("/documentation/").status_code == 404


def test_a_folder_without_a_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"MIEN_DOCS_DIR .* index\.html.*make docs"):
        WebConfig(docs_dir=str(tmp_path))
