"""Requests from pages of other sites: refused, or allowed to some of them (CORS)."""

from urllib.parse import urlsplit

from flask import Flask, Response, request

from mien.web.errors import ProblemError
from mien.web.services import services

_PROGRAM_PATHS = ("/api/", "/ws/", "/openapi.json")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS = "Authorization, Content-Type, X-Request-ID"
_READABLE_HEADERS = "Content-Disposition, Content-Range, Retry-After, X-Request-ID"


def init_app(app: Flask) -> None:
    """Answer the browsers' questions before requests, and mark what other sites may read."""
    app.before_request(_answer_preflight)
    app.after_request(_set_headers)


def is_allowed_foreign() -> bool:
    """Whether a page of another site, whose origin is allowed, sent the request to the API.

    Such a request acts for no visitor: its cookies are not used.
    """
    origin = request.headers.get("Origin")
    return (
        origin is not None
        and urlsplit(origin).netloc != request.host
        and request.path.startswith(_PROGRAM_PATHS)
        and services().config.allows_origin(origin)
    )


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
        if urlsplit(origin).netloc != request.host:
            raise ProblemError(
                403, "foreign_origin", f"Expected a request from this site, got one from {origin}. "
                "To allow its requests to the API, add it to MIEN_CORS_ORIGINS.",
            )  # fmt: skip
    elif request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise ProblemError(403, "foreign_origin", "Expected a request from this site.")


def _answer_preflight() -> Response | None:
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    return Response(status=204) if asks and is_allowed_foreign() else None


def _set_headers(response: Response) -> Response:
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
