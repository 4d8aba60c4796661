"""What the HTTP API's parts share, its OpenAPI 3.1 description with examples, models and health."""

import copy
import inspect
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pydantic
from flask import Blueprint, Flask, Response, current_app, jsonify, request, stream_with_context
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.utils import get_operation_id_for_path
from werkzeug.datastructures import MultiDict

import mien.runtime.catalog as model_catalog
from mien.tables import face_lines
from mien.web.config import WebConfig
from mien.web.errors import ProblemError, problem_response
from mien.web.schemas import ErrorDocument, HealthDocument, ModelsDocument
from mien.web.services import services

_ERROR = {"$ref": "#/components/schemas/ErrorDocument"}


def noun(name: str, about: str, path: str = "") -> tuple[Blueprint, APIBlueprint]:
    """The blueprints of a noun: of its pages, and of its routes below ``/api/v1``."""
    routes = APIBlueprint(
        name,
        __name__,
        url_prefix=f"/api/v1{path}",
        abp_tags=[Tag(name=name, description=about)],
        operation_id_callback=_operation_id,
    )
    return Blueprint(f"{name}_pages", __name__), routes


def _operation_id(*, bp_name: str, name: str, path: str, method: str) -> str:
    return get_operation_id_for_path(
        bp_name=bp_name, name=name.lstrip("_"), path=path, method=method
    )


def returns(document: Any = None, *errors: int, status: int = 200) -> dict[str | int, Any]:
    """The responses of a route: its document, its errors, and the errors that all routes have."""
    found: dict[str | int, Any] = {
        str(code): ErrorDocument for code in (400, 401, 403, 429, *errors)
    }
    return found if document is None else {**found, str(status): document}


def init_app(app: Flask) -> None:
    """Refuse query parameters that a route of the API does not have."""
    app.before_request(_check_query)


def _check_query() -> None:
    if request.blueprint is None or request.endpoint is None or "/api/v1/" not in request.path:
        return
    view = inspect.signature(current_app.view_functions[request.endpoint], eval_str=True)
    query = view.parameters.get("query")
    known = query.annotation.model_fields if query else ()
    _check_names("query parameter", request.args, known)
    _check_once("query parameter", request.args)


def check_form(fields: Iterable[str], files: Iterable[str], *, many: bool = False) -> None:
    """Refuse the names of a form that a route does not have, and several files where it takes one.

    Args:
        fields, files: the names that the route has.
        many: whether several files may have one name.

    Raises:
        ProblemError: status 422.
    """
    # Forms of the pages have one more.
    _check_names("form field", set(request.form) - {"csrf_token"}, fields)
    _check_once("form field", request.form)
    _check_names("file field", request.files, files)
    for name, parts in () if many else request.files.lists():
        if len(parts) > 1:
            raise ProblemError(
                422, "invalid", f"Expected one file in the field {name}, got {len(parts)}: send "
                "one request for each, or photographs to /api/v1/batch."
            )  # fmt: skip


def _check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        choice = ", ".join(known) or "none"
        raise ProblemError(
            422, "invalid", f"Expected every {what} to be one of: {choice}; got "
            f"{', '.join(name[:80] for name in unknown[:5])}."
        )  # fmt: skip


def _check_once(what: str, given: MultiDict[str, str]) -> None:
    """Refuse a value that is given twice, of which only one would be used."""
    for name, values in given.lists():
        if len(values) > 1:
            raise ProblemError(
                422, "invalid", f"Expected every {what} once, got {name[:80]} {len(values)} times."
            )


def image_body(*media_types: str, field: str = "", many: bool = False) -> dict[str, Any]:
    """What the description says about a request body that is an image, or a form with a field.

    Args:
        many: whether the field can be repeated.
    """
    image = {"type": "string", "format": "binary"}
    content: dict[str, Any] = {kind: {"schema": image} for kind in media_types}
    if field:
        value = {"type": "array", "items": image, "minItems": 1} if many else image
        form = {"type": "object", "required": [field], "properties": {field: value}}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


def attachment(lines: Iterator[str], name: str, media_type: str = "text/csv") -> Response:
    """A file that is made while it is sent."""
    response = Response(stream_with_context(lines), mimetype=media_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


blueprint = noun("server", "Models, health.")[1]


class _JSON(DefaultJSONProvider):
    # Documents keep the order of their keys.
    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("expected JSON with fewer nested levels") from None


class _App(OpenAPI):
    def add_url_rule(self, rule: str, endpoint: str | None = None, *args: Any, **more: Any) -> None:
        """Name endpoints by the functions of their routes, without the underscore of these."""
        super().add_url_rule(rule, endpoint and endpoint.replace("._", "."), *args, **more)


def build_app(import_name: str, *, version: str, config: WebConfig) -> OpenAPI:
    """The Flask application that collects the description while routes are added."""
    security: dict[str, Any] | None = (
        {"token": {"type": "http", "scheme": "bearer"}} if config.access_token else None
    )
    app = _App(
        import_name,
        info=Info(
            title="mien",
            version=version,
            description="Apparent facial expressions from photographs, videos and live cameras. "
            "An expression is how a face looks, not what the person feels.",
        ),
        security_schemes=security,
        validation_error_callback=_validation_problem,
        doc_ui=False,
        template_folder="templates",
        static_folder="static",
    )
    app.json = _JSON(app)
    app.add_url_rule("/openapi.json", "openapi_json", description)
    return app


def _validation_problem(error: pydantic.ValidationError) -> Response:
    """The response to a request with invalid parameters."""
    details = [
        {"where": ".".join(str(part) for part in entry["loc"]), "message": entry["msg"]}
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return problem_response(
        ProblemError(422, "invalid", "A parameter is invalid; see details.", details=details)
    )


def description() -> dict[str, Any]:
    """The OpenAPI description, with this project's error document instead of the library's."""
    document = copy.deepcopy(cast(OpenAPI, current_app).api_doc)
    document["components"]["schemas"].pop("ValidationErrorModel", None)
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    response["content"] = {"application/json": {"schema": _ERROR}}
    _add_examples(document)
    if not document["components"].get("securitySchemes"):
        document["components"].pop("securitySchemes", None)
    if services().config.access_token:
        document["security"] = [{"token": []}]
    return document


@blueprint.get("/models", summary="The models", responses={"200": ModelsDocument})
def _models() -> Response:
    """The available models, and those in use."""
    return jsonify(
        {
            "active": services().inference.pipeline.models,
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
def _health() -> Response:
    """The version and the load of the server."""
    return jsonify(
        {
            "status": "ok",
            "version": services().version,
            "live_connections": services().live_streams.count,
            "waiting": services().inference.gate.waiting,
        }
    )


_ID = "v6Jq3m0pT5uXw2yZ8aBcDe"
_PARAMETERS = {
    "model": _ID, "name": "faces.csv", "landmarks": True, "min_presence": 0.5, "track_id": 1
}  # fmt: skip


def _add_examples(document: dict[str, Any]) -> None:
    """Add an example to each parameter and to each body that is JSON or a table."""
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                name = parameter["name"]
                is_id = name.endswith("_id") and name not in _PARAMETERS
                parameter["example"] = _ID if is_id else _PARAMETERS[name]
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                for kind, content in body.get("content", {}).items():
                    schema = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                    if kind == "text/csv":
                        content["example"] = _by_schema()[kind]
                    elif kind == "application/json" and schema in _by_schema():
                        content["example"] = _by_schema()[schema]


@cache
def _by_schema() -> dict[str, Any]:
    """An example for each document, by the name of its schema."""
    text = Path(__file__).with_name("example_result.json").read_text(encoding="utf-8")
    result = json.loads(text)
    job = {
        "id": _ID, "name": "interview.mp4", "state": "done", "progress": 1.0, "frames_done": 300,
        "message": None, "attempts": 1, "created_at": "2026-05-04T09:00:00Z",
        "finished_at": "2026-05-04T09:00:21Z", "expires_at": "2026-05-05T09:00:21Z",
        "files": [{"name": "faces.csv", "size": 81_230, "media_type": "text/csv",
                   "url": f"/api/v1/jobs/{_ID}/files/faces.csv"}],
    }  # fmt: skip
    session = {
        "id": _ID, "name": "Interview", "state": "complete", "created_at": "2026-05-04T09:00:00Z",
        "duration_s": 61.5, "frames": 922, "people": 1, "expires_at": "2026-06-03T09:00:00Z",
    }  # fmt: skip
    problem = {"code": "image_unreadable", "message": "Expected an image, got a text file."}
    model = {
        "name": "transfer", "task": "expression", "version": "6", "license": "MIT",
        "source": "trained by this project", "sha256": None, "shipped": True,
        "labels": list(result["faces"][0]["expression"]["probabilities"]),
        "metrics": {"accuracy": 0.86}, "training_data": "FER+",
    }  # fmt: skip
    marker = {"id": _ID, "at_s": 12.4, "text": "The second question"}
    frame = {**result, "frame_index": 0, "timestamp_s": 0.0}
    return {
        "FrameResultDocument": result,
        "NeutralDocument": {"type": "neutral", "track_id": 1, "is_set": True},
        "BatchDocument": {
            "results": [
                {"name": "smile.jpg", "result": result, "error": None},
                {"name": "notes.txt", "result": None, "error": problem},
            ]
        },
        "JobDocument": job,
        "JobsDocument": {"jobs": [job], "note": None},
        "SessionDocument": session,
        "SessionsDocument": {"sessions": [session]},
        "SessionFramesDocument": {"session": session, "markers": [marker], "frames": [frame]},
        "MarkerDocument": marker,
        "MarkersDocument": {"markers": [marker]},
        "MarkerBody": {"at_s": marker["at_s"], "text": marker["text"]},
        "CorrectionDocument": {"id": _ID, "label": "bored"},
        "CorrectionsDocument": {"corrections": [{"id": _ID, "label": "bored"}]},
        "RenameBody": {"name": "Interview, second part"},
        "DeletedDocument": {"deleted": 1},
        "LiveStreamDocument": {"id": _ID},
        "ResultsBody": {"results": [frame]},
        "AddedDocument": {"added": 1},
        "RecordingDocument": {"type": "recording", "state": "started", "session_id": _ID},
        "ModelsDocument": {"active": result["models"], "models": [model]},
        "HealthDocument": {"status": "ok", "version": "1.0.0", "live_connections": 2, "waiting": 0},
        "ErrorDocument": {
            "error": {**problem, "status": 400, "request_id": "4dJ0c1bQy2Xw", "details": []}
        },
        "text/csv": "".join(face_lines([frame])),
    }
