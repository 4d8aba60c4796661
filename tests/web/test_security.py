"""Access, request limits and response headers."""

import io
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mien.errors import SettingError
from mien.web.app import start, stop
from mien.web.config import WebConfig

CsrfOf = Callable[[FlaskClient, str], str]
MakeApp = Callable[..., Flask]


TOKEN = "correct horse battery staple"


@pytest.fixture
def app(shared_app: MakeApp) -> Flask:
    return shared_app()


@pytest.mark.parametrize("origin", ["http://[", "null", "", "x", "http://localhost@evil", "//a"])
def test_origins_that_are_no_addresses_are_foreign(client: FlaskClient, origin: str) -> None:
    headers = {"Origin": origin}
    assert client.get("/healthz", headers=headers).status_code == 200
    assert client.post("/api/v1/live", headers=headers).status_code == 403


def test_zero_bytes_are_in_no_text(client: FlaskClient) -> None:
    for path in (
        "/jobs/%00",
        "/sessions/%00",
        "/recordings/%00/replay.json",
        "/corrections/%00.jpg",
    ):
        assert client.get(path).status_code == 404
    for path in ("/sessions?q=%00", "/compare?side=%00", "/sessions/export?id=%00", "/?%00=1"):
        assert client.get(path).status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8000", "localhost.evil.example"])
def test_serves_only_local_hosts_by_default(client: FlaskClient, host: str) -> None:
    assert client.get("/photo").status_code == 200
    assert client.get("/photo", headers={"Host": host}).status_code == 403


def test_rejects_other_machines_by_default(client: FlaskClient) -> None:
    answer = client.get("/photo", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.status_code == 403
    assert "MIEN_ACCESS_TOKEN" in answer.text


def test_public_serves_everyone(shared_app: MakeApp) -> None:
    client = shared_app(public=True).test_client()
    answer = client.get("/photo", headers={"Host": "faces.example"},
                        environ_overrides={"REMOTE_ADDR": "192.0.2.7"})  # fmt: skip
    assert answer.status_code == 200


def test_programs_send_the_token_as_bearer(shared_app: MakeApp) -> None:
    client = shared_app(access_token=TOKEN).test_client()
    assert client.get("/api/v1/models").status_code == 401
    wrong = client.get("/api/v1/models", headers={"Authorization": "Bearer nonsense"})
    assert wrong.status_code == 401
    assert wrong.headers["WWW-Authenticate"].startswith("Bearer")
    right = client.get("/api/v1/models", headers={"Authorization": f"Bearer {TOKEN}"})
    assert right.status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics").status_code == 401


def test_login_form_stores_the_token(shared_app: MakeApp, csrf_of: CsrfOf) -> None:
    client = shared_app(access_token=TOKEN).test_client()
    answer = client.get("/video", headers={"Accept": "text/html"})
    assert answer.status_code == 302
    assert answer.location == "/login?next=/video"
    form = {"csrf_token": csrf_of(client, "/login"), "next": "/video"}
    assert client.post("/login", data={**form, "token": "guess"}).status_code == 401
    answer = client.post("/login", data={**form, "token": TOKEN})
    assert (answer.status_code, answer.location) == (302, "/video")
    assert client.get("/video").status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\/evil.example",
        "/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "\t//evil.example",
        " //evil.example", "/ /evil.example", "javascript:alert(1)", "evil.example", "",
        "/\x00/evil.example", "/\x7f", "/\u2028/evil.example", "///evil.example", "/a\\..\\b",
        "http:evil.example", "http:/evil.example", "HTTPS:\\\\evil.example", "http:///evil.example",
        "\\\\evil.example", "/\x0b/evil.example", "/\x0c/evil.example", "\x00//evil.example",
        "\u3000//evil.example", "\uff0f\uff0fevil.example", "/\uff0fevil.example", "/\u2215/evil",
        "/\u2044evil.example", "//evil%E3%80%82example", "data:text/html,x", "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)", "//user@evil.example", "//localhost@evil.example/", "?next=//x",
        "#//evil.example", "..//evil.example", "./evil", "//[::1]/", "//2130706433/", "\ufeff//x",
    ],
)  # fmt: skip
def test_login_redirects_only_to_this_site(
    shared_app: MakeApp, target: str, csrf_of: CsrfOf
) -> None:
    client = shared_app(access_token=TOKEN).test_client()
    form = {"csrf_token": csrf_of(client, "/login"), "next": target, "token": TOKEN}
    assert client.post("/login", data=form).location == "/"


@pytest.mark.parametrize("target", ["/video", "/compare?side=a&side=b", "/a//b", "/%09/x"])
def test_login_returns_to_the_requested_page(
    shared_app: MakeApp, target: str, csrf_of: CsrfOf
) -> None:
    client = shared_app(access_token=TOKEN).test_client()
    form = {"csrf_token": csrf_of(client, "/login"), "next": target, "token": TOKEN}
    assert client.post("/login", data=form).location == target


def _host_of_browser(location: str, base: str) -> str | None:
    """The host that a browser goes to: it drops tabs and newlines, and takes \\ for /."""
    cleaned = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33))))).replace(
        "\\", "/"
    )
    cleaned = re.sub(r"^/{2,}", "//", re.sub(r"^(https?):/*", r"\1://", cleaned, flags=re.I))
    return urlsplit(urljoin(base, cleaned)).hostname


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example", "///evil.example/photo", "/\\evil.example", "/%5c%5cevil.example",
        "/%2f%2fevil.example", "/%09/evil.example", "//evil.example/%2e%2e", "/photo//", "//photo",
        "//evil.example@localhost/photo", "/sessions//export", "/sessions/export/", "/..//evil",
        "/compare?side=//evil.example", "/login?next=//evil.example&next=/video",
        "/login?next=%2F%2Fevil.example", "/login?next=/%5Cevil.example", "/login?next=/%0d%0aX:y",
        "/login?NEXT=//evil.example", "/login?next[]=//evil.example", "/login?next=/.//evil",
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", ["", TOKEN])
def test_no_address_redirects_to_another_site(shared_app: MakeApp, path: str, token: str) -> None:
    client = shared_app(access_token=token).test_client()
    base = "http://localhost/"
    for method in ("GET", "POST", "HEAD"):
        environ = {"PATH_INFO": unquote(path.partition("?")[0]), "RAW_URI": path}
        answer = client.open(
            base, method=method, query_string=path.partition("?")[2],
            environ_overrides=environ, headers={"Accept": "text/html"},
        )  # fmt: skip
        assert answer.status_code < 500
        location = answer.headers.get("Location")
        if location is not None:
            assert _host_of_browser(location, base) == "localhost"
            assert not re.search(r"[\r\n]", location)


def test_login_without_a_token_redirects_only_to_this_site(client: FlaskClient) -> None:
    for path in ("/login?next=/%09/evil.example", "/login?next=/%0a/evil.example"):
        answer = client.get(path)
        assert (answer.status_code, answer.location) == (302, "/")


def test_rejects_forms_of_other_sites(client: FlaskClient, csrf_of: CsrfOf) -> None:
    token = csrf_of(client, "/photo")
    good = {"csrf_token": token, "sample": "person-a-neutral.jpg"}
    assert client.post("/photo", data=good).status_code == 200
    assert client.post("/photo", data={**good, "csrf_token": "0" * 64}).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert client.post("/photo", data=good, headers=foreign).status_code == 403
    assert client.delete("/api/v1/sessions", headers=foreign).status_code == 403
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert client.delete("/api/v1/sessions", headers=cross).status_code == 403
    assert client.delete("/api/v1/sessions").status_code == 200


def test_every_response_has_security_headers(client: FlaskClient) -> None:
    for path in ("/", "/api/v1/health", "/nowhere", "/static/base.css"):
        with client.get(path) as answer:
            headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        # WebAssembly is compiled code; scripts from text stay forbidden.
        assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_cookies_are_protected(shared_app: MakeApp) -> None:
    app = shared_app(public=True, proxies=1)
    plain = app.test_client().get("/photo").headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    behind_tls = app.test_client().get("/photo", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in behind_tls.headers["Set-Cookie"]
    assert "max-age" in behind_tls.headers["Strict-Transport-Security"]


def test_secret_is_created_once_and_private(make_app: MakeApp, tmp_path: Path) -> None:
    keys = {make_app().config["SECRET_KEY"] for _ in range(2)}
    assert len(keys) == 1
    path = tmp_path / "data" / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_app(secret_key="from outside").config["SECRET_KEY"] == "from outside"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_public_address_needs_a_token_or_public(host: str) -> None:
    with pytest.raises(SettingError, match="MIEN_ACCESS_TOKEN"):
        WebConfig().check_bind(host)
    WebConfig(public=True).check_bind(host)
    WebConfig(access_token=TOKEN).check_bind(host)
    WebConfig().check_bind("127.0.0.1")


def test_reads_settings_from_the_environment() -> None:
    config = WebConfig.from_environment(
        {"PORT": "5000", "MIEN_PUBLIC": "1", "DYNO": "web.1", "MIEN_ACCESS_TOKEN": TOKEN}, port=None
    )
    assert (config.port, config.public, config.host, config.proxies) == (5000, True, "0.0.0.0", 1)
    for bad in ({"PORT": "http"}, {"MIEN_PUBLIC": "maybe"}, {"MIEN_ACCESS_TOKEN": "short"},
                {"MIEN_MAX_LIVE": "60"}, {"PORT": "70000"}, {"MIEN_JOBS": "redis"}):  # fmt: skip
        with pytest.raises(SettingError):
            WebConfig.from_environment(bad)


def test_login_attempts_are_limited(make_app: MakeApp, csrf_of: CsrfOf) -> None:
    client = make_app(access_token=TOKEN, rate_limits=True).test_client()
    form = {"csrf_token": csrf_of(client, "/login"), "token": "guess", "next": "/"}
    statuses = [client.post("/login", data=form).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    last = client.post("/login", data=form, headers={"Accept": "application/json"})
    assert last.json is not None
    assert last.json["error"]["code"] == "too_many_requests"
    assert last.headers["Retry-After"]


def test_wrong_bearer_tokens_are_limited(make_app: MakeApp) -> None:
    client = make_app(access_token=TOKEN, rate_limits=True).test_client()

    def status(token: str, address: str = "192.0.2.1", scheme: str = "Bearer") -> int:
        return client.get(
            "/api/v1/health",
            headers={"Authorization": f"{scheme} {token}"},
            environ_overrides={"REMOTE_ADDR": address},
        ).status_code

    assert [status(TOKEN) for _ in range(15)] == [200] * 15
    assert status(TOKEN, scheme="bearer") == 200
    # That of a proxy is no guess.
    assert [status("dXNlcjpwYXNz", scheme="Basic") for _ in range(12)] == [401] * 12
    assert [status(f"guess {n}") for n in range(12)] == [401] * 10 + [429] * 2
    # All addresses of an IPv6 network are one caller's.
    ways = [status("guess", f"2001:db8:1:2:{n}::{n}") for n in range(1, 13)]
    assert ways == [401] * 10 + [429] * 2
    assert status(TOKEN, "2001:db8:1:3::1") == 200
    assert status(TOKEN, "::ffff:192.0.2.1") == 429
    # A correct guess must look like a wrong one now; other addresses are not affected.
    assert status(TOKEN) == 429
    assert status(TOKEN, "192.0.2.2") == 200
    refused = client.get("/api/v1/health", headers={"Authorization": "Bearer guess"},
                         environ_overrides={"REMOTE_ADDR": "192.0.2.1"})  # fmt: skip
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_retry_after_is_the_rest_of_the_window(make_app: MakeApp) -> None:
    client = make_app(rate_limits=True).test_client()

    def submit() -> Any:
        return client.post("/api/v1/videos", data={"video": (io.BytesIO(b""), "empty.mp4")})

    assert [submit().status_code for _ in range(21)] == [400] * 20 + [429]
    refused = submit()
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("faces.example", 200), ("FACES.example:8443", 200), ("faces.example.", 200),
        ("a.b.lab.example", 200), ("lab.example", 200), ("[2001:db8::1]:80", 200),
        ("evil.example", 400), ("faces.example.evil.example", 400), ("evilfaces.example", 400),
        ("notlab.example", 400), ("localhost", 400), ("192.0.2.1", 400),
    ],
)  # fmt: skip
def test_answers_only_to_allowed_hosts(shared_app: MakeApp, host: str, status: int) -> None:
    names = "faces.example, .lab.example,[2001:db8::1]"
    client = shared_app(public=True, allowed_hosts=names).test_client()
    answer = client.get("/photo", headers={"Host": host})
    assert answer.status_code == status
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("names", ["https://a.example", "a.example:80", "*", "a b"])
def test_rejects_hosts_that_are_no_names(names: str) -> None:
    with pytest.raises(SettingError, match="MIEN_ALLOWED_HOSTS"):
        WebConfig(allowed_hosts=names)


def test_public_server_without_allowed_hosts_warns(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    for names, warnings in (("", 1), ("faces.example", 0)):
        caplog.clear()
        app = make_app(public=True, allowed_hosts=names, jobs="worker")
        start(app)
        stop(app)
        assert len([r for r in caplog.records if "MIEN_ALLOWED_HOSTS" in r.message]) == warnings


def test_metrics_of_a_public_server_need_a_token(shared_app: MakeApp) -> None:
    def status(token: str, **settings: str) -> int:
        client = shared_app(public=True, **settings).test_client()
        header = {"Authorization": f"Bearer {token}"} if token else {}
        return client.get("/metrics", headers=header).status_code

    scraper = "scraper of the metrics"
    assert status("") == 403
    assert status("", metrics_token=scraper) == 401
    assert status("guess", metrics_token=scraper) == 401
    assert status(scraper, metrics_token=scraper) == 200
    assert status(TOKEN, metrics_token=scraper, access_token=TOKEN) == 200
    client = shared_app(metrics_token=scraper, access_token=TOKEN).test_client()
    bearer = {"Authorization": f"Bearer {scraper}"}
    assert client.get("/api/v1/models", headers=bearer).status_code == 401
