"""Who may ask, from where, and what the browser may do with the answers."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue

from mien.web.config import WebConfig, is_loopback
from mien.web.errors import ProblemError, wants_html

_OPEN_ENDPOINTS = {"observe.healthz", "observe.readyz", "pages.login", "static", "pages.colors"}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]"}

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who asks.

    Attributes:
        id: an unguessable name, kept in a signed cookie.
        known: whether the request carried the cookie; a program usually carries none.
    """

    id: str
    known: bool


def owner() -> str:
    """To whom what is made now belongs: the visitor, or nobody where no cookie came.

    What belongs to nobody can be used by those who know its id, and is listed for no one.
    """
    visitor: Visitor = g.visitor
    return visitor.id if visitor.known else ""


def init_app(app: Flask, config: WebConfig) -> None:
    """Guard every request, and set the headers of every response."""
    app.config.update(
        SECRET_KEY=config.secret_key or _kept_secret(config.ready_data_dir()),
        SESSION_COOKIE_NAME="mien",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=365 * 24 * 3600,
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.session_interface = _Cookies()
    app.before_request(_check_address)
    app.before_request(_know_visitor)
    app.before_request(_check_token)
    app.before_request(_check_origin)
    app.after_request(_set_headers)
    app.jinja_env.globals["csrf_token"] = csrf_token


class _Cookies(SecureCookieSessionInterface):
    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def _kept_secret(folder: Path) -> str:
    path = folder / "secret_key"
    if not path.is_file():
        fresh = path.with_name(f"secret_key.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48), encoding="ascii")
        # Two processes may start at once: the first link wins, and both read the same key.
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="ascii")


def _config() -> WebConfig:
    config: WebConfig = current_app.extensions["mien.config"]
    return config


def _check_address() -> None:
    """Without a token or an explicit wish, serve this machine alone, whatever server runs us."""
    if _config().is_open:
        return
    host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if host not in _LOCAL_HOSTS or not is_loopback(request.remote_addr or "127.0.0.1"):
        raise ProblemError(
            403,
            "not_public",
            "This server answers its own machine only. To let others in, set MIEN_ACCESS_TOKEN, "
            "or MIEN_PUBLIC=1 to serve everybody.",
        )


def _know_visitor() -> None:
    if request.endpoint in _OPEN_ENDPOINTS - {"pages.login"}:
        g.visitor = Visitor("", known=False)
        return
    known = isinstance(session.get("visitor"), str)
    if not known:
        session["visitor"] = secrets.token_urlsafe(16)
        session.permanent = True
    g.visitor = Visitor(session["visitor"], known)


def _check_token() -> ResponseReturnValue | None:
    token = _config().access_token
    if not token or request.endpoint in _OPEN_ENDPOINTS:
        return None
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if given and hmac.compare_digest(given.encode(), token.encode()):
        return None
    if hmac.compare_digest(session.get("token", ""), token_mark(token)):
        return None
    if request.method == "GET" and wants_html():
        return redirect(url_for("pages.login", next=request.full_path.rstrip("?")))
    raise ProblemError(
        401, "token_needed", "Expected the access token as 'Authorization: Bearer …', got none "
        "or another one."
    )  # fmt: skip


def token_mark(token: str) -> str:
    """What a signed cookie holds of an access token; it ends when the token is changed."""
    return hashlib.sha256(b"mien access" + token.encode()).hexdigest()


def _check_origin() -> None:
    """A page of another site may not act in a visitor's name."""
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    if request.method in _SAFE_METHODS and not upgrade:
        return
    origin = request.headers.get("Origin")
    if origin is not None:
        if urlsplit(origin).netloc != request.host:
            raise ProblemError(
                403, "foreign_origin", f"Expected a request from this site, got one from {origin}."
            )
    elif request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise ProblemError(403, "foreign_origin", "Expected a request from this site.")
    if not upgrade and g.visitor.known and not request.path.startswith("/api/"):
        check_csrf(request.form.get("csrf_token", ""))


def csrf_token() -> str:
    """The token that a form must carry: tied to the visitor's cookie."""
    key = str(current_app.config["SECRET_KEY"]).encode()
    return hmac.new(key, b"csrf " + session["visitor"].encode(), "sha256").hexdigest()


def check_csrf(given: str) -> None:
    """Refuse a form that this site did not make for this visitor."""
    if not hmac.compare_digest(given.encode(), csrf_token().encode()):
        raise ProblemError(
            403, "form_expired", "This form is too old or not ours. Reload the page and try again."
        )


def _set_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Embedder-Policy", "require-corp")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault(
        "Permissions-Policy", "camera=(self), microphone=(), geolocation=(), display-capture=()"
    )
    headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response
