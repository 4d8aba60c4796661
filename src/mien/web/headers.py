"""What browsers may do with the responses, and which requests from pages of other sites may do."""

import base64
import hashlib
import re
from collections.abc import Sequence

from flask import Flask, Response, request

from mien.web.errors import ProblemError
from mien.web.services import services

# WebAssembly runs the networks of the live page.
_SCRIPTS, _STYLES = "script-src 'self' 'wasm-unsafe-eval'", "style-src 'self'"
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        _SCRIPTS,
        "worker-src 'self' blob:",
        _STYLES,
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
    )
)
_PROGRAM_PATHS = ("/api/", "/ws/", "/openapi.json")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS = "Authorization, Content-Type, X-Request-ID"
_READABLE_HEADERS = "Content-Disposition, Content-Range, Retry-After, X-Request-ID"


def init_app(app: Flask) -> None:
    """Set the headers of every response, and answer the browsers' questions before requests."""
    app.before_request(_answer_preflight)
    # The last one runs first.
    app.after_request(_allow_origins)
    app.after_request(_set_headers)


def policy(frames: Sequence[str] = (), *, trusted: bytes = b"") -> str:
    """The content security policy of a page.

    Args:
        frames: sites that may show it in a frame.
        trusted: the page, where the scripts in it may run, and styles that they add apply.
    """
    allowed = " ".join(frames) or "'none'"
    found = f"{_CONTENT_SECURITY_POLICY}; frame-ancestors {allowed}"
    if trusted:
        found = found.replace(_SCRIPTS, f"{_SCRIPTS} {_hashes(trusted)}")
        found = found.replace(_STYLES, f"{_STYLES} 'unsafe-inline'")
    return found


def _hashes(document: bytes) -> str:
    """The hashes of the scripts in a page, by which it allows them."""
    # Scripts with attributes are data, or files.
    inline = re.findall(rb"<script>(.*?)</script", document, re.DOTALL)
    return " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}'"
        for text in inline
    )


def _set_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", policy())
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


def sandboxed_report(document: bytes) -> Response:
    """A video's HTML report in a sandbox; its own scripts are allowed by their hashes."""
    scripts = _hashes(document) or "'none'"
    response = Response(document, mimetype="text/html")
    response.headers["Content-Security-Policy"] = "; ".join(
        (
            "sandbox allow-scripts allow-downloads",
            "default-src 'none'",
            f"script-src {scripts}",
            # The report has its own style sheet, and draws with style attributes.
            "style-src 'unsafe-inline'",
            "img-src data:",
            "media-src data: blob:",
            "font-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )
    return response


def is_allowed_foreign() -> bool:
    """Whether a page of another site, whose origin is allowed, sent the request to the API.

    Such a request acts for no visitor: its cookies are not used.
    """
    origin = request.headers.get("Origin")
    return (
        origin is not None
        and not _is_own(origin)
        and request.path.startswith(_PROGRAM_PATHS)
        and services().config.allows_origin(origin)
    )


def _is_own(origin: str) -> bool:
    return origin.partition("://")[2] == request.host


def check_origin() -> None:
    """Refuse what a page of another site does in a visitor's name.

    Raises:
        ProblemError: the request comes from such a page.
    """
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    if (request.method in _SAFE_METHODS and not upgrade) or is_allowed_foreign():
        return
    origin = request.headers.get("Origin")
    if origin is not None:
        if not _is_own(origin):
            raise ProblemError(
                403, "foreign_origin", f"Expected a request from this site, got one from {origin}. "
                "To allow its requests to the API, add it to MIEN_CORS_ORIGINS.",
            )  # fmt: skip
    elif request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise ProblemError(403, "foreign_origin", "Expected a request from this site.")


def _answer_preflight() -> Response | None:
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    return Response(status=204) if asks and is_allowed_foreign() else None


def _allow_origins(response: Response) -> Response:
    if not services().config.origins or not request.path.startswith(_PROGRAM_PATHS):
        return response
    response.vary.add("Origin")
    if is_allowed_foreign():
        headers = response.headers
        headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        headers["Access-Control-Expose-Headers"] = _READABLE_HEADERS
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS":
            headers["Access-Control-Allow-Methods"] = _ALLOWED_METHODS
            headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
            headers["Access-Control-Max-Age"] = "600"
    return response
