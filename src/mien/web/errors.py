"""One format for every error: JSON for programs, a page for people."""

import logging
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from werkzeug.exceptions import ClientDisconnected, HTTPException

from mien.errors import CameraError, InputError, MienError
from mien.web.error_words import CODES, WORDS

log = logging.getLogger("mien.web")

# Where the error itself has no more specific message.
_MESSAGES = {
    404: "There is no page at this address. Check its spelling; the page may have been deleted.",
    405: WORDS["method_not_allowed"],
    408: WORDS["timeout"],
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
    # A client that ended or paused its request; Werkzeug takes it for one that is no request.
    status = 408 if isinstance(error, ClientDisconnected) else error.code or 500
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
