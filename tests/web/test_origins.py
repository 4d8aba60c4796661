"""Pages of other sites: refused, or allowed to use the API."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from mien.errors import SettingError
from mien.web.config import WebConfig

SITE = "https://app.example.org"
TOKEN = "correct horse battery staple"
MakeApp = Callable[..., Flask]


def preflight(client: Any, origin: str, path: str = "/api/v1/analyze") -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return client.options(path, headers=asked)


def test_allowed_site_uses_the_api(make_app: MakeApp, smile: bytes) -> None:
    client = make_app(cors_origins=f"{SITE}, http://localhost:3000").test_client()
    for origin in (SITE, "http://localhost:3000"):
        asked = preflight(client, origin)
        assert asked.status_code == 204
        assert asked.headers["Access-Control-Allow-Origin"] == origin
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
        answer = client.post("/api/v1/analyze", data=smile, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        # Errors can be read, too.
        answer = client.get("/api/v1/jobs/x", headers={"Origin": origin})
        assert answer.status_code == 422
        assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_allowed_site_may_use_every_method_of_the_api(make_app: MakeApp) -> None:
    app = make_app(cors_origins=SITE)
    allowed = preflight(app.test_client(), SITE).headers["Access-Control-Allow-Methods"]
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/v1/")]
    used = set().union(*(rule.methods or () for rule in rules)) - {"HEAD", "OPTIONS"}
    assert {"GET", "PUT"} < used <= set(allowed.split(", "))


@pytest.mark.parametrize(
    "origin",
    ["null", "http://app.example.org", "https://app.example.org.evil.example", "https://evil",
     "https://app.example.org:444", "https://sub.app.example.org"],
)  # fmt: skip
def test_other_sites_are_refused(make_app: MakeApp, smile: bytes, origin: str) -> None:
    client = make_app(cors_origins=SITE).test_client()
    answer = client.post("/api/v1/analyze", data=smile, headers={"Origin": origin})
    assert answer.status_code == 403
    for one in (answer, preflight(client, origin), client.get("/api/v1/health")):
        assert "Access-Control-Allow-Origin" not in one.headers
        assert one.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_pages_are_not_open_to_allowed_sites(make_app: MakeApp) -> None:
    client = make_app(cors_origins="*").test_client()
    assert "Access-Control-Allow-Origin" not in preflight(client, SITE, "/photo").headers
    assert client.post("/photo", data={}, headers={"Origin": SITE}).status_code == 403


def test_allowed_site_acts_for_no_visitor(make_app: MakeApp, walk: Any) -> None:
    client: Any = make_app(cors_origins="*").test_client()
    client.get("/")  # has a cookie now
    for headers, jobs in (({}, 1), ({"Origin": SITE}, 0)):
        data = {"video": (walk.open("rb"), "walk.mp4")}
        submitted = client.post("/api/v1/videos", data=data)
        assert submitted.status_code == 202
        found = client.get("/api/v1/jobs", headers=headers).json
        assert len(found["jobs"]) == jobs
        url = f"/api/v1/jobs/{submitted.json['id']}"
        assert client.get(url, headers=headers).status_code == (200 if jobs else 404)


def test_cookie_of_a_token_does_not_open_the_api_to_sites(make_app: MakeApp) -> None:
    client = make_app(cors_origins=SITE, access_token=TOKEN).test_client()
    client.get("/login")
    page = client.get("/login").text
    csrf = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    client.post("/login", data={"token": TOKEN, "csrf_token": csrf})
    assert client.get("/api/v1/jobs").status_code == 200
    assert client.get("/api/v1/jobs", headers={"Origin": SITE}).status_code == 401
    bearer = {"Origin": SITE, "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/v1/jobs", headers=bearer).status_code == 200
    assert preflight(client, SITE).status_code == 204


def test_only_the_live_page_goes_into_frames_of_named_sites(make_app: MakeApp) -> None:
    client = make_app(embed_origins=f"{SITE}, http://localhost:3000").test_client()
    page = client.get("/")
    allowed = f"frame-ancestors {SITE} http://localhost:3000"
    assert page.headers["Content-Security-Policy"].endswith(allowed)
    assert page.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert f'data-embed="{SITE} http://localhost:3000"' in page.text
    for path in ("/photo", "/sessions", "/docs"):
        assert "frame-ancestors 'none'" in client.get(path).headers["Content-Security-Policy"]
    page = make_app().test_client().get("/")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "data-embed" not in page.text


@pytest.mark.parametrize("origins", ["*", "https://a.example/path", "a.example", "https://a'; x"])
def test_frames_need_whole_origins(origins: str) -> None:
    with pytest.raises(SettingError, match="expected MIEN_EMBED_ORIGINS to be origins"):
        WebConfig(embed_origins=origins)
