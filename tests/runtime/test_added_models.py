"""Adding and removing models."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli.app import app
from mien.config import Settings, models_folder
from mien.errors import (
    DownloadError,
    ModelError,
    ModelFileError,
    ModelNotFoundError,
    SettingError,
    SpecError,
)
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.runtime.download import add_model, remove_model
from mien.runtime.session import Session
from mien.runtime.spec import spec_from_json, spec_to_json


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def content(server: Any, tiny_expression_model: Any) -> bytes:
    server.content = tiny_expression_model().read_bytes()
    return bytes(server.content)


def test_added_model_is_available_by_name(server: Any, content: bytes) -> None:
    entry = add_model("mine", server.url, sha256=sha256(content))
    assert entry.path == models_folder() / "mine.onnx"
    assert entry.spec.name == "mine"
    assert not entry.shipped
    found = catalog.find("mine")
    catalog.verify(found)
    assert found.spec.sha256 == sha256(content)

    pipeline = FacePipeline(Settings(model="mine"))
    bright = np.full((8, 8, 3), 250, np.uint8)
    dark = np.zeros((8, 8, 3), np.uint8)
    tops = [scores.top for scores in pipeline.classify([bright, dark])]
    assert tops == [Expression.HAPPINESS, Expression.NEUTRAL]


def test_accepts_a_spec_from_a_file(server: Any, tiny_expression_model: Any) -> None:
    with_spec = tiny_expression_model("described")
    facts = json.loads(spec_to_json(Session(with_spec).read_spec()))
    for key in ("name", "file", "sha256"):
        del facts[key]
    server.content = tiny_expression_model("plain", with_spec=False).read_bytes()
    entry = add_model(
        "mine", server.url, sha256=sha256(server.content), spec_text=json.dumps(facts)
    )
    assert entry.spec.file == "mine.onnx"
    assert catalog.find("mine").spec == entry.spec


def test_rejects_models_without_a_spec(server: Any, tiny_expression_model: Any) -> None:
    server.content = tiny_expression_model(with_spec=False).read_bytes()
    with pytest.raises(SpecError, match="has no model spec"):
        add_model("mine", server.url, sha256=sha256(server.content))
    assert list(models_folder().iterdir()) == []


def test_rejects_specs_that_do_not_fit_the_file(
    server: Any, content: bytes, tiny_expression_model: Any
) -> None:
    facts = json.loads(spec_to_json(Session(tiny_expression_model()).read_spec()))
    facts["outputs"] = ["probabilities"]
    with pytest.raises(SpecError, match=r"names 'probabilities', but .* image, logits"):
        add_model("mine", server.url, sha256=sha256(content), spec_text=json.dumps(facts))
    assert list(models_folder().iterdir()) == []


@pytest.mark.parametrize("text", ["no JSON", "[1]", "{}"])
def test_invalid_spec_is_reported_before_the_download(
    server: Any, content: bytes, text: str
) -> None:
    with pytest.raises(SpecError):
        add_model("mine", server.url, sha256=sha256(content), spec_text=text)
    assert server.requested == []


def test_rejects_files_that_are_not_models(server: Any) -> None:
    server.content = b"this is no ONNX model"
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        add_model("mine", server.url, sha256=sha256(server.content))
    assert list(models_folder().iterdir()) == []


def test_wrong_checksum_adds_nothing(server: Any, content: bytes) -> None:
    with pytest.raises(DownloadError):
        add_model("mine", server.url, sha256=sha256(b"other"))
    assert not any(entry.spec.name == "mine" for entry in catalog.entries())


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "Großes", ".hidden", "x" * 65])
def test_rejects_invalid_names(server: Any, content: bytes, name: str) -> None:
    with pytest.raises(ModelError, match="expected a model name"):
        add_model(name, server.url, sha256=sha256(content))


def test_shipped_models_cannot_be_replaced_or_removed(server: Any, content: bytes) -> None:
    with pytest.raises(ModelError, match="ships with mien"):
        add_model("blazeface", server.url, sha256=sha256(content))
    with pytest.raises(ModelError, match="ships with mien"):
        remove_model("blazeface")


@pytest.mark.parametrize("checksum", ["", "abc", "g" * 64])
def test_rejects_invalid_checksums(server: Any, checksum: str) -> None:
    with pytest.raises(ModelError, match="64 hexadecimal digits"):
        add_model("mine", server.url, sha256=checksum)


def test_adding_again_replaces_the_model(
    server: Any, content: bytes, tiny_expression_model: Any
) -> None:
    add_model("mine", server.url, sha256=sha256(content))
    server.content = tiny_expression_model("another").read_bytes()
    entry = add_model("mine", server.url, sha256=sha256(server.content))
    catalog.verify(entry)
    assert entry.path.read_bytes() == server.content


def test_removes_only_the_named_model(server: Any, content: bytes) -> None:
    add_model("mine", server.url, sha256=sha256(content))
    add_model("mine.2", server.url, sha256=sha256(content))
    assert [path.name for path in remove_model("mine")] == ["mine.json", "mine.onnx"]
    assert [e.spec.name for e in catalog.entries() if not e.shipped] == ["mine.2"]
    with pytest.raises(ModelNotFoundError):
        remove_model("mine")


def test_known_models_are_read_from_their_descriptions(tmp_path: Path) -> None:
    facts = {
        "name": "somebodys",
        "task": "expression",
        "about": "An example.",
        "license": "MIT",
        "source": "the tests",
        "checked": "in these tests",
        "spec": {"labels": ["neutral", "happiness"]},
    }
    (tmp_path / "somebodys.json").write_text(json.dumps(facts))
    [model] = catalog.known_models(tmp_path)
    assert model.url is None
    assert json.loads(model.spec_text or "")["license"] == "MIT"


def test_reports_invalid_descriptions(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"name": "broken"}')
    with pytest.raises(SpecError, match=r"expected the description of a model in .*broken\.json"):
        catalog.known_models(tmp_path)


def test_all_shipped_descriptions_are_valid() -> None:
    models = catalog.known_models()
    assert {"yunet", "ferplus-vgg13"} <= {model.name for model in models}
    for model in models:
        spec = spec_from_json(
            json.dumps({**json.loads(model.spec_text or ""), "name": model.name, "file": "m.onnx"})
        )
        assert spec.task == model.task
        assert model.checked
        assert model.sha256 is None or len(model.sha256) == 64


def test_known_model_is_added_by_name(
    server: Any, tiny_expression_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_expression_model(with_spec=False)
    server.content = path.read_bytes()
    described = json.loads(spec_to_json(Session(tiny_expression_model("other")).read_spec()))
    model = catalog.KnownModel(
        name="somebodys",
        task="expression",
        about="An example.",
        license="Apache-2.0",
        source="the tests",
        checked="in these tests",
        url=server.url,
        sha256=sha256(server.content),
        spec={key: described[key] for key in ("input", "outputs", "labels")},
    )
    monkeypatch.setattr(catalog, "known_models", lambda: [model])
    ran = CliRunner().invoke(app, ["models", "add", "somebodys"])
    assert ran.exit_code == 0, ran.stderr
    assert catalog.find("somebodys").spec.license == "Apache-2.0"


def test_files_of_others_are_not_replaced(server: Any, content: bytes) -> None:
    foreign = models_folder() / "mine.onnx"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("my notes")
    with pytest.raises(SettingError, match=r"got 'mine', and .*mine\.onnx would be replaced"):
        add_model("mine", server.url, sha256=sha256(content))
    assert foreign.read_text() == "my notes"
    foreign.unlink()
    add_model("mine", server.url, sha256=sha256(content))
    add_model("mine", server.url, sha256=sha256(content))  # an added model is replaced
    sidecar = models_folder() / "mine.json"
    args = ["models", "add", "mine", "--url", server.url, "--sha256", sha256(content), "--spec"]
    ran = CliRunner().invoke(app, [*args, str(sidecar)])
    assert ran.exit_code == 2
    assert "which the command reads or writes otherwise" in " ".join(ran.output.split())
