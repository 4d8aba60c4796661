"""Exporting the static site."""

import json
import re
import shutil
from pathlib import Path

import pytest

from mien.errors import InputError, ModelError, ModelFileError
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.web import create_app, site
from mien.web.config import WebConfig


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library as the build leaves it, so that this test needs no Node."""
    library = tmp_path / "device"
    scripts = ("mien-web.js", "mien-worker.js", "mien-decoder.js", "site/site.js")
    for name in (*scripts, "runtime/ort.wasm"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(name, encoding="utf-8")
    static = Path(__file__).parents[2] / "client/mien-web/site/static"
    for path in static.iterdir():
        (library / "site" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(site, "_LIBRARY", library)
    return library


def test_the_site_is_complete_and_lists_its_files(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    files = site.export_site(folder)
    written = {path.relative_to(folder).as_posix() for path in files}
    assert {"index.html", "site.js", "mien-web.js", "runtime/ort.wasm"} <= written
    assert f"models/{catalog.STREAM_EXPRESSION_MODEL}.onnx" in written
    worker = (folder / "service-worker.js").read_text(encoding="utf-8")
    listed = json.loads(re.findall(r"FILES = (\[.*\]);", worker)[0])
    assert set(listed) == written - {"service-worker.js"} | {"./"}
    for name in re.findall(r'(?:src|href)="([^"]+)"', (folder / "index.html").read_text("utf-8")):
        assert (folder / name).is_file()


def test_a_new_version_has_another_name_and_replaces_the_old(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    site.export_site(folder)
    first = (folder / "service-worker.js").read_text(encoding="utf-8")
    site.export_site(folder)
    assert (folder / "service-worker.js").read_text(encoding="utf-8") == first
    (built / "mien-web.js").write_text("changed", encoding="utf-8")
    site.export_site(folder)
    assert (folder / "service-worker.js").read_text(encoding="utf-8") != first


def test_other_files_are_not_touched(built: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="new or empty folder"):
        site.export_site(tmp_path / "own")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="got the file"):
        site.export_site(tmp_path / "own" / "thesis.txt")


def test_a_client_that_is_not_built_is_reported(built: Path, tmp_path: Path) -> None:
    (built / "mien-web.js").unlink()
    with pytest.raises(ModelFileError, match="npm run build"):
        site.export_site(tmp_path / "out")


def test_the_expression_model_and_its_prior_can_be_chosen(built: Path, tmp_path: Path) -> None:
    shutil.copy(catalog.find("scratch").path, tmp_path / "my.onnx")  # its spec is inside
    folder = tmp_path / "out"
    site.export_site(folder, model=str(tmp_path / "my.onnx"), prior="uniform")
    spec = json.loads((folder / "models/default.json").read_text(encoding="utf-8"))
    assert (spec["name"], spec["file"], spec["prior"]) == ("scratch", "my.onnx", "uniform")
    assert spec["sha256"] == catalog.checksum(folder / "models/my.onnx")
    assert not (folder / "models/quick.onnx").exists()
    shares = {label: 1.0 + (label == "neutral") for label in spec["labels"]}
    (tmp_path / "prior.json").write_text(json.dumps(shares))
    site.export_site(folder, model="transfer", prior=str(tmp_path / "prior.json"))
    assert not (folder / "models/my.onnx").exists()  # it may be private
    spec = json.loads((folder / "models/default.json").read_text(encoding="utf-8"))
    assert spec["prior"]["neutral"] == pytest.approx(2 / 9)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("classical", "expected an expression network with NCHW input"),
        ("ensemble", "expected one expression network"),
        ("facemesh", "expected an expression network"),
        ("nothing", "expected the name of a model"),
    ],
)
def test_models_that_browsers_cannot_run_are_refused(
    built: Path, tmp_path: Path, model: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        site.export_site(tmp_path / "out", model=model)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("model", "engine"), [("scratch", b"device"), ("classical", b"server")])
def test_pages_use_the_model_of_the_server(tmp_path: Path, model: str, engine: bytes) -> None:
    pipeline = FacePipeline(model=model, prior="natural")
    app = create_app(WebConfig(data_dir=tmp_path), pipeline)
    client = app.test_client()
    found = client.get("/device/models/default.json")
    if model == "scratch":
        assert (found.get_json()["name"], found.get_json()["prior"]) == ("scratch", "natural")
        with client.get("/device/models/scratch.onnx") as network:
            assert network.status_code == 200
    else:  # No browser can run it, so the server does.
        assert found.status_code == 404
    assert client.get("/device/models/quick.onnx").status_code == 404
    assert b"data-live data-clip" in client.get("/").data
    assert b'data-engine="' + engine in client.get("/").data


def test_pages_use_a_model_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(catalog.find("scratch").path, tmp_path / "my.onnx")
    monkeypatch.chdir(tmp_path)
    app = create_app(WebConfig(data_dir=tmp_path / "data"), FacePipeline(model="my.onnx"))
    with app.test_client().get("/device/models/my.onnx") as network:
        assert network.data == Path("my.onnx").read_bytes()


def test_the_server_has_the_same_site(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    client = create_app(WebConfig(data_dir=tmp_path / "data")).test_client()
    for path in site.export_site(folder):
        name = path.relative_to(folder).as_posix()
        with client.get("/app/" + name.removesuffix("index.html")) as found:
            assert (found.status_code, found.data) == (200, path.read_bytes()), name
            assert found.headers["Cache-Control"] == "no-cache"
    assert client.get("/app/out.txt").status_code == 404
    assert b'href="/app/"' in client.get("/").data
    alone = create_app(WebConfig(data_dir=tmp_path / "data", live="server")).test_client()
    assert alone.get("/app/").status_code == 404
    assert b'href="/app/"' not in alone.get("/").data
