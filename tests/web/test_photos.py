"""Photographs: the API and the page."""

import base64
import csv
import html
import io
import json
import re
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.web.app import create_app
from mien.web.config import WebConfig
from mien.web.inference import BusyError
from mien.web.schemas import ErrorDocument, FrameResultDocument
from mien.web.services import Services

CsrfOf = Callable[[FlaskClient, str], str]
URL = "/api/v1/analyze"


def test_multipart_upload_returns_the_pipelines_result(
    client: FlaskClient, photo: bytes, pipeline: FacePipeline
) -> None:
    answer = client.post(URL, data={"image": (io.BytesIO(photo), "group.jpg")})
    assert answer.status_code == 200
    wanted = pipeline.analyze(read_image(photo), source="group.jpg").to_dict()
    assert answer.json is not None
    assert {**answer.json, "timings_ms": 0} == {**wanted, "timings_ms": 0}
    assert len(wanted["faces"]) == 4
    FrameResultDocument.model_validate(answer.json)


def test_body_upload_returns_landmarks_on_request(client: FlaskClient, smile: bytes) -> None:
    answer = client.post(URL + "?landmarks=true", data=smile, content_type="image/jpeg")
    assert answer.json is not None
    (face,) = answer.json["faces"]
    assert face["expression"]["label"] == "happiness"
    assert len(face["landmarks"]["points"]) == 468


def test_presence_can_be_asked_of_one_photograph(client: FlaskClient, photo: bytes) -> None:
    counts = []
    for query in ("?min_presence=1", "?min_presence=0", ""):
        answer = client.post(URL + query, data=photo, content_type="image/jpeg")
        assert answer.json is not None
        counts.append(len(answer.json["faces"]))
    assert counts[0] < counts[1] == counts[2] == 4


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"data": b""}, 400, "image_missing"),
        ({"data": b"no picture at all"}, 400, "image_unreadable"),
        ({"data": {"picture": (io.BytesIO(b"x"), "x.jpg")}}, 400, "image_missing"),
        ({"data": b"x", "query_string": {"landmarks": "perhaps"}}, 422, "invalid"),
        ({"data": b"x", "query_string": {"min_presence": "2"}}, 422, "invalid"),
        ({"data": b"0" * (1024 * 1024 + 70_000)}, 413, "too_large"),
    ],
)
def test_rejects_invalid_images(
    app: Flask, body: dict[str, object], status: int, code: str
) -> None:
    config = app.extensions["mien"].config
    object.__setattr__(config, "max_image_mb", 1)
    answer = app.test_client().post(URL, **body)
    assert answer.status_code == status
    document = ErrorDocument.model_validate(answer.json)
    assert document.error.code == code
    assert document.error.request_id == answer.headers["X-Request-ID"]


def test_rejects_too_many_pixels_before_decoding(client: FlaskClient) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(4096)))
    answer = client.post(URL, data=bomb)
    assert answer.status_code == 400
    assert answer.json is not None
    assert "pixels" in answer.json["error"]["message"]


def test_busy_server_returns_503_with_retry_after(
    app: Flask, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = app.extensions["mien"]

    def refuse() -> None:
        raise BusyError(2400)

    monkeypatch.setattr(services.inference.gate, "_enter", refuse)
    answer = app.test_client().post(URL, data=photo)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.json is not None
    assert answer.json["error"]["details"] == [{"retry_after_ms": 2400}]


def test_visitors_are_not_asked_to_install(
    client: FlaskClient,
    csrf_of: CsrfOf,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # As where the extra is not installed.
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    answer = client.post(URL, data=heic)
    message = "This server cannot read pictures of this kind. Choose a JPEG or PNG file."
    assert answer.json is not None
    assert (answer.status_code, answer.json["error"]["message"]) == (400, message)
    assert "pip install 'mien[heif]'" in caplog.text
    form = {"image": (io.BytesIO(heic), "a.heic"), "csrf_token": csrf_of(client, "/photo")}
    page = client.post("/photo?lang=de", data=form).text
    assert "Dieser Server kann Bilder dieser Art nicht lesen." in page
    assert "pip" not in page


def test_several_photographs_become_a_gallery(
    client: FlaskClient, photo: bytes, smile: bytes, csrf_of: CsrfOf
) -> None:
    sent = [
        (io.BytesIO(photo), "a.jpg"),
        (io.BytesIO(b"no"), "b.jpg"),
        (io.BytesIO(smile), "c.jpg"),
    ]
    page = client.post("/photo", data={"image": sent, "csrf_token": csrf_of(client, "/photo")}).text
    assert "3 photos" in page
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "notice bad" in page
    found = re.search(r"data:text/csv;base64,([\w+/=]+)", page)
    assert found
    rows = list(csv.DictReader(base64.b64decode(found[1]).decode().splitlines()))
    assert len(rows) == 5
    assert {row["expression"] for row in rows} >= {"happiness", "neutral"}


# Werkzeug leaves the parts of a form that it refuses to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_gallery_has_as_many_photographs_as_a_request_of_the_api(
    client: FlaskClient, csrf_of: CsrfOf
) -> None:
    token = csrf_of(client, "/photo")

    def sent(count: int) -> tuple[int, str]:
        images = [(io.BytesIO(b"no"), f"{n}.jpg") for n in range(count)]
        form = {"image": images, "csrf_token": token, "model": ""}
        answer = client.post("/photo", data=form, headers={"Accept": "text/html"})
        return answer.status_code, answer.text

    status, page = sent(100)
    assert (status, "100 photos" in page) == (200, True)
    for count in (101, 500):
        status, page = sent(count)
        assert status == 413
        assert "Too many pictures at once: the limit is 100." in page


def test_page_shows_the_faces_of_a_real_photograph(
    tmp_path: Path, samples: dict[str, Path]
) -> None:
    # The one test of this folder with real networks.
    pipeline = FacePipeline(landmarks="face-landmarker")
    app = create_app(WebConfig(data_dir=tmp_path), pipeline)
    with samples["group"].open("rb") as group:
        page = app.test_client().post("/photo", data={"image": (group, "group.jpg")}).text
    # Behind it are the parts that a script copies.
    page, parts = page.split("<template data-parts>")
    assert 'class="card face"' in parts
    assert "4 faces" in page
    assert page.count('class="card face"') == 4
    assert re.findall(r'data-expression="(\w+)"', page) == [
        "happiness", "neutral", "happiness", "neutral",
    ]  # fmt: skip
    assert page.count('src="data:image/jpeg;base64,') == 4
    assert page.count('<a class="face-mark') == 4
    assert page.count('data-show="gaze"') == 1
    # A line from each iris, in the box of the face.
    result = pipeline.analyze(read_image(samples["group"]))
    arrows = re.findall(r'<path class="gaze" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', page)
    assert len(arrows) == 8
    for face, numbers in zip(result, arrows[::2], strict=True):
        x, y, to_x, to_y = map(float, numbers)
        box = face.box
        assert box.x_min < min(x, to_x) <= max(x, to_x) < box.x_max
        assert box.y_min < min(y, to_y) <= max(y, to_y) < box.y_max
    assert len(re.findall(r'd="M[\d. Mh]+"', page)) == 4
    assert "&#34;schema_version&#34;: 1" in page


def test_page_has_what_another_prior_needs(
    make_app: Callable[..., Flask], pipeline: FacePipeline, smile: bytes, csrf_of: CsrfOf
) -> None:
    client = make_app(live="server").test_client()
    form = {"image": (io.BytesIO(smile), "a.jpg"), "csrf_token": csrf_of(client, "/photo")}
    page = client.post("/photo", data=form).text
    found = re.search(r'data-frequencies="([^"]+)"', page)
    assert found
    given = json.loads(html.unescape(found[1]))
    spec = pipeline.classifier.spec
    assert given["labels"] == [label.value for label in spec.labels]
    assert given["training_prior"] == list(spec.training_prior)
    assert "<template data-parts>" not in page  # nothing is shown by scripts


def test_page_accepts_only_existing_samples(client: FlaskClient, csrf_of: CsrfOf) -> None:
    form = {"csrf_token": csrf_of(client, "/photo"), "sample": "person-b-smiling.jpg"}
    assert client.post("/photo", data=form).status_code == 200
    assert client.get("/samples/person-b-smiling.jpg").mimetype == "image/jpeg"
    assert client.get("/samples/..%2f..%2fpyproject.toml").status_code == 404
    token = csrf_of(client, "/photo")
    bad = client.post("/photo", data={"csrf_token": token, "sample": "../secret.jpg"})
    assert bad.status_code == 404
    assert 'role="alert"' in bad.text
