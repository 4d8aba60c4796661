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


def test_serves_the_index_of_a_folder(make_app: MakeApp, site: Path) -> None:
    (site / "guide").mkdir()
    (site / "guide/index.html").write_bytes(b"<h1>guide</h1><script>" + SCRIPT + b"</script>")
    client = make_app(docs_dir=str(site)).test_client()
    page = client.get("/documentation/guide/")
    assert b"<h1>guide</h1>" in page.data
    assert page.mimetype == "text/html"
    assert "'sha256-" in page.headers["Content-Security-Policy"]
    # Links of the index are relative to the folder.
    moved = client.get("/documentation/guide")
    assert (moved.status_code, moved.location) == (302, "/documentation/guide/")
    assert client.get("/documentation/assets/").status_code == 404
    assert client.get("/documentation/assets").status_code == 404


@pytest.mark.parametrize("kind", [".html", ".css", "", "/"])
@pytest.mark.parametrize(
    "name", ["nothing", "a" * 3000, "a/" * 1500 + "a", "a%00b", "index.html/a"]
)
def test_a_file_that_is_not_there_is_not_found(
    make_app: MakeApp, site: Path, name: str, kind: str
) -> None:
    client = make_app(docs_dir=str(site)).test_client()
    assert client.get(f"/documentation/{name}{kind}").status_code == 404


@pytest.mark.parametrize("kind", ["html", "txt"])
@pytest.mark.parametrize("up", ["..", "%2e%2e", "assets/../..", "assets/%2e%2e/%2e%2e"])
@pytest.mark.parametrize("separator", ["/", "%2f", "%5c"])
def test_files_beside_the_site_are_not_served(
    make_app: MakeApp, site: Path, up: str, separator: str, kind: str
) -> None:
    (site.parent / f"secret.{kind}").write_text("secret")
    client = make_app(docs_dir=str(site)).test_client()
    for name in (f"{up}{separator}secret.{kind}", f"{separator}{site.parent}/secret.{kind}"):
        answer = client.get(f"/documentation/{name}", follow_redirects=True)
        assert answer.status_code == 404
        assert b"secret" not in answer.data


@pytest.mark.parametrize("kind", ["html", "txt"])
def test_links_out_of_the_site_are_not_followed(make_app: MakeApp, site: Path, kind: str) -> None:
    outside = site.parent / "outside"
    outside.mkdir()
    for name in (f"secret.{kind}", "index.html"):
        (outside / name).write_text("secret")
    (site / f"link.{kind}").symlink_to(outside / f"secret.{kind}")
    (site / "linked").symlink_to(outside)
    (site / f"loop.{kind}").symlink_to(f"loop.{kind}")
    (site / f"inside.{kind}").symlink_to("assets/site.css")
    (site / "start.html").symlink_to("index.html")
    client = make_app(docs_dir=str(site)).test_client()
    for name in (f"link.{kind}", f"linked/secret.{kind}", "linked/", "linked", f"loop.{kind}"):
        assert client.get(f"/documentation/{name}").status_code == 404
    with client.get(f"/documentation/inside.{kind}") as answer:
        assert answer.data == b"h1 { color: teal }"
    assert b"<h1>mien</h1>" in client.get("/documentation/start.html").data


def test_a_link_to_the_site_is_followed(make_app: MakeApp, site: Path) -> None:
    (site.parent / "current").symlink_to(site)
    client = make_app(docs_dir=str(site.parent / "current")).test_client()
    assert b"<h1>mien</h1>" in client.get("/documentation/").data


@pytest.mark.parametrize("kind", ["html", "txt"])
def test_hidden_files_are_not_served(make_app: MakeApp, site: Path, kind: str) -> None:
    (site / ".git").mkdir()
    for name in (f".git/config.{kind}", f".secret.{kind}", ".git/index.html"):
        (site / name).write_text("secret")
    (site / f"link.{kind}").symlink_to(f".git/config.{kind}")
    (site / "shown").symlink_to(".git")
    client = make_app(docs_dir=str(site)).test_client()
    for name in (f".git/config.{kind}", f".secret.{kind}", ".git/", f"%2egit/config.{kind}"):
        assert client.get(f"/documentation/{name}").status_code == 404
    for name in (f"link.{kind}", f"shown/config.{kind}", "shown/"):
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
