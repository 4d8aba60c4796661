"""Video jobs: leases, failures, cancellation, folders, and a video from upload to report."""

import csv
import errno
import io
import re
import shutil
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from mien.errors import VideoReadError
from mien.testing import face_frames
from mien.web.config import WebConfig
from mien.web.jobs import (
    JobRunner,
    JobStoppedError,
    Progress,
)
from mien.web.store import database as tables
from mien.web.store import jobs
from mien.web.store.database import Database, now
from mien.web.store.jobs import JobStore

WaitUntil = Callable[..., Any]
CsrfOf = Callable[[FlaskClient, str], str]
CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"
OPTIONS = {"every": 24, "annotate": False, "blur_faces": False}


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Database:
    shutil.copy(migrated, tmp_path / "jobs.sqlite")
    return Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")


def submit(database: Database, data: bytes = b"a video", owner: str = "") -> str:
    return JobStore(database).create(
        io.BytesIO(data), owner=owner, name="../../etc/walk.mp4", options=OPTIONS, hours=1
    )


def state_of(database: Database, job_id: str) -> dict[str, Any]:
    row = JobStore(database).find(job_id, "")
    assert row is not None
    return row


def age(database: Database, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(sa.update(tables.jobs).values(**values))


def runner(database: Database, tmp_path: Path, work: Any) -> JobRunner:
    return JobRunner(database, WebConfig(data_dir=tmp_path), work)


def test_one_worker_claims_a_job(database: Database) -> None:
    job_id = submit(database)
    assert JobStore(database).claim("one") is not None
    assert JobStore(database).claim("two") is None
    assert JobStore(database).renew_lease(job_id, "one", frames_done=3, progress=0.1)
    assert not JobStore(database).renew_lease(job_id, "two", frames_done=9, progress=0.9)
    assert not JobStore(database).finish(job_id, "two", state="done", hours=1)
    assert state_of(database, job_id)["frames_done"] == 3


def test_lost_job_is_retried_and_fails_in_the_end(
    database: Database,
) -> None:
    job_id = submit(database)
    for attempt in range(1, jobs._MAX_ATTEMPTS + 1):
        assert JobStore(database).claim(f"worker {attempt}") is not None
        assert not JobStore(database).sweep()
        age(database, lease_until=now() - timedelta(seconds=1))
        assert JobStore(database).sweep() == (attempt < jobs._MAX_ATTEMPTS)
    assert state_of(database, job_id)["state"] == "failed"
    assert JobStore(database).files(job_id, role="upload") == []
    # A worker that lost its lease changes nothing.
    assert not JobStore(database).finish(job_id, "worker 3", state="done", hours=1)


def test_results_expire_unless_kept(database: Database) -> None:
    gone, kept = submit(database), submit(database)
    for job_id in (gone, kept):
        JobStore(database).claim("worker")
        JobStore(database).finish(job_id, "worker", state="done", hours=1)
    age(database, expires_at=now() - timedelta(seconds=1))
    JobStore(database).keep(kept, days=3)
    JobStore(database).sweep()
    assert JobStore(database).find(gone, "") is None
    assert state_of(database, kept)["kept"]


def test_results_are_stored_and_the_upload_is_deleted(database: Database, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    seen: dict[str, Any] = {}

    def work(video: Path, folder: Path, options: dict[str, Any], report: Progress) -> None:
        seen.update(data=video.read_bytes(), name=video.name, options=options, folder=folder)
        report(5, 0.5)
        (folder / "faces.csv").write_bytes(content)

    job_id = submit(database, content)
    assert runner(database, tmp_path, work).run_next()
    assert state_of(database, job_id)["state"] == "done"
    assert (seen["data"], seen["name"], seen["options"]) == (content, "walk.mp4", OPTIONS)
    assert not seen["folder"].exists()
    (result,) = JobStore(database).files(job_id, role="result")
    assert (result["name"], result["size"]) == ("faces.csv", len(content))
    assert b"".join(JobStore(database).read_file(result["id"])) == content
    assert JobStore(database).files(job_id, role="upload") == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (VideoReadError, "No video in walk.mp4"),
        (ZeroDivisionError, "An internal error occurred. It was logged."),
        (partial(OSError, errno.ENOSPC), "The disk of the server is full. Try again later."),
    ],
)
def test_failure_message_hides_local_paths(
    database: Database, tmp_path: Path, error: Callable[[str], Exception], message: str
) -> None:
    def work(video: Path, *_: Any) -> None:
        raise error(f"no video in {video}")

    job_id = submit(database)
    assert runner(database, tmp_path, work).run_next()
    row = state_of(database, job_id)
    assert (row["state"], row["message"]) == ("failed", message)


def test_canceled_jobs_stop(database: Database, tmp_path: Path, wait_until: WaitUntil) -> None:
    started = threading.Event()

    def work(video: Path, folder: Path, options: dict[str, Any], report: Progress) -> None:
        started.set()
        wait_until(lambda: report(1, 0.1))

    job_id, waiting = submit(database), submit(database)
    thread = threading.Thread(target=runner(database, tmp_path, work).run_next)
    thread.start()
    assert started.wait(600)
    JobStore(database).cancel(job_id)
    JobStore(database).cancel(waiting)
    thread.join(600)
    assert state_of(database, job_id)["state"] == "cancelled"
    assert state_of(database, waiting)["state"] == "cancelled"
    assert JobStore(database).files(waiting, role="upload") == []


def test_deleted_jobs_stop_silently(
    database: Database, tmp_path: Path, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    store = JobStore(database)
    deleted_early, deleted_late = submit(database), submit(database)

    def work(video: Path, folder: Path, options: dict[str, Any], report: Progress) -> None:
        store.delete(deleted_late)
        # As the thread does that shows the recording so far.
        store.show(deleted_late, b"{}")
        wait_until(lambda: report(1, 0.1))

    claim = JobStore.claim

    def claim_and_delete(self: JobStore, worker: str) -> Any:
        found = claim(self, worker)
        store.delete(deleted_early)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobStore, "claim", claim_and_delete)
        assert runner(database, tmp_path, work).run_next()
    assert runner(database, tmp_path, work).run_next()
    assert store.find(deleted_late, "") is None
    assert store.read_page(deleted_late) is None
    assert not caplog.records


def test_page_of_a_job_is_whole_while_it_is_replaced(database: Database) -> None:
    store = JobStore(database)
    job_id = submit(database)
    # Over a megabyte: in two chunks.
    pages = [character * (3 << 19) for character in (b"a", b"b")]
    store.show(job_id, pages[0])

    def replace() -> None:
        for number in range(40):
            store.show(job_id, pages[number % 2])

    thread = threading.Thread(target=replace)
    thread.start()
    while thread.is_alive():
        assert store.read_page(job_id) in pages
    thread.join()


def test_running_job_is_released_at_shutdown(
    database: Database, tmp_path: Path, wait_until: WaitUntil
) -> None:
    started = threading.Event()

    def work(video: Path, folder: Path, options: dict[str, Any], report: Progress) -> None:
        started.set()
        wait_until(lambda: report(1, 0.1))

    job_id = submit(database)
    ending = runner(database, tmp_path, work)
    thread = threading.Thread(target=ending.run_next)
    thread.start()
    assert started.wait(600)
    ending.stop()
    thread.join(600)
    row = state_of(database, job_id)
    assert (row["state"], row["attempts"], row["worker"]) == ("queued", 0, None)
    assert JobStore(database).files(job_id, role="upload")
    # A stopped runner claims nothing.
    assert not ending.run_next()
    assert state_of(database, job_id)["state"] == "queued"


def test_video_from_upload_to_report(
    app: Flask, walk: Path, wait_until: WaitUntil, csrf_of: CsrfOf
) -> None:
    runner: JobRunner = app.extensions["mien"].jobs
    runner.start(workers=1)
    client = app.test_client()
    token = csrf_of(client, "/video")
    with walk.open("rb") as video:
        answer = client.post(
            "/video",
            data={"csrf_token": token, "video": (video, "walk.mp4"), "every": "1"},
        )
    assert answer.status_code == 303
    job_id = answer.location.rsplit("/", 1)[1]
    # Without scripts, the page is loaded again and again.
    assert 'http-equiv="refresh"' in client.get(f"/jobs/{job_id}").text

    def ended() -> Any:
        document: Any = client.get(f"/api/v1/jobs/{job_id}").json
        return document if document["state"] not in {"queued", "running"} else None

    document = wait_until(ended, seconds=60)
    assert document["state"] == "done", document
    urls = {entry["name"]: entry["url"] for entry in document["files"]}
    assert set(urls) >= {"faces.csv", "frames.jsonl", "tracks.csv", "report.html"}
    rows = list(csv.DictReader(io.StringIO(client.get(urls["faces.csv"]).text)))
    assert {row["expression"] for row in rows} >= {"happiness", "neutral"}
    report = client.get(urls["report.html"])
    policy = report.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "script-src 'sha256-" in policy
    page = client.get(f"/jobs/{job_id}").text
    assert "walk.mp4" in page
    assert 'http-equiv="refresh"' not in page
    assert "iframe" not in page
    assert 'class="course" data-person="1"' in page
    assert "Person 1: happiness" in page
    assert 'data-at="' in client.get(f"/jobs/{job_id}/timelines").text

    stranger = app.test_client()
    stranger.get("/video")
    assert stranger.get(f"/api/v1/jobs/{job_id}").status_code == 404
    assert stranger.get(urls["faces.csv"]).status_code == 404
    assert stranger.get(f"/jobs/{job_id}/timelines").status_code == 404
    client.post(f"/jobs/{job_id}", data={"csrf_token": token, "action": "delete"})
    assert client.get(urls["faces.csv"]).status_code == 404


def test_job_of_a_cut_video_says_what_is_missing(
    app: Flask, tmp_path: Path, csrf_of: CsrfOf
) -> None:
    """Its index is at the start, and the second half of its pictures is not there."""
    whole = tmp_path / "whole.mp4"
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for image, _ in face_frames(48, frame_rate=8):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        target.mux(stream.encode())
    cut = whole.read_bytes()[: int(0.6 * whole.stat().st_size)]
    runner: JobRunner = app.extensions["mien"].jobs
    client = app.test_client()
    form = {"csrf_token": csrf_of(client, "/video"), "video": (io.BytesIO(cut), "cut.mp4")}
    job_url = client.post("/video", data=form).location
    assert runner.run_next()
    document: Any = client.get(f"/api/v1{job_url}").json
    assert document["state"] == "done"
    assert "run.json" in {entry["name"] for entry in document["files"]}
    lines = client.get(f"/api/v1{job_url}/files/frames.jsonl").text.splitlines()
    assert 0 < document["frames_done"] == len(lines) < 48
    assert re.search(r"^The file is cut: \d", document["message"], re.M)
    page = client.get(job_url, headers={"Accept-Language": "de"}).text
    assert re.search(
        r"<p dir=\"auto\">Die Datei ist abgeschnitten: \d+,\d\d von 6,00 Sekunden", page
    )
    for address in (job_url, "/video"):
        assert ">done, with warnings</span>" in client.get(address).text


def test_lease_lost_to_the_database_does_not_cancel_the_job(
    database: Database, tmp_path: Path
) -> None:
    def work(*_: Any) -> None:
        raise JobStoppedError

    job_id = submit(database)
    assert runner(database, tmp_path, work).run_next()
    assert state_of(database, job_id)["state"] == "queued"


def test_two_workers_share_many_jobs(
    database: Database, tmp_path: Path, wait_until: WaitUntil
) -> None:
    ids = [submit(database) for _ in range(20)]
    done: list[str] = []

    def work(video: Path, folder: Path, options: dict[str, Any], report: Progress) -> None:
        done.append(threading.current_thread().name)

    both = runner(database, tmp_path, work)
    both.start(workers=2)
    wait_until(lambda: all(state_of(database, one)["state"] == "done" for one in ids))
    both.stop()
    assert len(done) == len(ids)
    assert len(set(done)) == 2


def test_worker_outlives_an_unavailable_database(
    database: Database, tmp_path: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise OperationalError("", None, Exception("connection refused"))

    job_id = submit(database)
    surviving = runner(database, tmp_path, lambda *_: None)
    with monkeypatch.context() as patch:
        patch.setattr(database, "_ready", fail)
        surviving.start(workers=1)
        assert failed.wait(600)
    wait_until(lambda: state_of(database, job_id)["state"] == "done")
    surviving.stop()


def test_job_folder_is_private_and_deleted(database: Database, tmp_path: Path) -> None:
    seen: list[Path] = []

    def work(video: Path, *_: Any) -> None:
        seen.append(video.parent)
        assert {folder.stat().st_mode & 0o077 for folder in (video.parent, *seen)} == {0}
        running.sweep()
        assert video.is_file()

    job_id = submit(database)
    running = runner(database, tmp_path, work)
    assert running.run_next()
    assert state_of(database, job_id)["state"] == "done"
    assert seen[0].parent == tmp_path / "jobs"
    assert not seen[0].exists()


def test_folder_of_a_killed_worker_is_removed(database: Database, tmp_path: Path) -> None:
    job_id = submit(database)
    JobStore(database).claim("killed")
    left = tmp_path / "jobs" / f"{job_id}.x1"
    left.mkdir(parents=True)
    sweeper = runner(database, tmp_path, lambda *_: None)
    sweeper.sweep()
    assert left.is_dir()
    age(database, lease_until=now() - timedelta(seconds=1))
    sweeper.sweep()
    assert not left.exists()
