"""One format for every error: JSON for programs, a page for people."""

import logging
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from werkzeug.exceptions import HTTPException

from mien.errors import CameraError, InputError, MienError

log = logging.getLogger("mien.web")

CODES = {
    400: "bad_request",
    401: "token_needed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    411: "length_needed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid",
    429: "too_many_requests",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}
# What is wrong in the words of the pages, by the code of an error. Messages are for programs, and
# name what came; the catalogs have only those that many visitors see.
WORDS = {
    **dict.fromkeys(
        ("bad_request", "error", "invalid", "message_unreadable", "message_unknown"),
        "The request is not valid. Check what you entered.",
    ),
    **dict.fromkeys(("conflict", "not_recording"), "This is not possible now. Reload the page."),
    **dict.fromkeys(
        ("busy", "full", "timeout", "unavailable", "not_ready"),
        "The server is busy. Try again in a moment.",
    ),
    **dict.fromkeys(
        ("forbidden", "foreign_origin", "host_not_allowed", "not_public"),
        "This is not allowed here. Ask the administrator.",
    ),
    **dict.fromkeys(
        ("too_large", "length_needed"),
        "The request is too large. Make the file smaller, or cut the video.",
    ),
    **dict.fromkeys(
        ("changed", "not_found", "range_not_satisfiable"), "This was not found, or was deleted."
    ),
    **dict.fromkeys(
        ("image_unreadable", "input_unreadable", "unsupported_media_type"),
        "This file cannot be read as a picture. Choose a JPEG or PNG file.",
    ),
    **dict.fromkeys(
        ("enough_links", "enough_markers"), "There are too many of these. Delete some first."
    ),
    "archive_unreadable": "This ZIP archive is damaged, encrypted or empty.",
    "camera_unavailable": "The camera does not respond. The server tries again.",
    "cookie_needed": "Allow cookies for this page: without them, what it stores cannot be found "
    "again.",
    "enough_jobs": "Too many videos at once. Wait until one is done, or cancel one.",
    "form_expired": "This form has expired. Reload the page and try again.",
    "image_missing": "Choose a photo first.",
    "internal": "An internal error occurred. It was logged; try again, or ask the administrator.",
    "method_not_allowed": "This address does not support this request method.",
    "no_face": "No face was found in this picture. Choose a larger or clearer one.",
    "no_links": "This server makes no links for others.",
    "session_deleted": "The session was deleted, so its recording has ended.",
    "several_faces": "There is more than one face in this picture.",
    "storage_full": "The server has no more space. Delete results, or ask the administrator.",
    "storage_unavailable": "Nothing can be stored now. Live analysis and photos still work.",
    "token_needed": "This server requires an access token. Ask the administrator for it.",
    "too_few_labels": "More labeled faces are needed to adapt a model.",
    "too_many_requests": "Too many requests. Try again in a moment.",
    "uri_too_long": "The address of the request is too long.",
    "headers_too_large": "The request has too many or too large headers. Delete the cookies of "
    "this site.",
    "video_missing": "Choose a video first.",
}
# Where the error itself has no more specific message.
_MESSAGES = {
    404: "There is no page at this address. Check its spelling; the page may have been deleted.",
    405: WORDS["method_not_allowed"],
    413: WORDS["too_large"],
}
_PROGRAM_PATHS = ("/api/", "/ws/", "/openapi.json", "/metrics", "/healthz", "/readyz")


class ProblemError(Exception):
    """An error that is returned to the client.

    Args:
        status: the HTTP status.
        code: a stable identifier for programs.
        message: what was expected, what was received, and how to fix it.
        details: structured details, such as the invalid parameters.
        retry_after_s: seconds after which a client should try again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: list[dict[str, Any]] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or []
        self.retry_after_s = retry_after_s

    def to_dict(self) -> dict[str, Any]:
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "status": self.status,
                "request_id": g.get("request_id", ""),
                "details": self.details,
            }
        }


def init_app(app: Flask) -> None:
    """Return every error in the one format."""
    app.register_error_handler(ProblemError, problem_response)
    app.register_error_handler(HTTPException, http_response)
    app.register_error_handler(Exception, _unexpected)


def problem_response(problem: ProblemError) -> Response:
    """The response for a problem."""
    if wants_html():
        body = render_template("error.html", problem=problem)
        response = make_response(body, problem.status)
    else:
        response = make_response(jsonify(problem.to_dict()), problem.status)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="mien"'
    return response


def sentence(text: str) -> str:
    """An error's text as a sentence, which starts with a capital letter."""
    return text[:1].upper() + text[1:]


def wants_html() -> bool:
    """Whether the client prefers a page to JSON, where there are pages."""
    if request.path.startswith(_PROGRAM_PATHS) or "pages" not in current_app.blueprints:
        return False
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return best == "text/html"


def http_response(error: HTTPException) -> Response:
    """The response for an error of Werkzeug, in the one format."""
    if error.response is not None and error.code is None:
        return make_response(error.response)
    status = error.code or 500
    if 300 <= status < 400:
        return make_response(error.get_response())
    own = error.description if error.description != type(error).description else None
    message = own or _MESSAGES.get(status) or error.description or error.name
    response = problem_response(ProblemError(status, CODES.get(status, "error"), message))
    # Those of the exception, such as Allow, but not its body's.
    for name, value in error.get_headers():
        if name not in {"Content-Type", "Content-Length"}:
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    problem = ProblemError(500, "internal", str(error))
    if isinstance(error, InputError):
        problem = ProblemError(400, "input_unreadable", str(error))
    elif isinstance(error, CameraError):
        problem = ProblemError(503, "camera_unavailable", str(error), retry_after_s=5)
    elif isinstance(error, DataError):
        problem = ProblemError(422, "invalid", "Expected text without control characters.")
    elif isinstance(error, IntegrityError):
        problem = ProblemError(409, "changed", "This was deleted in the meantime. Load it again.")
    elif isinstance(error, SQLAlchemyError):
        log.warning("database unavailable: %s", error)
        text = (
            "The database is unreachable. Live analysis and photographs still work; try again in "
            "a moment."
        )
        problem = ProblemError(503, "storage_unavailable", text, retry_after_s=5)
    elif not isinstance(error, MienError):
        log.exception("unexpected error")
        problem = ProblemError(500, "internal", WORDS["internal"])
    return problem_response(problem)
