"""The OpenAPI description, its page, errors on every route, models and health."""

import io
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient

import mien.runtime.catalog as model_catalog
from mien.pipeline import FacePipeline
from mien.web.schemas import ErrorDocument, ModelsDocument

UNKNOWN_ID = "A" * 22


@pytest.fixture
def app(shared_app: Callable[..., Flask]) -> Flask:
    return shared_app()


def test_description_is_openapi_3_1_with_every_route(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").json
    assert document is not None
    assert document["openapi"].startswith("3.1")
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    routed = {
        (method, re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == routed
    assert (
        "multipart/form-data"
        in (document["paths"]["/api/v1/analyze"]["post"]["requestBody"]["content"])
    )
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_route_has_examples_that_fit(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").json
    assert document is not None

    def check(schema: dict[str, Any], example: Any) -> None:
        whole = {**schema, "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(example)

    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                check(parameter["schema"], parameter["example"])
            assert any(status < "300" for status in operation["responses"]), path
            for body in (operation.get("requestBody", {}), *operation["responses"].values()):
                for kind, content in body.get("content", {}).items():
                    if kind == "text/csv":
                        assert content["example"].startswith("frame_index,")
                    elif "$ref" in content.get("schema", {}) and kind == "application/json":
                        check(content["schema"], content["example"])


def test_every_error_has_the_same_format(app: Flask) -> None:
    client = app.test_client()
    seen = 0
    for rule in app.url_map.iter_rules():
        if rule.websocket or rule.endpoint == "static":
            continue
        path = re.sub(r"<[^>]+>", UNKNOWN_ID, rule.rule)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            with client.open(path, method=method, headers={"Accept": "application/json"}) as answer:
                if answer.status_code >= 400:
                    ErrorDocument.model_validate(answer.json)
                    assert answer.status_code != 500, (method, path, answer.data)
                    seen += 1
    assert seen > 80
    ErrorDocument.model_validate(client.get("/nowhere", headers={"Accept": "*/*"}).json)


def test_browsers_get_error_pages(client: FlaskClient) -> None:
    answer = client.get("/nowhere", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert "There is no page at this address" in answer.text


def test_code_in_the_description_is_marked_up(client: FlaskClient) -> None:
    page = client.get("/docs").text
    assert "<code>image</code>" in page
    assert "`" not in page


def test_pages_have_no_external_or_inline_resources(client: FlaskClient) -> None:
    for path in ("/", "/photo", "/video", "/sessions", "/about", "/docs", "/nowhere"):
        page = client.get(path, headers={"Accept": "text/html"}).text
        assert "<html" in page
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page), path
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page), path


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 60_000, 400),
        (b'{"a":' * 10_000, 400),
        (b"[" * 17 + b"]" * 17, 400),
        (b'{"name": ' + b"[" * 40 + b"]" * 40 + b"}", 400),
        (b'{"name": ' + b"9" * 20_000 + b"}", 400),
        (b'{"name": "' + b"x" * 70_000 + b'"}', 413),
        (b"[" * 100_000, 413),
        (b"\xff\xfe", 400),
        (b"", 400),
        (b"{", 400),
        (b"null", 422),
        (b"[]", 422),
        (b'{"name": NaN}', 422),
        (b'{"name": "x"}', 404),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/problem+json"])
def test_json_is_limited_in_depth_and_size(
    client: FlaskClient, body: bytes, status: int, kind: str
) -> None:
    answer = client.patch(f"/api/v1/sessions/{UNKNOWN_ID}", data=body, content_type=kind)
    assert answer.status_code == status
    ErrorDocument.model_validate(answer.json)


def test_json_without_a_length_is_limited(client: FlaskClient) -> None:
    answer = client.patch(
        f"/api/v1/sessions/{UNKNOWN_ID}",
        input_stream=io.BytesIO(b"[" * 200_000),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert answer.status_code in {400, 413}


def test_every_boolean_is_accepted_as_generated_clients_send_it(
    app: Flask, client: FlaskClient, smile: bytes
) -> None:
    """Python's str() gives True, other languages true; the description names the parameters."""
    paths: dict[str, Any] = client.get("/openapi.json").json["paths"]  # type: ignore[index]
    seen = set()
    for path, operations in paths.items():
        for method, operation in operations.items():
            booleans = [
                parameter["name"]
                for parameter in operation.get("parameters", [])
                if parameter["schema"].get("type") == "boolean"
            ]
            for name in booleans:
                seen.add(path)
                for text in ("True", "true", "False", "false"):
                    stream = app.test_client().post("/api/v1/live").json
                    assert stream is not None
                    url = re.sub(r"{stream_id}", stream["id"], path)
                    body: Any = smile
                    if path.endswith("/batch"):
                        body = {"image": (io.BytesIO(smile), "smile.jpg")}
                    answer = client.open(f"{url}?{name}={text}", method=method, data=body)
                    assert answer.status_code == 200, (path, name, text, answer.text)
                    points = "points" in answer.text
                    assert points == (text.lower() == "true"), (path, name, text)
                assert client.open(f"{url}?{name}=x", method=method, data=smile).status_code == 422
    assert seen == {"/api/v1/analyze", "/api/v1/batch", "/api/v1/live/{stream_id}/frames"}


def test_returns_models_and_health(client: FlaskClient, pipeline: FacePipeline) -> None:
    answer = client.get("/api/v1/models")
    document = ModelsDocument.model_validate(answer.json)
    assert [model.name for model in document.models] == [
        entry.spec.name for entry in model_catalog.entries()
    ]
    assert document.active == pipeline.models
    health = client.get("/api/v1/health").json
    assert health is not None
    assert health["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("POST", "/api/v1/analyze?x=1&a=2", "landmarks, min_presence, model; got a, x."),
        ("POST", "/api/v1/batch?fps=5", "landmarks, min_presence, model; got fps."),
        ("POST", "/api/v1/videos?every=5", "none; got every."),
        ("GET", "/api/v1/jobs?limit=5", "none; got limit."),
        ("GET", "/api/v1/models?name=x", "none; got name."),
    ],
)
def test_unknown_query_parameters_are_named(
    client: FlaskClient, method: str, path: str, known: str
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 422
    expected = f"Expected every query parameter to be one of: {known}"
    assert (answer.json or {})["error"]["message"] == expected


def test_values_that_are_given_twice_are_named(client: FlaskClient, smile: bytes) -> None:
    for path, data in (
        ("analyze?landmarks=1&landmarks=0", {}),
        ("videos", {"every": ["2", "3"], "video": (io.BytesIO(b"x"), "a.mp4")}),
    ):
        answer = client.post(f"/api/v1/{path}", data=data)
        assert answer.status_code == 422
        assert " once, got " in (answer.json or {})["error"]["message"]


def test_unknown_fields_of_forms_are_named(client: FlaskClient, smile: bytes) -> None:
    def sent(path: str, **form: Any) -> Any:
        answer = client.post(f"/api/v1/{path}", data=form)
        return answer.status_code, (answer.json or {}).get("error", {}).get("message", "")

    def file() -> Any:
        return io.BytesIO(smile), "a.jpg"

    assert sent("analyze", image=file(), landmarks="true") == (
        422, "Expected every form field to be one of: none; got landmarks."
    )  # fmt: skip
    assert sent("analyze", image=file(), image2=file()) == (
        422, "Expected every file field to be one of: image; got image2."
    )  # fmt: skip
    status, message = sent("analyze", image=[file(), file()])
    assert status == 422
    assert message.startswith("Expected one file in the field image, got 2")
    status, message = sent("videos", video=file(), start="5", fps="3")
    assert status == 422
    assert message.startswith("Expected every form field to be one of: every, annotate, blur_faces")
    assert message.endswith("got fps, start.")
    assert sent("videos", video=[file(), file()])[0] == 422
    assert sent("batch", image=file(), nosuch="1")[0] == 422
    assert sent("analyze", image=file()) == (200, "")


def test_jobs_without_a_cookie_say_why_none_is_listed(app: Flask) -> None:
    answer = app.test_client(use_cookies=False).get("/api/v1/jobs").json or {}
    assert answer["jobs"] == []
    assert "Keep the cookie, or the id" in answer["note"]
