"""PostgreSQL, separate workers, a cluster: real processes, stopped, killed and started again."""

import io
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
CLIP = ROOT / "src/mien/web/static/sample.mp4"
Missing = Callable[[str], NoReturn]


def postgres_tool(name: str, missing: Missing) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    tool = shutil.which(name) or (str(found[-1]) if found else None)
    if tool is None:
        missing("PostgreSQL: apt-get install postgresql")
    return tool


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A separate server that can be stopped and started again."""

    def __init__(self, folder: Path, missing: Missing) -> None:
        self._folder = folder
        self._port = free_port()
        self._pg_ctl = postgres_tool("pg_ctl", missing)
        # PostgreSQL refuses to run as root.
        self._user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._user:
            shutil.chown(folder, "postgres")
        initdb = [postgres_tool("initdb", missing), "-D", str(folder / "data"), "-A", "trust", "-N"]
        subprocess.run(
            [*self._user, *initdb, "-U", "mien"], check=True, capture_output=True, cwd="/"
        )
        self.url = f"postgres://mien@127.0.0.1:{self._port}/postgres"
        self.start()

    def start(self) -> None:
        options = f"-p {self._port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        self._control("-w", "-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        command = [self._pg_ctl, "-D", str(self._folder / "data"), *arguments]
        subprocess.run(
            [*self._user, *command], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=120
        )


@pytest.fixture
def postgres(missing: Missing) -> Iterator[Postgres]:
    # PostgreSQL runs as another user, who cannot read pytest's folders.
    with tempfile.TemporaryDirectory(prefix="mien-postgres-") as folder:
        server = Postgres(Path(folder), missing)
        yield server
        server.stop()


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> "subprocess.Popen[bytes]":
        folder = tmp_path / f"worker-{len(started)}"
        folder.mkdir()
        # The worker shares no folder with the web process.
        environment |= {"MIEN_DATA_DIR": str(folder), "TMPDIR": str(folder)}
        command = [sys.executable, "-m", "mien.web.worker"]
        with (folder / "log").open("wb") as log:
            started.append(
                subprocess.Popen(command, env={**os.environ, **environment}, cwd=folder, stderr=log)
            )
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.wait()


def request(
    url: str, data: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, Any]:
    """The status and the JSON of a response."""
    asked = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.load(answer) if is_json else answer.read()
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def submit(url: str, *, every: int) -> str:
    """Submit the sample clip; returns the job's id."""
    body, kind = video_form(every=every)
    status, document = request(f"{url}/api/v1/videos", body, **kind)
    assert status == 202, document
    return str(document["id"])


def video_form(*, every: int) -> tuple[bytes, dict[str, str]]:
    """The body that submits the sample clip, and its header."""
    boundary = uuid.uuid4().hex
    body = io.BytesIO()
    for name, value in (("every", str(every)), ("annotate", "false")):
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        body.write(part.encode())
    body.write(
        f'--{boundary}\r\nContent-Disposition: form-data; name="video"; filename="walk.mp4"\r\n\r\n'
        .encode() + CLIP.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    )  # fmt: skip
    return body.getvalue(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def wait_for(url: str, job_id: str, *states: str, seconds: float = 240) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status, document = request(f"{url}/api/v1/jobs/{job_id}")
        if status == 200 and document["state"] in states:
            return dict(document)
        time.sleep(0.2)
    raise AssertionError(f"expected {states}, got {document}")


def test_another_worker_repeats_the_job_of_a_killed_one(
    serve: Callable[..., Any], postgres: Postgres, start_worker: Callable[..., Any]
) -> None:
    shared = {"DATABASE_URL": postgres.url, "MIEN_JOBS": "worker"}
    web = serve(**shared)
    first = start_worker(**shared)
    job_id = submit(web.url, every=1)
    wait_for(web.url, job_id, "running")
    first.kill()
    first.wait()
    start_worker(**shared)
    document = wait_for(web.url, job_id, "done", "failed")
    assert (document["state"], document["attempts"]) == ("done", 2)
    table = next(entry for entry in document["files"] if entry["name"] == "faces.csv")
    with urllib.request.urlopen(web.url + table["url"], timeout=120) as answer:
        lines = answer.read().decode().splitlines()
    # Two people in each of 384 frames, except the frames that tracking needs to start.
    assert len(lines) > 700


def test_job_survives_a_crash_of_the_web_process(serve: Callable[..., Any]) -> None:
    web = serve()
    job_id = submit(web.url, every=1)
    wait_for(web.url, job_id, "running")
    web.kill()
    web.start()
    document = wait_for(web.url, job_id, "done", "failed")
    assert (document["state"], document["attempts"]) == ("done", 2)


def test_sessions_count_toward_the_space_in_postgresql(postgres: Postgres) -> None:
    import sqlalchemy as sa

    from mien.testing import FakePipeline, face_image
    from mien.web.config import WebConfig
    from mien.web.store import database as tables
    from mien.web.store.sessions import SessionStore

    database = tables.Database(tables.database_url(WebConfig(database_url=postgres.url)))
    result = FakePipeline().analyze(face_image())
    store = SessionStore(database, max_stored=1000)
    recording = store.start("", name="", days=1)
    while recording.add(result):
        assert recording.finish() is not recording.full
    stored = len(list(store.read_frames(recording.session_id)))
    assert stored > 1

    with database.begin() as connection:
        size = tables.stored_bytes(connection)
        assert 0 < size <= 1000
        # As the migration before the column left the table.
        connection.execute(sa.text("ALTER TABLE sessions DROP COLUMN size"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0006'"))
    again = tables.Database(database.url)
    with again.begin() as connection:
        assert tables.stored_bytes(connection) == size
    for used in (database, again):
        used._ready().dispose()


def test_recording_survives_a_restart_of_postgresql(
    serve: Callable[..., Any], postgres: Postgres
) -> None:
    web = serve(DATABASE_URL=postgres.url)
    photo = (ROOT / "src/mien/samples/person-a-smiling.jpg").read_bytes()
    cookie = {"Cookie": urllib.request.urlopen(f"{web.url}/photo").headers["Set-Cookie"]}
    _, stream = request(f"{web.url}/api/v1/live", b"", **cookie)
    url = f"{web.url}/api/v1/live/{stream['id']}"
    _, recording = request(f"{url}/recording", b"", **cookie)
    assert request(f"{url}/frames", photo, **cookie)[0] == 200

    postgres.stop()
    status, problem = request(f"{web.url}/api/v1/sessions", **cookie)
    assert (status, problem["error"]["code"]) == (503, "storage_unavailable")
    assert request(f"{web.url}/readyz")[0] == 503
    assert request(f"{web.url}/healthz")[0] == 200
    time.sleep(1.2)
    assert request(f"{url}/frames", photo, **cookie)[0] == 200

    postgres.start()
    time.sleep(1.2)
    assert request(f"{url}/frames", photo, **cookie)[0] == 200
    _, stopped = request(f"{url}/recording", None, "DELETE", **cookie)
    assert stopped["complete"] is True
    session = f"{web.url}/api/v1/sessions/{recording['session_id']}/frames"
    _, document = request(session, **cookie)
    assert [frame["frame_index"] for frame in document["frames"]] == [0, 1, 2]
    assert request(f"{web.url}/readyz")[0] == 200


def test_separate_workers_share_the_jobs(
    serve: Callable[..., Any], postgres: Postgres, start_worker: Callable[..., Any]
) -> None:
    shared = {"DATABASE_URL": postgres.url, "MIEN_JOBS": "worker"}
    web = serve(**shared)
    ids = [submit(web.url, every=96) for _ in range(3)]
    assert request(f"{web.url}/api/v1/jobs/{ids[0]}")[1]["state"] == "queued"
    for _ in range(2):
        start_worker(**shared)
    for job_id in ids:
        document = wait_for(web.url, job_id, "done", "failed")
        assert (document["state"], document["attempts"]) == ("done", 1)


def test_limits_hold_for_parallel_requests_to_two_processes(
    serve: Callable[..., Any], postgres: Postgres
) -> None:
    web = serve(
        *("--workers", "2"),
        **{"DATABASE_URL": postgres.url, "MIEN_JOBS": "worker", "MIEN_RATE_LIMITS": "0"},
    )

    def in_parallel(count: int, one: Callable[[int], Any]) -> list[Any]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    with urllib.request.urlopen(f"{web.url}/video", timeout=120) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        token = re.findall(r'name="csrf_token" value="([^"]+)"', answer.read().decode())[0]

    def upload(_: int) -> tuple[int, Any]:
        body, kind = video_form(every=1)
        return request(f"{web.url}/api/v1/videos", body, Cookie=cookie, **kind)

    answers = in_parallel(12, upload)
    assert sorted(status for status, _ in answers) == [202] * 3 + [409] * 9
    job_id = next(document["id"] for status, document in answers if status == 202)

    def share(_: int) -> int:
        form = urllib.parse.urlencode({"csrf_token": token, "action": "share"}).encode()
        url = f"{web.url}/recordings/{job_id}/shares"
        return int(request(url, form, Cookie=cookie, Accept="application/json")[0])

    links = in_parallel(30, share)
    assert links.count(409) == 20

    def mark(number: int) -> int:
        body = json.dumps({"at_s": 0, "text": f"here {number}"}).encode()
        url = f"{web.url}/api/v1/recordings/{job_id}/markers"
        kind = {"Content-Type": "application/json", "Cookie": cookie}
        return int(request(url, body, **kind)[0])

    for number in range(190):
        assert mark(number) == 201
    marked = in_parallel(30, mark)
    assert sorted(marked) == [201] * 10 + [409] * 20


def processes(name: str) -> list[int]:
    """The ids of the processes of a cluster's actors of a class."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.joinpath("cmdline").read_bytes().startswith(f"ray::{name}".encode()):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a head with one CPU."""
    pytest.importorskip("ray")
    port = free_port()
    ray = Path(sys.executable).with_name("ray")
    options = {"port": free_port(), "ray-client-server-port": port, "num-cpus": 1}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with (tmp_path / "head.log").open("w") as log:
        head = subprocess.Popen(
            [str(ray), "start", "--head", "--block", "--include-dashboard=false", *arguments],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield f"ray://127.0.0.1:{port}"
    finally:
        head.send_signal(signal.SIGTERM)
        head.wait(60)


def test_jobs_run_on_the_cluster(
    serve: Callable[..., Any], cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The head may not answer yet: the job waits for it.
    web = serve(MIEN_RAY_ADDRESS=cluster)
    job_id = submit(web.url, every=4)

    def frames() -> int:
        return int(request(f"{web.url}/api/v1/jobs/{job_id}")[1]["frames_done"])

    wait_until(frames)
    (process,) = processes("_Process")
    os.kill(process, signal.SIGKILL)
    document = wait_for(web.url, job_id, "done", "failed")
    assert (document["state"], document["attempts"]) == ("done", 1)
    assert document["frames_done"] == 96
    table = next(entry for entry in document["files"] if entry["name"] == "faces.csv")
    with urllib.request.urlopen(web.url + table["url"], timeout=120) as answer:
        assert len(answer.read().decode().splitlines()) > 170

    job_id = submit(web.url, every=1)
    wait_until(frames)
    with urllib.request.urlopen(f"{web.url}/jobs/{job_id}/timelines") as page:
        assert page.status == 200
    assert len(processes("_Process")) == 1
    assert request(f"{web.url}/api/v1/jobs/{job_id}/cancel", b"")[0] == 200
    wait_for(web.url, job_id, "cancelled")
    wait_until(lambda: not processes("_Process"))

    # A batch on the same cluster, whose processes are in another folder.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    photographs = str(ROOT / "src/mien/samples")
    command = [sys.executable, "-m", "mien", "batch", photographs, "--out", "out", "--json"]
    ran = subprocess.run(
        [*command, "--address", cluster], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["faces"] > 0
    assert list((elsewhere / "out" / "faces").glob("*.parquet"))
