"""For operators: structured logs with request ids, metrics, health."""

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Flask, Response, g, jsonify, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from mien.errors import InputError
from mien.web.errors import ProblemError
from mien.web.inference import BusyError
from mien.web.services import services

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
# Clients may invent methods; each would be a new time series.
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_DEBUG_PATHS = {"/healthz", "/readyz", "/metrics"}
log = logging.getLogger("mien.web")

blueprint = Blueprint("metrics", __name__)


class Metrics:
    """The application's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mien_http_requests_total", "Requests.", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "mien_http_request_seconds", "Time to the response.", ["route"], registry=self.registry
        )
        self.frames = Counter(
            "mien_frames_total", "Frames and photographs, by outcome.",
            ["source", "outcome"], registry=self.registry,
        )  # fmt: skip
        self.frame_seconds = Histogram(
            "mien_frame_seconds", "Time from the arrival of a frame to its answer.", ["source"],
            buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25, 0.5, 1, 2, 5),
            registry=self.registry,
        )  # fmt: skip
        self.faces = Counter("mien_faces_total", "Faces found.", registry=self.registry)
        self.batch_size = Histogram(
            "mien_batch_crops", "Crops in one run of the expression model.",
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry,
        )  # fmt: skip
        self.live = Gauge("mien_live_connections", "Open live streams.", registry=self.registry)
        self.jobs = Counter(
            "mien_jobs_total", "Video jobs, by outcome.", ["outcome"],
            registry=self.registry,
        )  # fmt: skip

    @contextmanager
    def analysis(self, source: str) -> Iterator[None]:
        """Count an analysis by its outcome, and measure its time."""
        started = time.perf_counter()
        outcome = "analyzed"
        try:
            yield
        except BusyError:
            outcome = "refused"
            raise
        except InputError:
            outcome = "unreadable"
            raise
        finally:
            self.frames.labels(source, outcome).inc()
            if outcome == "analyzed":
                self.frame_seconds.labels(source).observe(time.perf_counter() - started)


def init_app(app: Flask) -> None:
    """Give each request an id, log it and count it."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_blueprint(blueprint)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_urlsafe(9)
    g.started = time.perf_counter()


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.get("request_id", "")
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    route = request.url_rule.rule if request.url_rule else "(none)"
    method = request.method if request.method in _METHODS else "OTHER"
    metrics = services().metrics
    metrics.requests.labels(method, route, response.status_code).inc()
    metrics.request_seconds.labels(route).observe(seconds)
    level = logging.DEBUG if request.path in _DEBUG_PATHS else logging.INFO
    log.log(
        level,
        "request",
        extra={
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "duration_ms": round(1000 * seconds, 1),
        },
    )
    return response


@blueprint.get("/healthz")
def _healthz() -> Response:
    """Whether the process runs."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def _readyz() -> Response:
    """Whether the process can serve: models loaded, database reachable."""
    checks = {"models": services().inference.problem(), "database": services().database.problem()}
    failures = {name: problem for name, problem in checks.items() if problem}
    if failures:
        raise ProblemError(
            503,
            "not_ready",
            "The server is not ready. Try again in a moment.",
            details=[{"check": name, "message": message} for name, message in failures.items()],
            retry_after_s=2,
        )
    return jsonify({"status": "ok", "checks": dict.fromkeys(checks, "ok")})


@blueprint.get("/metrics")
def _prometheus() -> Response:
    """Prometheus metrics."""
    text = generate_latest(services().metrics.registry)
    return Response(text, content_type=CONTENT_TYPE_LATEST)


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    _OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document.update({k: v for k, v in vars(record).items() if k not in self._OWN})
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str, ensure_ascii=False)


class _PlainFormatter(logging.Formatter):
    """For people at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        if record.getMessage() == "request":
            facts = vars(record)
            text = "{status} {method:4} {path}  {duration_ms:.0f} ms".format(**facts)
        else:
            text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return f"{time.strftime('%H:%M:%S', time.localtime(record.created))}  {text}"


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if g and "request_id" in g:
            record.request_id = g.request_id
        return True


def configure_logging(*, json_lines: bool | None = None) -> None:
    """Log to standard error: plain text on a terminal, JSON lines otherwise."""
    if json_lines is None:
        json_lines = not sys.stderr.isatty()
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if json_lines else _PlainFormatter())
    handler.addFilter(_RequestIdFilter())
    logger = logging.getLogger("mien")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
