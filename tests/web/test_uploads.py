"""Videos sent to the server, and parts of its answers: forms, limits, ranges of bytes."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mien.errors import VideoReadError
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream
from mien.web import worker
from mien.web.config import WebConfig
from mien.web.store import jobs
from mien.web.store.jobs import JobStore

CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"
OPTIONS = {"every": 24, "annotate": False, "blur_faces": False}


def test_rejects_invalid_uploads(app: Flask) -> None:
    client = app.test_client()
    url = "/api/v1/videos"
    assert client.post(url).status_code == 422
    empty = client.post(url, data={"video": (io.BytesIO(b""), "x.mp4")})
    assert empty.status_code == 400
    wrong = client.post(url, data={"video": (io.BytesIO(b"x"), "x.mp4"), "every": "0"})
    assert wrong.status_code == 422
    for _ in range(3):
        assert client.post(url, data={"video": (io.BytesIO(b"x"), "x.mp4")}).status_code == 202
    enough = client.post(url, data={"video": (io.BytesIO(b"x"), "x.mp4")})
    assert enough.status_code == 409
    huge = client.post(
        url,
        data=b"x",
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"CONTENT_LENGTH": str(80 * 1024 * 1024)},
    )
    assert huge.status_code == 413


@pytest.mark.parametrize(
    ("text", "status"),
    [("True", 202), ("true", 202), ("False", 202), ("false", 202), ("maybe", 422), ("1", 422)],
)
def test_form_accepts_booleans_of_generated_clients(app: Flask, text: str, status: int) -> None:
    form = {"video": (io.BytesIO(b"x"), "x.mp4"), "annotate": text, "blur_faces": text}
    assert app.test_client().post("/api/v1/videos", data=form).status_code == status


def test_callers_without_cookies_are_limited_by_address(app: Flask) -> None:
    def status(address: str, *, keeps_cookie: bool = False) -> int:
        client = app.test_client()
        if keeps_cookie:
            client.get("/video")
        form = {"video": (io.BytesIO(b"x"), "x.mp4")}
        source = {"REMOTE_ADDR": address}
        return client.post("/api/v1/videos", data=form, environ_overrides=source).status_code

    assert [status("127.0.0.1") for _ in range(4)] == [202, 202, 202, 409]
    assert status("127.0.0.2") == 202
    # Visitors behind the same address have places of their own, within the address's limit.
    assert [status("127.0.0.1", keeps_cookie=True) for _ in range(10)] == [202] * 9 + [409]


def test_stored_videos_have_a_budget(make_app: Callable[..., Flask]) -> None:
    client = make_app(max_stored_mb=1).test_client()

    def submit_of(size: int) -> Any:
        form = {"video": (io.BytesIO(bytes(size)), "x.mp4")}
        return client.post("/api/v1/videos", data=form)

    assert [submit_of(400_000).status_code for _ in range(2)] == [202] * 2
    full = submit_of(400_000)
    assert full.status_code == 507
    assert full.json["error"]["code"] == "storage_full"
    assert submit_of(1000).status_code == 202


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        (None, 200, 0, 2_500_000), ("bytes=0-0", 206, 0, 1), ("bytes=10-19", 206, 10, 20),
        ("bytes=1048570-1048590", 206, 1_048_570, 1_048_591),
        ("bytes=2000000-", 206, 2_000_000, 2_500_000), ("bytes=-7", 206, 2_499_993, 2_500_000),
        ("bytes=-9000000", 206, 0, 2_500_000), ("bytes=2400000-9000000", 206, 2_400_000, 2_500_000),
        ("bytes=0-1,5-6", 200, 0, 2_500_000), ("lines=1-2", 200, 0, 2_500_000),
        ("bytes=9-3", 200, 0, 2_500_000), ("nonsense", 200, 0, 2_500_000),
    ],
)  # fmt: skip
def test_results_can_be_read_in_parts(
    app: Flask, asked: str | None, status: int, start: int, stop: int
) -> None:
    data, url = _stored_result(app)
    header = {"Range": asked} if asked else {}
    answer = app.test_client().get(url, headers=header)
    assert answer.status_code == status
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.data == data[start:stop]
    content_range = f"bytes {start}-{stop - 1}/2500000" if status == 206 else None
    assert answer.headers.get("Content-Range") == content_range


def test_part_beyond_the_end_is_refused(app: Flask) -> None:
    _, url = _stored_result(app)
    answer = app.test_client().get(url, headers={"Range": "bytes=2500000-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */2500000"


def _stored_result(app: Flask) -> tuple[bytes, str]:
    data = random.Random(0).randbytes(2_500_000)
    database = app.extensions["mien"].database
    job_id = JobStore(database).create(
        io.BytesIO(b"a video"), owner="", name="walk.mp4", options={}, hours=1
    )
    with database.begin() as connection:
        jobs._put_file(connection, io.BytesIO(data), job_id=job_id, role="result",
                      name="annotated.mp4", media_type="video/mp4")  # fmt: skip
    return data, f"/api/v1/jobs/{job_id}/files/annotated.mp4"


def test_rejects_too_long_videos(app: Flask, tmp_path: Path) -> None:
    pipeline = app.extensions["mien"].inference.pipeline
    work = worker._UploadAnalyzer(pipeline, max_video_s=5)
    with pytest.raises(VideoReadError, match="at most 5 seconds, got one of 16"):
        work(CLIP, tmp_path, OPTIONS, lambda done, share: None)


def test_rejects_too_many_frames(
    app: Flask, walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_MAX_FRAME_RATE", 3)
    pipeline = app.extensions["mien"].inference.pipeline
    work = worker._UploadAnalyzer(pipeline, max_video_s=4)
    folder = tmp_path / "results"
    folder.mkdir()
    with pytest.raises(VideoReadError, match="at most 12 frames"):
        work(walk, folder, {**OPTIONS, "every": 1}, lambda done, share: None)


def test_videos_have_the_models_of_mien_video_unless_the_settings_name_others() -> None:
    work = worker.video_work(FacePipeline(), WebConfig())
    assert isinstance(work, worker._UploadAnalyzer)
    assert work._pipeline.models == FaceStream().pipeline.models
    work = worker.video_work(
        named := FacePipeline(landmarks="facemesh", model="quick"), WebConfig()
    )
    assert isinstance(work, worker._UploadAnalyzer)
    assert work._pipeline is named


class Stalled(io.RawIOBase):
    """As the server's socket, from which nothing more comes in time."""

    def read(self, size: int = -1) -> bytes:
        raise BlockingIOError

    def readinto(self, buffer: object) -> int:
        raise BlockingIOError


@pytest.mark.parametrize("sent", [io.BytesIO(b"half"), Stalled()])
def test_an_upload_that_stops_is_no_invalid_request(client: FlaskClient, sent: Any) -> None:
    length = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "9"}
    address = "/api/v1/analyze"
    answer = client.post(address, environ_overrides={"wsgi.input": sent, **length})
    assert answer.status_code == 408
    error: Any = answer.json
    assert "stopped before its end" in error["error"]["message"]
