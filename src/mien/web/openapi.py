"""The OpenAPI 3.1 description, generated from the API's own code."""

import copy
from functools import cache
from typing import Any

from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from mien.web.config import WebConfig

_ERROR = {"$ref": "#/components/schemas/ErrorDocument"}


def build_app(import_name: str, *, version: str, config: WebConfig) -> OpenAPI:
    """The Flask application that collects the description while routes are added."""
    from mien.web.errors import validation_problem

    security: dict[str, Any] | None = (
        {"token": {"type": "http", "scheme": "bearer"}} if config.access_token else None
    )
    return OpenAPI(
        import_name,
        info=Info(
            title="mien",
            version=version,
            description="Apparent facial expressions from photographs, videos and live cameras. "
            "An expression is how a face looks, not what the person feels.",
        ),
        security_schemes=security,
        validation_error_callback=validation_problem,
        doc_ui=False,
        template_folder="templates",
        static_folder="static",
    )


def init_app(app: OpenAPI, config: WebConfig) -> None:
    """Serve the description at ``/openapi.json``."""

    @cache
    def document() -> dict[str, Any]:
        return finished(app.api_doc, with_token=bool(config.access_token))

    app.extensions["mien.openapi"] = document

    @app.route("/openapi.json")
    def openapi_json() -> dict[str, Any]:
        return document()


def finished(generated: dict[str, Any], *, with_token: bool) -> dict[str, Any]:
    """The description as generated, with the one error shape in the place of the library's."""
    document = copy.deepcopy(generated)
    schemas = document["components"]["schemas"]
    schemas.pop("ValidationErrorModel", None)
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            for status, response in responses.items():
                if int(status) >= 400:
                    response["content"] = {"application/json": {"schema": _ERROR}}
    if not document["components"].get("securitySchemes"):
        document["components"].pop("securitySchemes", None)
    if with_token:
        document["security"] = [{"token": []}]
    return document
