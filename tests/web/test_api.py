"""The HTTP API on photographs."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import mien.runtime.catalog as model_catalog
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.web.inference import BusyError, Engine
from mien.web.schemas import ErrorDocument, FrameResultDocument, ModelsDocument

URL = "/api/v1/analyze"


def test_a_photograph_as_multipart_gives_what_the_pipeline_gives(
    client: FlaskClient, samples: dict[str, Path], pipeline: FacePipeline
) -> None:
    with samples["group"].open("rb") as photo:
        answer = client.post(URL, data={"image": (photo, "group.jpg")})
    assert answer.status_code == 200
    wanted = pipeline.analyze(read_image(samples["group"]), source="group.jpg").to_dict()
    assert answer.json is not None
    assert {**answer.json, "timings_ms": 0} == {**wanted, "timings_ms": 0}
    assert len(wanted["faces"]) == 4
    FrameResultDocument.model_validate(answer.json)


def test_a_photograph_as_bytes(client: FlaskClient, samples: dict[str, Path]) -> None:
    answer = client.post(
        URL + "?landmarks=true", data=samples["person-a-smiling"].read_bytes(),
        content_type="image/jpeg",
    )  # fmt: skip
    assert answer.json is not None
    (face,) = answer.json["faces"]
    assert face["expression"]["label"] == "happiness"
    assert len(face["landmarks"]["points"]) == 468


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"data": b""}, 400, "image_missing"),
        ({"data": b"no picture at all"}, 400, "image_unreadable"),
        ({"data": {"picture": (io.BytesIO(b"x"), "x.jpg")}}, 400, "image_missing"),
        ({"data": b"x", "query_string": {"landmarks": "perhaps"}}, 422, "invalid"),
        ({"data": b"0" * (1024 * 1024 + 70_000)}, 413, "too_large"),
    ],
)
def test_what_is_no_photograph_is_told(
    app: Flask, body: dict[str, object], status: int, code: str
) -> None:
    config = app.extensions["mien.config"]
    object.__setattr__(config, "max_image_mb", 1)
    answer = app.test_client().post(URL, **body)
    assert answer.status_code == status
    document = ErrorDocument.model_validate(answer.json)
    assert document.error.code == code
    assert document.error.request_id == answer.headers["X-Request-ID"]


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(client: FlaskClient) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(4096)))
    answer = client.post(URL, data=bomb)
    assert answer.status_code == 400
    assert answer.json is not None
    assert "pixels" in answer.json["error"]["message"]


def test_too_much_to_do_is_said(
    app: Flask, samples: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Engine = app.extensions["mien.engine"]

    def refuse() -> None:
        raise BusyError(2400)

    monkeypatch.setattr(engine.gate, "_enter", refuse)
    answer = app.test_client().post(URL, data=samples["group"].read_bytes())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.json is not None
    assert answer.json["error"]["details"] == [{"retry_after_ms": 2400}]


def test_models_and_health(client: FlaskClient, pipeline: FacePipeline) -> None:
    answer = client.get("/api/v1/models")
    document = ModelsDocument.model_validate(answer.json)
    assert [model.name for model in document.models] == [
        entry.spec.name for entry in model_catalog.entries()
    ]
    assert document.active == pipeline.models
    health = client.get("/api/v1/health").json
    assert health is not None
    assert health["status"] == "ok"
