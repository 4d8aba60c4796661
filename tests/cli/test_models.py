"""``mien models``, ``doctor``, ``settings`` and ``schema``."""

import functools
import hashlib
import http.server
import importlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.cli import doctor
from mien.config import models_folder
from mien.runtime import catalog
from mien.types import result_schema


@pytest.fixture
def address(tiny_expression_model: Callable[..., Path]) -> Iterator[tuple[str, str]]:
    """URL and checksum of a model on a local server."""
    path = tiny_expression_model()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{path.name}"
        yield url, hashlib.sha256(path.read_bytes()).hexdigest()
        server.shutdown()
        thread.join()


def test_lists_the_facts_of_shipped_models(mien: Any) -> None:
    shown = mien("models").stdout
    models = json.loads(mien("models", "--json").stdout)["models"]
    assert {model["name"] for model in models} >= {"blazeface", "facemesh", "scratch"}
    assert len(models) == len(catalog.entries())
    for model in models:
        assert model["shipped"]
        assert model["size_bytes"] == Path(model["path"]).stat().st_size
        for fact in ("name", "sha256", "license"):
            assert model[fact].split()[0] in shown
        assert model["source"]
        assert model["training_data"]
        assert model["input"]["size_wh"]
    [scratch] = [model for model in models if model["name"] == "scratch"]
    assert scratch["labels"][0] in shown
    assert f"ferplus_valid_accuracy {scratch['metrics']['ferplus_valid_accuracy']:g}" in shown


def test_check(mien: Any) -> None:
    ran = mien("models", "check")
    assert ran.status == 0
    assert ran.stdout.count("ok  ") == len(catalog.entries())
    rows = json.loads(mien("models", "check", "--json").stdout)
    assert [row["model"] for row in rows if row["error"] is None] == [
        entry.spec.name for entry in catalog.entries()
    ]


def test_add_use_check_remove(mien: Any, address: tuple[str, str], samples: Any) -> None:
    url, sha256 = address
    added = mien("models", "add", "mine", "--url", url, "--sha256", sha256)
    assert added.status == 0, added.stderr
    assert "mine" in mien("models").stdout
    ran = mien("image", samples["person-a-smiling"], "--model", "mine", "--json")
    assert json.loads(ran.stdout)["results"][0]["models"]["expression"] == "mine"

    (models_folder() / "mine.onnx").write_bytes(b"damaged")
    checked = mien("models", "check")
    assert checked.status == 1
    assert "mine.onnx is damaged" in checked.stderr
    checked = mien("models", "check", "--json")
    errors = {row["model"]: row["error"] for row in json.loads(checked.stdout)}
    assert (checked.status, "damaged" in errors.pop("mine")) == (1, True)
    assert not any(errors.values())

    assert mien("models", "remove", "mine").status == 0
    assert list(models_folder().iterdir()) == []
    assert mien("models", "remove", "mine").status == 2


def test_add_with_a_spec_file(mien: Any, address: tuple[str, str], tmp_path: Path) -> None:
    url, sha256 = address
    spec = tmp_path / "spec.json"
    arguments = ("models", "add", "mine", "--url", url, "--sha256", sha256, "--spec", spec)
    missing = mien(*arguments)
    assert missing.status == 2
    # Typer wraps long paths in its error box.
    assert "spec.json" in re.sub(r"[\s│]", "", missing.stderr)
    spec.write_text('{"task": "expression"}')
    assert mien(*arguments).status == 2


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["mine"], 2, "--url and --sha256"),
        (["mine", "--url", "http://127.0.0.1:9/m.onnx", "--sha256", "abc"], 2, "64 hexadecimal"),
        (["blazeface", "--url", "http://127.0.0.1:9/", "--sha256", "0" * 64], 2, "ships with"),
        (["mine", "--url", "ftp://127.0.0.1/m.onnx", "--sha256", "0" * 64], 1, "http or https"),
    ],
)
def test_add_rejects_invalid_arguments(
    mien: Any, arguments: list[str], status: int, words: str
) -> None:
    ran = mien("models", "add", *arguments)
    assert ran.status == status
    assert words in " ".join(ran.stderr.replace("│", " ").split())


def test_doctor_reports_healthy_installation(mien: Any) -> None:
    ran = mien("doctor", "--json")
    document = json.loads(ran.stdout)
    broken = [finding for finding in document["findings"] if finding["state"] == "broken"]
    assert broken == []
    assert document["healthy"]
    assert ran.status == 0
    found = {finding["topic"]: finding["message"] for finding in document["findings"]}
    assert list(found) == list(doctor._CHECKS)
    assert "4 faces" in found["speed"]


def test_doctor_reports_conflicting_packages(mien: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {
        "opencv-python": "4.10.0",
        "opencv-contrib-python-headless": "4.12.0",
        "onnxruntime": "1.20.0",
        "onnxruntime-gpu": "1.20.0",
    }
    monkeypatch.setattr(doctor, "_version", installed.get)
    checks = {topic: doctor._CHECKS[topic] for topic in ("wheels", "extras")}
    monkeypatch.setattr(doctor, "_CHECKS", checks)
    monkeypatch.setattr(doctor, "_CLIENT", Path("not built"))
    ran = mien("doctor")
    assert ran.status == 1
    text = " ".join(ran.stdout.split())
    assert "pip uninstall -y opencv-python opencv-contrib-python-headless && " in text
    assert "pip install opencv-contrib-python. It has windows" in text
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in text
    assert "pip install 'mien[web]'" in text
    assert "run `npm ci && npm run build` in client/" in text


def test_doctor_accepts_two_packages_of_one_version_of_opencv(
    mien: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("opencv-python", "opencv-contrib-python-headless", "onnxruntime")
    monkeypatch.setattr(doctor, "_version", dict.fromkeys(names, "4.12.0").get)
    monkeypatch.setattr(doctor, "_CHECKS", {"wheels": doctor._CHECKS["wheels"]})
    ran = mien("doctor", "--json")
    assert ran.status == 0
    findings = json.loads(ran.stdout)["findings"]
    assert [finding["state"] for finding in findings] == ["note", "ok"]


def test_doctor_continues_after_a_failed_check(
    mien: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIEN_DATA_DIR", str(tmp_path / "file" / "below"))
    monkeypatch.setenv("MIEN_DETECTOR", "nosuch")
    document = json.loads(mien("doctor", "--json").stdout)
    broken = {f["topic"]: f["message"] for f in document["findings"] if f["state"] == "broken"}
    assert list(broken) == ["folders", "speed"]
    assert "MIEN_DATA_DIR" in broken["folders"]
    assert "'nosuch'" in broken["speed"]


def test_doctor_opens_cameras_only_on_request(mien: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def capture(index: int) -> tuple[int, int]:
        opened.append(index)
        return 64, 48

    cameras = importlib.import_module("mien.media.camera")
    monkeypatch.setattr(cameras, "list_cameras", lambda: [cameras.CameraDevice(0, "probe", True)])
    monkeypatch.setattr(cameras, "can_list_cameras", lambda: True)
    monkeypatch.setattr(cameras, "try_camera", capture)
    monkeypatch.setattr(doctor, "_CHECKS", {"cameras": doctor._CHECKS["cameras"]})
    assert "0: probe" in mien("doctor").stdout
    assert opened == []
    assert "64×48" in mien("doctor", "--try-cameras").stdout
    assert opened == [0]


def test_settings_shows_value_and_default(mien: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_MIN_SCORE", "0.75")
    rows = {row["name"]: row for row in json.loads(mien("settings", "--json").stdout)}
    assert rows["min_score"]["value"] == 0.75
    assert rows["min_score"]["default"] == 0.5
    assert "MIEN_MIN_SCORE" in mien("settings").stdout
    monkeypatch.setenv("MIEN_MIN_SCORE", "much")
    wrong = mien("settings")
    assert wrong.status == 2
    assert "expected MIEN_MIN_SCORE to be a number" in wrong.stderr


def test_schema_is_printed(mien: Any) -> None:
    assert json.loads(mien("schema").stdout) == result_schema()
