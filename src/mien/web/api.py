"""The HTTP API's first part: photographs, models, health. OpenAPI 3.1 is generated from it."""

from typing import Any

from flask import Response, current_app, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

import mien.runtime.catalog as model_catalog
from mien.errors import ImageReadError, InputError
from mien.types import FrameResult, Image
from mien.web import limits
from mien.web.config import WebConfig
from mien.web.errors import ProblemError, sentence
from mien.web.inference import BusyError, Engine
from mien.web.metrics import Metrics
from mien.web.schemas import (
    AnalyzeQuery,
    ErrorDocument,
    FrameResultDocument,
    HealthDocument,
    ModelsDocument,
)

PREFIX = "/api/v1"
ERRORS: dict[str | int, Any] = {
    "400": ErrorDocument,
    "401": ErrorDocument,
    "403": ErrorDocument,
    "429": ErrorDocument,
}
_IMAGE_TYPES = ("image/*", "application/octet-stream")

blueprint = APIBlueprint(
    "api",
    __name__,
    url_prefix=PREFIX,
    abp_tags=[Tag(name="photographs", description="Photographs, models and health.")],
)

_IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": {"type": "string", "format": "binary"}},
                }
            },
            **{
                media_type: {"schema": {"type": "string", "format": "binary"}}
                for media_type in _IMAGE_TYPES
            },
        },
    }
}


@blueprint.post(
    "/analyze",
    summary="Analyze a photograph",
    description="Send the photograph as the multipart field `image`, or its bytes as the body. "
    "JPEG, PNG, WebP, GIF (first frame), BMP and TIFF. It is held in memory only.",
    responses={**ERRORS, "200": FrameResultDocument, "413": ErrorDocument, "503": ErrorDocument},
    openapi_extensions=_IMAGE_BODY,
)
@limits.limited(limits.ANALYZE)
def analyze(query: AnalyzeQuery) -> Response:
    data, name = image_from_request()
    _, result = analyze_photograph(data, name)
    return jsonify(result.to_dict(landmarks=query.landmarks))


def image_from_request() -> tuple[bytes, str | None]:
    """The bytes and the name of the photograph that was sent.

    Raises:
        ProblemError: none was sent, or it is too large.
    """
    config: WebConfig = current_app.extensions["mien.config"]
    limits.limit_body(config.max_image_mb)
    if request.mimetype == "multipart/form-data":
        upload = request.files.get("image")
        if upload is None:
            raise ProblemError(
                400, "image_missing", "Expected a multipart field `image` with the photograph, "
                f"got {', '.join(sorted(request.files)) or 'no file'}."
            )  # fmt: skip
        data, name = upload.read(), upload.filename or None
    else:
        data, name = request.get_data(cache=False), None
    if not data:
        raise ProblemError(400, "image_missing", "Expected a photograph, got nothing.")
    return data, name


def analyze_photograph(data: bytes, name: str | None) -> tuple[Image, FrameResult]:
    """Analyze a photograph, counted.

    Raises:
        ProblemError: it cannot be read, or there is too much to do.
    """
    engine: Engine = current_app.extensions["mien.engine"]
    metrics: Metrics = current_app.extensions["mien.metrics"]
    try:
        with metrics.frame_seconds.labels("photograph").time():
            image, result = engine.analyze(data, source=name)
    except BusyError as busy:
        metrics.frames.labels("photograph", "refused").inc()
        raise busy_problem(busy) from None
    except ImageReadError as error:
        metrics.frames.labels("photograph", "unreadable").inc()
        raise ProblemError(400, "image_unreadable", picture_problem(error)) from None
    metrics.frames.labels("photograph", "analyzed").inc()
    metrics.faces.inc(len(result.faces))
    return image, result


def picture_problem(error: InputError) -> str:
    """What is wrong with a picture, for the one who sent it, who knows of no "given bytes"."""
    return sentence(str(error).removeprefix("the given bytes: "))


def busy_problem(busy: BusyError) -> ProblemError:
    """What one who must slow down is told."""
    return ProblemError(
        503,
        "busy",
        "More is asked of this server than it can do in good time. Try again a little later.",
        details=[{"retry_after_ms": busy.retry_after_ms}],
        retry_after_s=max(1, round(busy.retry_after_ms / 1000)),
    )


@blueprint.get("/models", summary="The models", responses={"200": ModelsDocument})
def models() -> Response:
    """Which models there are, and which are in use."""
    engine: Engine = current_app.extensions["mien.engine"]
    return jsonify(
        {
            "active": engine.pipeline.models,
            "models": [
                {
                    "name": entry.spec.name,
                    "task": entry.spec.task,
                    "version": entry.spec.version,
                    "license": entry.spec.license,
                    "source": entry.spec.source,
                    "sha256": entry.spec.sha256,
                    "shipped": entry.shipped,
                    "labels": [label.value for label in entry.spec.labels],
                    "metrics": dict(entry.spec.metrics),
                    "training_data": entry.spec.training_data,
                }
                for entry in model_catalog.entries()
            ],
        }
    )


@blueprint.get("/health", summary="Health and load", responses={"200": HealthDocument})
def health() -> Response:
    """Whether the server is up, and how busy it is."""
    engine: Engine = current_app.extensions["mien.engine"]
    lobby = current_app.extensions["mien.lobby"]
    return jsonify(
        {
            "status": "ok",
            "version": current_app.extensions["mien.version"],
            "live_connections": lobby.count,
            "waiting": engine.gate.waiting,
        }
    )
