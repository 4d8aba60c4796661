"""`mien batch` with Ray: object storage, killed workers and drivers, damaged inputs."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.cluster import storage
from mien.cluster.engine import Resources
from mien.cluster.folder import Folder
from mien.cluster.inputs import Input
from mien.cluster.output import Progress, batch_status
from mien.cluster.plan import make_plan
from mien.cluster.run import run_batch
from mien.cluster.segments import split
from mien.cluster.summary import summarize
from mien.cluster.worker import BatchOptions, Worker, WorkSettings
from mien.config import Settings
from mien.errors import InputError, MienError, SettingError
from mien.pipeline import FacePipeline
from mien.samples import sample_paths

pytest.importorskip("ray")
parquet = pytest.importorskip("pyarrow.parquet")

CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"
ODD = ("", "a?b=", "a#", "a b", "größe", "[x]*", "50%20")
"""What names in object storage may begin with."""
FAULTS = Path(__file__).with_name("faults")


def batch(*arguments: object, **environment: str) -> "subprocess.Popen[str]":
    """Start `mien batch`."""
    command = [sys.executable, "-m", "mien", "batch", *map(str, arguments)]
    pipe = subprocess.PIPE
    variables = {**os.environ, **environment}
    return subprocess.Popen(command, env=variables, stdout=pipe, stderr=pipe, text=True)


def make_images(folder: Path, count: int, size: int = 64) -> list[str]:
    """Small pictures without faces."""
    folder.mkdir()
    noise = np.random.default_rng(7).integers(0, 255, (size, size, 3), np.uint8)
    names = [f"{number:05d}.png" for number in range(count)]
    for number, name in enumerate(names):
        noise[0, 0] = number % 251
        PillowImage.fromarray(noise).save(folder / name, compress_level=1)
    return names


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def row_sets(out: Path) -> Counter[str]:
    """How often each input is in the tables."""
    found: Counter[str] = Counter()
    for table in ("frames", "failures"):
        for path in (out / table).glob("*.parquet"):
            found.update(Path(uri).name for uri in parquet.read_table(path)["uri"].to_pylist())
    return found


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a server of its own."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    import boto3

    boto3.client("s3").create_bucket(Bucket="archive")
    # This process may know the bucket from the server of another test.
    storage._remote.cache_clear()
    yield "archive"
    server.stop()


@pytest.mark.e2e
def test_analyzes_a_bucket(bucket: str, tmp_path: Path) -> None:
    import boto3

    client = boto3.client("s3")
    person = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    for number in range(19):
        client.upload_file(str(person), bucket, f"photos/{ODD[number % len(ODD)]}{number:02d}.jpg")
    client.put_object(Bucket=bucket, Key="photos/19.jpg", Body=b"no picture")
    out = f"s3://{bucket}/results"
    ran = batch(f"s3://{bucket}/photos", "--out", out, "--workers", "2", "--json")
    wait_for(lambda: Folder(out).read("run.json"), ran)
    with pytest.raises(SettingError, match="expected no other run in"):
        run_batch([], out, options=BatchOptions(resume=True))
    output, errors = ran.communicate()
    assert ran.returncode == 1, errors
    document = json.loads(output)
    counts = [document[name] for name in ("status", "inputs", "failed", "faces")]
    assert counts == ["complete", 20, 1, 19]
    assert f"s3://{bucket}/photos/19.jpg: expected an image" in errors

    # What a run leaves that is killed at its end: its process is gone, so another one may go on.
    Folder(out).write("run.json", json.dumps({**document, "status": "running"}).encode())
    assert batch_status(out)["status"] == "interrupted"
    again = run_batch([], out, options=BatchOptions(resume=True))
    assert (again["status"], again["inputs"]) == ("complete", 20)

    listed = client.list_objects_v2(Bucket=bucket, Prefix="results/")["Contents"]
    for key in (str(entry["Key"]) for entry in listed if entry["Size"]):
        copy = tmp_path / key
        copy.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(copy))
    found = summarize(str(tmp_path / "results"))
    assert [(row["expression"], row["faces"]) for row in found["shares"]] == [("happiness", 19)]
    names = [f"{ODD[n % len(ODD)]}{n:02d}.jpg" for n in range(19)]
    assert row_sets(tmp_path / "results") == Counter([*names, "19.jpg"])


@pytest.mark.e2e
def test_divides_remote_videos(bucket: str, tmp_path: Path) -> None:
    import boto3

    boto3.client("s3").upload_file(str(CLIP), bucket, "clip.mp4")
    pipeline, tables = FacePipeline(), []
    for uri, segment_s, parts in ((str(CLIP), 0.0, 1), (f"s3://{bucket}/clip.mp4", 6.0, 4)):
        plan = make_plan([Input(uri, uri)], workers=1, segment_s=segment_s)
        assert (len(plan), plan.inputs) == (parts, 1)
        out = tmp_path / f"{parts}"
        worker = Worker(WorkSettings(str(out), Settings(), {}, BatchOptions(fps=2)), pipeline)
        for number in range(parts):
            worker.run(plan.part(number))
        tables.append(parquet.read_table(out / "frames").drop(["uri", "faces", "clear"]))
        assert parquet.read_table(out / "tracks").num_rows == 2
    assert tables[0]["timestamp_s"] == tables[1]["timestamp_s"]
    # One that is short, or is no video, is not divided.
    assert split(f"s3://{bucket}/clip.mp4", 60.0) == ()
    boto3.client("s3").put_object(Bucket=bucket, Key="no.mp4", Body=b"no video" * 10_000)
    assert split(f"s3://{bucket}/no.mp4", 1.0) == split(f"s3://{bucket}/gone.mp4", 1.0) == ()


@pytest.mark.e2e
def test_a_run_stops_where_another_one_took_its_place(tmp_path: Path) -> None:
    images, out = tmp_path / "images", Folder(str(tmp_path / "out"))
    make_images(images, 1)

    def take(_: Progress) -> None:
        document = json.loads(out.read("run.json") or b"")
        out.write("run.json", json.dumps({**document, "attempt": "another"}).encode())

    # Where Ray is started, the first progress is reported.
    with pytest.raises(MienError, match="started there: wait for it"):
        run_batch([str(images)], out.address, resources=Resources(workers=1), on_progress=take)
    state = json.loads(out.read("run.json") or b"")
    assert (state["attempt"], state["status"]) == ("another", "running")
    with pytest.raises(SettingError, match=r"these differ: settings\.min_score; use another"):
        run_batch(
            [str(images)],
            out.address,
            settings=Settings(min_score=0.9),
            options=BatchOptions(resume=True),
        )


@pytest.mark.e2e
def test_a_run_without_inputs_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        run_batch([str(tmp_path / "none")], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.e2e
def test_tells_programs_what_it_does(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    make_images(images, 400)
    (images / "00000.png").write_bytes(b"no picture")
    port = free_port()
    options = ("--out", out, "--workers", 1, "--batch-size", 5, "--log-json")
    ran = batch(images, *options, "--metrics-port", port, RAY_metrics_report_interval_ms="200")
    metrics: dict[str, float] = {}

    def scraped() -> bool:
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (line.rpartition(" ") for line in answer.read().decode().splitlines())
            metrics.update(
                {
                    name.partition("{")[0]: float(n)
                    for name, _, n in lines
                    if name.startswith("ray_mien")
                }
            )
        return "ray_mien_batch_inputs_total" in metrics

    wait_for(scraped, ran)
    # Ray itself would end the program here with a stack trace.
    ran.send_signal(signal.SIGTERM)
    _, errors = ran.communicate()
    assert ran.returncode == 130, errors
    assert metrics["ray_mien_batch_inputs_total"] >= 5
    assert metrics["ray_mien_batch_failures_total"] == 1
    assert metrics["ray_mien_batch_seconds_total"] > 0
    events = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events[:2]] == ["started", "part"]
    assert events[1]["part"] == "part-000000"
    assert events[1]["failures"] == events[-1]["so_far"]["counts"]["failures"] == 1
    # A worker may commit one more part while the run stops.
    unreported = batch_status(str(out))["inputs"] - events[-1]["so_far"]["counts"]["inputs"]
    assert unreported in (0, 5)


def below(parent: int) -> dict[int, str]:
    """The processes that a process started, and those that these started, with their commands."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for folder in (path for path in Path("/proc").iterdir() if path.name.isdigit()):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            commands[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
            parents[int(folder.name)] = int(fields[1])
    found = {parent}
    while more := {pid for pid, above in parents.items() if above in found} - found:
        found |= more
    return {pid: commands[pid] for pid in found if pid in commands}


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_run_ends_where_ray_ends_and_can_be_resumed(tmp_path: Path, name: str) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    names = make_images(images, 200)
    ran = batch(images, "--out", out, "--workers", 1, "--batch-size", 4)
    wait_for(lambda: len(list((out / "commits").glob("*.json"))) >= 2, ran)
    commands = {pid: command.partition("\0")[0] for pid, command in below(ran.pid).items()}
    (pid,) = [pid for pid, command in commands.items() if command.endswith(f"/{name}")]
    os.kill(pid, signal.SIGKILL)
    _, errors = ran.communicate(timeout=60)
    assert ran.returncode == 1
    assert f"expected Ray to run on this machine, but its process {name} ended" in errors
    assert batch_status(str(out))["status"] == "partial"
    second = batch("--out", out, "--workers", 1, "--resume")
    assert second.communicate()[1] == ""
    assert second.returncode == 0
    assert row_sets(out) == Counter(names)


@pytest.mark.e2e
def test_a_lost_machine_does_not_hold_parts(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    images, out = tmp_path / "images", tmp_path / "out"
    names = make_images(images, 200)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        ran = batch(
            *(images, "--out", out, "--workers", 2, "--batch-size", 4),
            *("--address", cluster.address),
        )
        wait_for(lambda: len(list((out / "commits").glob("*.json"))) >= 4, ran)
        cluster.remove_node(lost, allow_graceful=False)
        _, errors = ran.communicate(timeout=180)
    finally:
        cluster.shutdown()
    assert ran.returncode == 0, errors
    assert "a worker died in part-" in errors
    assert row_sets(out) == Counter(names)


@pytest.mark.e2e
def test_a_lost_cluster_ends_the_run(tmp_path: Path) -> None:
    images, out, log = tmp_path / "images", tmp_path / "out", tmp_path / "log"
    make_images(images, 400)
    port, client_port = free_port(), free_port()
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "correct-horse-battery" * 2}
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
        *(f"--port={port}", f"--ray-client-server-port={client_port}", "--num-cpus=1"),
        "--include-dashboard=false",
    ]
    with log.open("w") as output:
        head = subprocess.Popen(
            command, env={**os.environ, **access}, stdout=output, stderr=output, text=True
        )
    address = f"ray://127.0.0.1:{client_port}"
    options = ("--out", out, "--workers", 1, "--batch-size", 4, "--address", address)
    access["RAY_CLIENT_RECONNECT_GRACE_PERIOD"] = "2"
    try:
        wait_for(lambda: "Ray runtime started" in log.read_text(), head)
        ran = batch(images, *options, **access)
        wait_for(lambda: len(list((out / "commits").glob("*.json"))) >= 2, ran)
    finally:
        for pid in below(head.pid):
            os.kill(pid, signal.SIGKILL)
        head.wait()
    _, errors = ran.communicate(timeout=180)
    assert ran.returncode == 1, errors
    assert f"expected the cluster at {address} to answer" in errors
    assert "Traceback" not in errors
    assert batch_status(str(out))["status"] == "partial"


@pytest.mark.e2e
def test_no_input_is_lost_or_twice_when_workers_and_driver_are_killed(tmp_path: Path) -> None:
    check_faults(tmp_path, inputs=30, part_size=6, workers=1)


@pytest.mark.soak
def test_no_input_of_10000_is_lost_or_twice(tmp_path: Path) -> None:
    document = check_faults(tmp_path, inputs=10_000, part_size=100, workers=2, fault_every=500)
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "cluster-faults.json"
    kept = ("mien_version", "inputs", "failed", "worker_deaths", "parts", "seconds")
    path.write_text(json.dumps({name: document[name] for name in kept}, indent=2) + "\n")


def check_faults(
    tmp_path: Path, *, inputs: int, part_size: int, workers: int, fault_every: int = 0
) -> dict[str, object]:
    """Run with faults, kill the driver on the way, resume, and check each input's rows."""
    images, out, once = tmp_path / "images", tmp_path / "out", tmp_path / "once"
    names = make_images(images, inputs)
    once.mkdir()
    (images / "00003.png").rename(images / "crash.png")
    (images / "00004.png").write_bytes(b"no picture")
    (images / "torn.tar").write_bytes(b"no shard" * 100)
    expected = Counter([*names, "crash.png", "torn.tar"])
    expected.subtract(["00003.png"])
    faults = {
        "PYTHONPATH": os.pathsep.join([str(FAULTS), os.environ.get("PYTHONPATH", "")]),
        "FAULT_FOLDER": str(once),
        "FAULT_EVERY": str(fault_every or 10**12),
    }
    arguments = ("--out", out, "--workers", workers, "--json")
    first = batch(images, *arguments, "--batch-size", part_size, **faults)
    wait_for(lambda: len(list((out / "commits").glob("*.json"))) >= 2, first)
    assert batch_status(str(out))["status"] == "running"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert batch_status(str(out))["status"] == "interrupted"

    second = batch(*arguments, "--resume", **faults)
    output, errors = second.communicate()
    assert second.returncode == 1, errors
    document = dict(json.loads(output))
    assert (document["status"], document["inputs"]) == ("complete", inputs + 1)
    assert row_sets(out) == +expected
    assert document["failed"] == 3
    assert "ended the process of its worker 2 times" in errors
    assert any(once.iterdir()) == bool(fault_every)
    assert int(str(document["worker_deaths"])) >= 2
    return document
