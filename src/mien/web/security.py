"""Access to the server, and request limits."""

import base64
import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import limits
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from werkzeug.exceptions import RequestEntityTooLarge, TooManyRequests

from mien.web import headers
from mien.web.config import MEGABYTE, is_loopback, network_of
from mien.web.error_words import CODES, WORDS
from mien.web.errors import ProblemError, http_response, problem_response, wants_html
from mien.web.services import services

blueprint = Blueprint("security", __name__)

ANALYZE_LIMIT = "300/minute"
UPLOAD_LIMIT = "20/minute;200/hour"
_LOGIN_LIMIT = "10/minute"
_FORM_OVERHEAD = 64 * 1024
_MAX_IMAGES = 100
# Some more than are allowed, so that the answer can say how many came.
_MAX_FORM_PARTS = 4 * _MAX_IMAGES
# The bodies in JSON are small and flat.
_MAX_JSON_BYTES = 64 * 1024
_MAX_JSON_DEPTH = 16
# Less than the server reads.
_MAX_ADDRESS, _MAX_HEADER = 4094, 8190
_MAX_DISCARDED_BYTES = 16 * MEGABYTE
# The results of a second with many faces.
_RESULTS_ENDPOINT = "live.add_results"


def _sender() -> str:
    """The address, or network of addresses, whose requests limits count."""
    return network_of(request.remote_addr or "127.0.0.1")


_limiter = Limiter(_sender, strategy="moving-window", storage_uri="memory://")
_View = TypeVar("_View", bound=Callable[..., Any])

_HEALTH_ENDPOINTS = {"metrics.healthz", "metrics.readyz"}
_OPEN_ENDPOINTS = {*_HEALTH_ENDPOINTS, "security.login", "static", "pages.colors"}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]"}
# A path of this site in printable ASCII; browsers take "//host", "/\host" and "/<tab>/host" for
# addresses of other sites.
_LOCAL_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")


@dataclass(frozen=True, slots=True)
class _Visitor:
    """The sender of a request."""

    id: str  # a random name, kept in a signed cookie
    known: bool  # whether the request had the cookie; programs usually send none


def owner() -> str:
    """The owner of what the request creates: the visitor, or "" where no cookie was sent.

    What has no owner can be used by anyone who knows its id, and is not listed.
    """
    visitor: _Visitor = g.visitor
    return visitor.id if visitor.known else ""


def init_app(app: Flask) -> None:
    """Check every request, and tell browsers what they may do with the responses."""
    config = app.extensions["mien"].config
    app.config.update(
        SECRET_KEY=config.secret_key or _stored_secret(config.ready_data_dir()),
        SESSION_COOKIE_NAME="mien",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=365 * 24 * 3600,
        SESSION_REFRESH_EACH_REQUEST=False,
        RATELIMIT_ENABLED=config.rate_limits,
        MAX_CONTENT_LENGTH=config.max_video_mb * MEGABYTE + _FORM_OVERHEAD,
        MAX_FORM_MEMORY_SIZE=MEGABYTE,
        MAX_FORM_PARTS=_MAX_FORM_PARTS,
    )
    app.session_interface = _Cookies()
    _limiter.init_app(app)
    app.register_error_handler(TooManyRequests, _too_many_requests)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.before_request(_check_length)
    app.before_request(_check_address)
    app.before_request(_check_text)
    headers.init_app(app)
    app.before_request(_identify_visitor)
    app.before_request(_check_token)
    app.before_request(_check_origin)
    app.before_request(_check_json)
    app.jinja_env.globals["csrf_token"] = _csrf_token


class _Cookies(SecureCookieSessionInterface):
    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def _stored_secret(folder: Path) -> str:
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


def limited(rule: str, *, methods: list[str] | None = None) -> Callable[[_View], _View]:
    """Limit the requests of one address to a view, for example ``"10/minute"``."""
    return cast(Callable[[_View], _View], _limiter.limit(rule, methods=methods))


def limit_body(megabytes: int) -> None:
    """Refuse a larger request body before it is read.

    Raises:
        ProblemError: the body is larger.
    """
    max_bytes = megabytes * MEGABYTE + _FORM_OVERHEAD
    request.max_content_length = max_bytes
    if (request.content_length or 0) > max_bytes:
        raise ProblemError(413, "too_large", f"Expected at most {megabytes} MB.")


def check_image_count(count: int) -> None:
    """Refuse more images than one request may have.

    Raises:
        ProblemError: status 413.
    """
    if count > _MAX_IMAGES:
        raise _too_many_images(str(count))


def _too_many_images(count: str) -> ProblemError:
    return ProblemError(
        413, "too_large", f"Expected at most {_MAX_IMAGES} images in one request, got {count}: "
        "send them in several requests."
    )  # fmt: skip


def _too_large(error: RequestEntityTooLarge) -> Response:
    fits = 0 < (request.content_length or 0) <= (request.max_content_length or 0)
    if request.mimetype == "multipart/form-data" and fits:
        # The form has too many parts, or too much text in them.
        found = f"more than {_MAX_FORM_PARTS} parts or {MEGABYTE} bytes of text"
        return problem_response(_too_many_images(found))
    return http_response(error)


def _too_many_requests(error: TooManyRequests) -> Response:
    exceeded = _limiter.current_limit
    # `reset_at` is rounded up, so that it may be later than the end of the window.
    reset_s = exceeded.window[0] if exceeded else time.time()
    return problem_response(_rate_problem(str(error.description), reset_s))


def _rate_problem(limit: str, reset_s: float) -> ProblemError:
    """A refusal until a time in seconds since the epoch."""
    wait_s = max(1, math.ceil(reset_s - time.time()))
    message = f"Expected at most {limit}. Try again in {wait_s} s."
    return ProblemError(429, "too_many_requests", message, retry_after_s=wait_s)


def address_mark() -> str:
    """Stands for the sender's address in the database, which does not keep the address itself."""
    return keyed_mark("address", _sender())


def keyed_mark(purpose: str, text: str) -> str:
    """22 characters that stand for a text, and that only this server can make."""
    key = str(current_app.config["SECRET_KEY"]).encode()
    mark = hmac.new(key, f"{purpose} {text}".encode(), "sha256").digest()
    return base64.urlsafe_b64encode(mark)[:22].decode("ascii")


def _check_address() -> None:
    """Without a token or MIEN_PUBLIC, serve only this machine, whatever server runs us."""
    config = services().config
    host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if config.is_open:
        # Health checks use the address of the machine.
        if not (config.allows_host(host) or request.endpoint in _HEALTH_ENDPOINTS):
            raise ProblemError(
                400,
                "host_not_allowed",
                "This server does not answer to that host name. To allow it, add it to "
                "MIEN_ALLOWED_HOSTS.",
            )
        return
    if host not in _LOCAL_HOSTS or not is_loopback(request.remote_addr or "127.0.0.1"):
        raise ProblemError(
            403,
            "not_public",
            "This server accepts requests from its own machine only. To accept others, set "
            "MIEN_ACCESS_TOKEN, or MIEN_PUBLIC=1 to serve everyone.",
        )


def _check_length() -> None:
    """Refuse a long address or header with a page, where the server's own answer has none."""
    raw = request.environ
    too_long = None
    if len(raw.get("PATH_INFO", "")) + len(raw.get("QUERY_STRING", "")) > _MAX_ADDRESS:
        too_long = 414
    elif any(len(value) > _MAX_HEADER for _, value in request.headers):
        too_long = 431
    if too_long:
        raise ProblemError(too_long, CODES[too_long], WORDS[CODES[too_long]])


def _check_text() -> None:
    """Refuse the one character that PostgreSQL cannot have in a text, where nothing has it."""
    if "\0" in request.path:
        abort(404)
    if any("\0" in text for pair in request.args.items(multi=True) for text in pair):
        raise ProblemError(400, "bad_request", "Expected text without zero bytes in the address.")


def _identify_visitor() -> None:
    if request.endpoint in _OPEN_ENDPOINTS - {"security.login"}:
        g.visitor = _Visitor("", known=False)
        return
    if headers.is_allowed_foreign():
        g.visitor = _Visitor(secrets.token_urlsafe(16), known=False)
        return
    known = isinstance(session.get("visitor"), str)
    if not known:
        session["visitor"] = secrets.token_urlsafe(16)
        session.permanent = True
    g.visitor = _Visitor(session["visitor"], known)


def _check_token() -> ResponseReturnValue | None:
    config = services().config
    token = config.access_token
    if request.endpoint == "metrics.prometheus":
        _check_metrics_token()
        return None
    if not token or request.endpoint in _OPEN_ENDPOINTS:
        return None
    if _bearer_matches(token):
        return None
    own = not headers.is_allowed_foreign()
    if own and hmac.compare_digest(session.get("token", ""), _token_mark(token)):
        return None
    if request.method == "GET" and wants_html():
        return redirect(url_for("security.login", next=request.full_path.rstrip("?")))
    raise ProblemError(
        401, "token_needed", "Expected the access token as 'Authorization: Bearer …', got none "
        "or another one. Ask the administrator for it."
    )  # fmt: skip


def _check_metrics_token() -> None:
    """Metrics show how a server is used, so they are not public like its pages."""
    config = services().config
    tokens = [token for token in (config.metrics_token, config.access_token) if token]
    if not tokens and config.public:
        raise ProblemError(
            403, "not_public", "Metrics are not public. Set MIEN_METRICS_TOKEN, and send it as "
            "'Authorization: Bearer …'."
        )  # fmt: skip
    if tokens and not _bearer_matches(*tokens):
        raise ProblemError(
            401, "token_needed", "Expected the metrics token as 'Authorization: Bearer …', got "
            "none or another one. Ask the administrator for it."
        )  # fmt: skip


def _bearer_matches(*tokens: str) -> bool:
    """Whether the request has one of the tokens; wrong ones are limited as in the login form."""
    scheme, _, given = request.headers.get("Authorization", "").strip().partition(" ")
    given = given.strip()
    # Others, such as Basic, are for a proxy before this server.
    if scheme.lower() != "bearer" or not given:
        return False
    rule = limits.parse(_LOGIN_LIMIT)
    key = ("bearer", _sender())
    if _limiter.enabled and not _limiter.limiter.test(rule, *key):
        raise _rate_problem(str(rule), _limiter.limiter.get_window_stats(rule, *key).reset_time)
    matches = any(hmac.compare_digest(given.encode(), token.encode()) for token in tokens)
    if _limiter.enabled and not matches:
        _limiter.limiter.hit(rule, *key)
    return matches


def _token_mark(token: str) -> str:
    """What a signed cookie holds of an access token; it is void when the token is changed."""
    return hashlib.sha256(b"mien access" + token.encode()).hexdigest()


@blueprint.route("/login", methods=["GET", "POST"])
@limited(_LOGIN_LIMIT, methods=["POST"])
def _login() -> ResponseReturnValue:
    """The form for the access token."""
    token = services().config.access_token
    target = request.values.get("next", "")
    if not _LOCAL_PATH.fullmatch(target):
        target = url_for("live_pages.page")
    if not token:
        return redirect(target)
    if request.method == "POST":
        given = request.form.get("token", "").strip()
        if hmac.compare_digest(given.encode(), token.encode()):
            session["token"] = _token_mark(token)
            return redirect(target)
        return make_response(render_template("login.html", next=target, wrong=True), 401)
    return render_template("login.html", next=target, wrong=False)


def _check_origin() -> None:
    """A page of another site may not act in a visitor's name."""
    headers.check_origin()
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    if request.method in _SAFE_METHODS or upgrade or request.path.startswith("/api/"):
        return
    if g.visitor.known:
        given = request.form.get("csrf_token", "")
        if not hmac.compare_digest(given.encode(), _csrf_token().encode()):
            raise ProblemError(
                403, "form_expired", "This form has expired. Reload the page and try again."
            )


def _check_json() -> None:
    """Refuse JSON that is large, deeply nested or broken before anything else reads it."""
    if not request.is_json or request.method in _SAFE_METHODS:
        return
    most = MEGABYTE if request.endpoint == _RESULTS_ENDPOINT else _MAX_JSON_BYTES
    request.max_content_length = most
    if (request.content_length or 0) > most:
        _discard_body()
        raise ProblemError(413, "too_large", f"Expected at most {most} bytes of JSON.")
    document = request.get_json(silent=True)
    if document is None and request.get_data().strip() != b"null":
        raise ProblemError(400, "bad_request", "Expected JSON, got something else or nothing.")
    level = [document]
    for _ in range(_MAX_JSON_DEPTH):
        level = [
            child
            for part in level
            if isinstance(part, dict | list)
            for child in (part.values() if isinstance(part, dict) else part)
        ]
    if level:
        raise ProblemError(
            400, "bad_request", f"Expected JSON with at most {_MAX_JSON_DEPTH} nested levels."
        )


def _discard_body() -> None:
    """Read what a client sends, so that it sees the answer instead of a broken connection."""
    left = min(request.content_length or 0, _MAX_DISCARDED_BYTES)
    while left and (part := request.environ["wsgi.input"].read(min(left, MEGABYTE))):
        left -= len(part)


def _csrf_token() -> str:
    """The token that a form must send: tied to the visitor's cookie."""
    return keyed_mark("csrf", session["visitor"])
