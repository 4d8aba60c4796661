"""The service on Ray Serve, started as an operator does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from mien.samples import sample_paths

pytest.importorskip("ray.serve")
yaml = pytest.importorskip("yaml")
pytestmark = pytest.mark.e2e
TOKEN = "correct-horse-battery"
START_S = 120
EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"


def request(
    url: str, data: bytes | None = None, *, token: str = TOKEN, **headers: str
) -> tuple[int, dict[str, Any]]:
    sent = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}", **headers})
    try:
        with urllib.request.urlopen(sent, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service on a cluster of its own."""
    folder = tmp_path_factory.mktemp("serve")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = yaml.safe_load((EXAMPLES / "serve.yaml").read_text())
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    (folder / "serve.yaml").write_text(yaml.safe_dump(config))
    serve = [str(Path(sys.executable).with_name("serve")), "run", "serve.yaml"]
    settings = {"MIEN_ACCESS_TOKEN": TOKEN, "MIEN_MAX_IMAGE_MB": "1", "RAY_ADDRESS": "local"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            serve, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log
        )
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    try:
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            try:
                if request(f"{url}/readyz")[0] == 200:
                    break
            except (OSError, ValueError):
                time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_the_examples_fit_each_other() -> None:
    manifest = yaml.safe_load((EXAMPLES / "rayservice.yaml").read_text())
    serve = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    alone = yaml.safe_load((EXAMPLES / "serve.yaml").read_text())
    assert serve["applications"][0]["deployments"][0]["name"] == "analyze"
    from ray.serve.schema import ServeDeploySchema

    for document in (serve, alone):
        ServeDeploySchema.model_validate(document)
        (deployment,) = document["applications"][0]["deployments"]
        assert deployment.pop("autoscaling_config")["min_replicas"] == 1
    assert serve["applications"] == alone["applications"]
    services = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())["services"]
    assert services["worker"]["deploy"]["replicas"] == 2
    assert "./serve.yaml:/serve.yaml:ro" in services["api"]["volumes"]
    version = Version(manifest["spec"]["rayClusterConfig"]["rayVersion"])
    project = tomllib.loads((EXAMPLES.parents[1] / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["optional-dependencies"]["cluster"])
    (specifier,) = [one.specifier for one in wanted if one.name == "ray"]
    assert version in specifier


def test_photographs_are_analyzed_as_by_the_web_application(service: str) -> None:
    photograph = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    data = photograph.read_bytes()
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: request(f"{service}/api/v1/analyze", data), range(6)))
    for status, document in answers:
        assert status == 200
        (face,) = document["faces"]
        assert face["expression"]["label"] == "happiness"
    status, document = request(f"{service}/api/v1/health")
    assert (status, document["status"]) == (200, "ok")
    status, document = request(f"{service}/openapi.json")
    assert {"/api/v1/analyze", "/api/v1/batch"} <= set(document["paths"])
    assert "/api/v1/videos" not in document["paths"]


@pytest.mark.parametrize(
    ("path", "body", "token", "expected"),
    [
        ("/api/v1/analyze", b"no picture", TOKEN, (400, "image_unreadable")),
        ("/api/v1/analyze?min_presence=much", b"x", TOKEN, (422, "invalid")),
        ("/api/v1/analyze?color=red", b"x", TOKEN, (422, "invalid")),
        ("/api/v1/analyze", b"x", "wrong", (401, "token_needed")),
        ("/api/v1/analyze", bytes(2 << 20), TOKEN, (413, "too_large")),
        ("/video", None, TOKEN, (404, "not_found")),
    ],
)
def test_errors_are_those_of_the_web_application(
    service: str, path: str, body: bytes | None, token: str, expected: tuple[int, str]
) -> None:
    status, document = request(service + path, body, token=token, Accept="text/html")
    assert (status, document["error"]["code"]) == expected
