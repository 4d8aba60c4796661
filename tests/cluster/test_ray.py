"""`mien batch` with Ray: object storage, killed workers and drivers, damaged inputs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.cluster.run import batch_status
from mien.cluster.summary import summarize
from mien.samples import sample_paths

pytest.importorskip("ray")
parquet = pytest.importorskip("pyarrow.parquet")

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
    yield "archive"
    server.stop()


@pytest.mark.e2e
def test_analyzes_a_bucket(bucket: str, tmp_path: Path) -> None:
    import boto3

    client = boto3.client("s3")
    person = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    for number in range(19):
        client.upload_file(str(person), bucket, f"photos/{number:02d}.jpg")
    client.put_object(Bucket=bucket, Key="photos/19.jpg", Body=b"no picture")
    out = f"s3://{bucket}/results"
    ran = batch(f"s3://{bucket}/photos", "--out", out, "--workers", "2", "--json")
    output, errors = ran.communicate()
    assert ran.returncode == 1, errors
    document = json.loads(output)
    counts = [document[name] for name in ("status", "inputs", "failed", "faces")]
    assert counts == ["complete", 20, 1, 19]
    assert f"s3://{bucket}/photos/19.jpg: expected an image" in errors

    listed = client.list_objects_v2(Bucket=bucket, Prefix="results/")["Contents"]
    for key in (str(entry["Key"]) for entry in listed if entry["Size"]):
        copy = tmp_path / key
        copy.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(copy))
    found = summarize(str(tmp_path / "results"))
    assert [(row["expression"], row["faces"]) for row in found["shares"]] == [("happiness", 19)]
    assert row_sets(tmp_path / "results") == Counter(f"{n:02d}.jpg" for n in range(20))


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
