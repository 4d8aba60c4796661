"""How often one visitor may ask, and how much may be sent."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, Response, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import TooManyRequests

from mien.web.config import MEGABYTE, WebConfig
from mien.web.errors import ProblemError, problem_response

limiter = Limiter(
    get_remote_address,
    strategy="moving-window",
)

ANALYZE = "300/minute"
UPLOAD = "20/minute;200/hour"
LIVE = "120/minute"
LOGIN = "10/minute"
_FORM_OVERHEAD = 64 * 1024
_View = TypeVar("_View", bound=Callable[..., Any])


def limited(rule: str, *, methods: list[str] | None = None) -> Callable[[_View], _View]:
    """Allow a view so often to one address, for example ``"10/minute"``."""
    return cast(Callable[[_View], _View], limiter.limit(rule, methods=methods))


def init_app(app: Flask, config: WebConfig) -> None:
    """Count requests by address, in the memory of this process."""
    app.config.update(
        RATELIMIT_ENABLED=config.rate_limits,
        RATELIMIT_STORAGE_URI="memory://",
        MAX_CONTENT_LENGTH=config.max_video_mb * MEGABYTE + _FORM_OVERHEAD,
        MAX_FORM_MEMORY_SIZE=MEGABYTE,
        MAX_FORM_PARTS=20,
    )
    limiter.init_app(app)
    app.register_error_handler(TooManyRequests, _too_many)


def limit_body(megabytes: int) -> None:
    """Refuse a larger body of this request before it is read.

    Raises:
        ProblemError: the body is larger.
    """
    most = megabytes * MEGABYTE
    request.max_content_length = most + _FORM_OVERHEAD
    if (request.content_length or 0) > most + _FORM_OVERHEAD:
        raise ProblemError(413, "too_large", f"Expected at most {megabytes} MB.")


def _too_many(error: TooManyRequests) -> Response:
    return problem_response(
        ProblemError(
            429,
            "too_many_requests",
            f"Expected at most {error.description}. Wait a little and try again.",
            retry_after_s=10,
        )
    )
