"""Faces that a visitor labels, and the model that is adapted to them."""

import io
import re
from collections.abc import Callable
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image as PillowImage

from mien.adaptation import faces
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.testing import face_image
from mien.types import Box
from mien.web.app import create_app
from mien.web.config import WebConfig
from mien.web.store import database, sessions

URL = "/api/v1/corrections"
MakeApp = Callable[..., Flask]


def jpeg(*left: int, size_wh: tuple[int, int] = (96, 96), **options: Any) -> bytes:
    """A picture with fake faces of 60 pixels at these places."""
    buffer = io.BytesIO()
    faces = [(Box(x, 18, x + 60, 78), "neutral") for x in left]
    PillowImage.fromarray(face_image(faces, size_wh)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def label(client: FlaskClient, name: str, picture: bytes | None = None) -> Any:
    data = {"image": (io.BytesIO(jpeg(18) if picture is None else picture), "f.jpg"), "label": name}
    return client.post(URL, data=data)


@pytest.fixture
def visitor(client: FlaskClient) -> FlaskClient:
    client.get("/photo")
    return client


def test_kept_listed_and_deleted(visitor: FlaskClient, app: Flask) -> None:
    for name in ("bored", "happiness", "  bored "):
        assert label(visitor, name).status_code == 201
    listed: Any = visitor.get(URL).json
    assert sorted(one["label"] for one in listed["corrections"]) == ["bored", "bored", "happiness"]
    first = listed["corrections"][0]["id"]
    picture = visitor.get(f"/corrections/{first}.jpg")
    assert picture.mimetype == "image/jpeg"
    page = visitor.get("/corrections").text
    assert "3 labeled faces" in page
    assert "disabled" in page
    stranger = app.test_client()
    stranger.get("/photo")
    assert stranger.get(URL).json == {"corrections": []}
    assert stranger.get(f"/corrections/{first}.jpg").status_code == 404
    assert stranger.delete(f"{URL}/{first}").status_code == 404
    assert visitor.delete(f"{URL}/{first}").json == {"deleted": 1}
    assert visitor.get(f"/corrections/{first}.jpg").status_code == 404
    assert visitor.delete(URL).json == {"deleted": 2}


@pytest.mark.parametrize(
    "name", ["a_b", "done", "running", "Sessions", "derived_from", "iPhone <b>"]
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_own_labels_are_shown_as_they_are(visitor: FlaskClient, name: str, language: str) -> None:
    label(visitor, name)
    label(visitor, "happiness")
    page = visitor.get(f"/corrections?lang={language}").text
    assert f"<b>1</b> {escape(name)} " in page
    assert f"<h3>{escape(name)}</h3>" in page
    assert ("<h3>Freude</h3>" if language == "de" else "<h3>happiness</h3>") in page


def test_form_deletes(visitor: FlaskClient, csrf_of: Any) -> None:
    ids = [label(visitor, name).json["id"] for name in ("a", "b", "c")]
    token = csrf_of(visitor, "/corrections")
    visitor.post("/corrections", data={"csrf_token": token, "action": "delete", "id": ids[0]})
    assert "2 labeled faces" in visitor.get("/corrections").text
    answer = visitor.post("/corrections", data={"csrf_token": token, "action": "delete"})
    assert answer.status_code == 400
    visitor.post("/corrections", data={"csrf_token": token, "action": "delete-all"})
    assert "No labeled faces yet" in visitor.get("/corrections").text


def test_pictures_are_small_and_say_nothing_else(visitor: FlaskClient) -> None:
    exif = PillowImage.Exif()
    exif[0x010E] = "a secret place"
    picture = jpeg(18, size_wh=(1200, 800), exif=exif)
    found = label(visitor, "bored", picture).json["id"]
    stored = visitor.get(f"/corrections/{found}.jpg").data
    assert b"secret" not in stored
    assert PillowImage.open(io.BytesIO(stored)).size == (320, 213)


@pytest.mark.parametrize("name", ["", "   ", "a" * 41, "a\nb", "a\x00", "\u202ea", "\u200b"])
def test_rejects_labels(visitor: FlaskClient, name: str) -> None:
    assert label(visitor, name).status_code == 422


def test_rejects_what_is_no_picture(visitor: FlaskClient, client: FlaskClient) -> None:
    assert label(visitor, "bored", b"no picture").status_code == 400
    assert label(visitor, "bored", jpeg(18, size_wh=(5000, 5000))).status_code == 400
    assert visitor.post(URL, data={"label": "bored"}).status_code == 422


def test_needs_a_visitor(client: FlaskClient) -> None:
    answer = label(client, "bored")
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "cookie_needed"


def test_is_limited(visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.web.corrections._MOST", 2)
    assert [label(visitor, "a").status_code for _ in range(3)] == [201, 201, 413]


def test_space_is_limited(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.web.videos.MEGABYTE", 1000)
    client = make_app(max_stored_mb=6).test_client()
    client.get("/photo")
    assert {label(client, "a", jpeg(18, size_wh=(300, 300))).status_code for _ in range(5)} == {
        201,
        507,
    }


def test_expires(visitor: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    label(visitor, "bored")
    made = app.extensions["mien"].database
    sessions.SessionStore(made).sweep()
    assert len(visitor.get(URL).json["corrections"]) == 1  # type: ignore[index]
    later = database.now() + timedelta(days=31)
    monkeypatch.setattr(sessions, "now", lambda: later)
    sessions.SessionStore(made).sweep()
    assert visitor.get(URL).json == {"corrections": []}


def test_needs_enough_faces(visitor: FlaskClient) -> None:
    for name in ("a", "a", "a", "b", "b"):
        label(visitor, name)
    answer: Any = visitor.post(f"{URL}/adapt")
    assert answer.status_code == 409
    assert answer.json["error"]["code"] == "too_few_labels"


def test_counts_what_labels_mean(visitor: FlaskClient) -> None:
    for name in ("Happy", "happiness", "Bored", "bored", "HAPPY"):
        assert label(visitor, name).json["label"] == name
    page = visitor.get("/corrections").text
    assert re.findall(r"<li><b>(\d)</b> (\w+)", page) == [("2", "Bored"), ("3", "happiness")]
    assert "disabled" in page
    label(visitor, "bored")
    job: Any = visitor.post(f"{URL}/adapt").json
    assert job["name"] == "Model: Bored, happiness"


def test_rejects_pictures_without_one_face(visitor: FlaskClient) -> None:
    for picture, code in ((jpeg(), "no_face"), (jpeg(0, 100, size_wh=(200, 96)), "several_faces")):
        answer = label(visitor, "bored", picture)
        assert (answer.status_code, answer.json["error"]["code"]) == (422, code)
    # The half of a neighbor at the edge.
    assert label(visitor, "bored", jpeg(18, 95)).status_code == 201


def real_app(folder: Path) -> Flask:
    """An application with real networks, which find the faces of photographs."""
    config = WebConfig(data_dir=folder, rate_limits=False)
    return create_app(config, FacePipeline(landmarks="face-landmarker"))


def test_adapted_model_is_used_exported_and_deleted(tmp_path: Path, csrf_of: Any) -> None:
    app = real_app(tmp_path)
    visitor = app.test_client()
    visitor.get("/photo")
    photos = {path.stem: path.read_bytes() for path in sample_paths() if path.stem != "group"}
    assert len(photos) == 8 > 2 * faces.LEAST
    for name, photo in photos.items():
        assert label(visitor, "grin" if "smiling" in name else "calm", photo).status_code == 201
    job: Any = visitor.post(f"{URL}/adapt").json
    assert app.extensions["mien"].jobs.run_next()
    job = visitor.get(f"/api/v1/jobs/{job['id']}").json
    assert job["state"] == "done", job["message"]
    files = {entry["name"]: entry["url"] for entry in job["files"]}
    result: Any = visitor.get(files["result.json"]).get_json(force=True)
    assert result["n"] == 8
    assert sorted(result["labels"]) == ["grin", "neutral"]
    assert result["kept"]
    page = visitor.get(f"/jobs/{job['id']}").text
    assert "Your labels" in page
    assert "The model was kept. Balanced accuracy in cross-validation: " in page
    assert 'value="keep"' not in page
    assert visitor.get("/api/v1/jobs").json["jobs"]  # type: ignore[index]
    assert "Model: grin, neutral" not in visitor.get("/video").text
    assert "Model: grin, neutral" in visitor.get("/photo").text
    assert len(visitor.get(files["model.onnx"]).data) > 1_000_000

    use = f"/api/v1/analyze?model={job['id']}"
    answer: Any = visitor.post(use, data=photos["person-a-smiling"])
    assert answer.status_code == 200
    strangers = app.test_client()
    strangers.get("/photo")
    assert strangers.post(use, data=photos["person-a-smiling"]).status_code == 404
    form = {"csrf_token": csrf_of(visitor, "/photo"), "action": "delete"}
    assert visitor.post(f"/jobs/{job['id']}", data=form).location == "/corrections"
    assert visitor.post(use, data=photos["person-a-smiling"]).status_code == 404


def test_page_says_that_a_model_was_not_kept(tmp_path: Path) -> None:
    app = real_app(tmp_path)
    visitor = app.test_client()
    visitor.get("/photo")
    for path in sample_paths():
        if path.stem != "group":
            label(visitor, "left" if path.stem[7] in "ac" else "right", path.read_bytes())
    job: Any = visitor.post(f"{URL}/adapt").json
    url = f"/jobs/{job['id']}"
    jobs = database.jobs
    running = sa.update(jobs).where(jobs.c.id == job["id"])
    app.extensions["mien"].database.execute(running.values(state="running", frames_done=12))
    assert "frames" not in visitor.get(url).text
    app.extensions["mien"].database.execute(running.values(state="queued", frames_done=0))
    assert app.extensions["mien"].jobs.run_next()
    page = visitor.get(url).text
    reason = "the labels cannot be distinguished better than by chance"
    assert f"The model was not better and was not kept: {reason}." in page
    assert re.search(r"Balanced accuracy in cross-validation: \d+\u202f%\.", page)
    assert "not better</span>" in page
    assert 'value="keep"' not in page


def test_failed_adaptation_says_why(tmp_path: Path, make_app: MakeApp) -> None:
    app = make_app()
    visitor = app.test_client()
    visitor.get("/photo")
    for name in ("a", "b"):
        for left in (0, 18, 36):
            label(visitor, name, jpeg(left))
    job: Any = visitor.post(f"{URL}/adapt").json
    app.extensions["mien"].jobs.run_next()
    job = visitor.get(f"/api/v1/jobs/{job['id']}").json
    assert job["state"] == "failed"
    assert "face" in job["message"]
    assert str(tmp_path) not in job["message"]
