"""Reading and writing model specs.

A spec is in the ONNX file's metadata under :data:`METADATA_KEY`, and as JSON in a sidecar file of
the same name with the extension ``.json``, which also has the checksum of the model file.
"""

import dataclasses
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from mien.errors import DataError, SettingError, SpecError
from mien.labels import own_labels
from mien.reader import read
from mien.types import ModelSpec

METADATA_KEY = "mien.spec"

EMBEDDING = "embedding"
"""The output with the features of the last layer, in model files and in ``ModelSpec.outputs``."""

_KEYS = {"licence": "license", "colour": "color", "grey": "gray"}  # old spelling


def spec_to_json(spec: ModelSpec) -> str:
    """The spec as JSON with keys in a fixed order."""
    document = dataclasses.asdict(spec)
    document["labels"] = [label.value for label in spec.labels]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


# Every search for a model by its name reads the specs of all.
@lru_cache(maxsize=256)
def spec_from_json(text: str, **fields: str) -> ModelSpec:
    """Read a spec.

    Args:
        text: the spec as JSON.
        fields: fields that replace those in the text.

    Raises:
        SpecError: not JSON, or a field is missing, unknown or invalid.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"expected a model spec as JSON, got something else: {error}") from None
    if not isinstance(document, dict):
        raise SpecError(f"expected a model spec as a JSON object, got {type(document).__name__}")
    facts = {**_modern(document), **fields}
    where = f" in the spec of {facts.get('name', 'without a name')}"
    labels = facts.get("labels")
    if isinstance(labels, list) and all(isinstance(label, str) for label in labels):
        try:
            meaning = own_labels(labels)
        except DataError as error:
            raise SpecError(f"labels{where}: {error}") from None
        facts["labels"] = [meaning.get(label, label) for label in labels]
        if len(set(facts["labels"])) < len(labels):
            raise SpecError(
                f"labels{where}: expected different ones (case does not count), got "
                f"{', '.join(labels)}"
            )
    return read(ModelSpec, facts, error=SpecError, where=where)


def _modern(document: dict[str, Any]) -> dict[str, Any]:
    """The document with today's keys: model files of earlier versions have British ones."""
    facts = {_KEYS.get(key, key): value for key, value in document.items()}
    if isinstance(facts.get("input"), dict):
        facts["input"] = {
            _KEYS.get(key, key): _KEYS.get(value, value) if isinstance(value, str) else value
            for key, value in facts["input"].items()
        }
    return facts


def sidecar_path(model_path: Path) -> Path:
    """The path of a model file's sidecar."""
    return model_path.with_suffix(".json")


def read_sidecar(path: Path) -> ModelSpec:
    """Read the spec from a sidecar file.

    Raises:
        SpecError: the file cannot be read, or is not a spec.
    """
    try:
        return spec_from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"the model spec {path} cannot be read: {error}") from None


def check_model_files(folder: Path, name: str) -> None:
    """Refuse the name of a model whose files would replace others: a model has a spec beside it.

    Raises:
        SettingError: there is such a file, or the name is none of a file in the folder.
    """
    if name != Path(name).name or not name.isprintable() or name.startswith("."):
        raise SettingError(f"expected a name for a model, without folders, got {name!r}")
    files = [folder / f"{name}{suffix}" for suffix in (".onnx", ".npz", ".md", ".json")]
    there = next((path for path in files if path.exists()), None)
    try:
        if there is not None:
            read_sidecar(files[-1])
    except SpecError:
        raise SettingError(
            f"expected a name for a model that no other file has, got {name!r}, and {there} would "
            "be replaced: choose another name or folder"
        ) from None


def read_parameters(spec: ModelSpec, **readers: Callable[[Any], Any]) -> list[Any]:
    """Required parameters of a spec, in the order of the readers, which convert their values.

    Raises:
        SpecError: one is missing or invalid.
    """
    try:
        return [convert(spec.parameters[name]) for name, convert in readers.items()]
    except (KeyError, TypeError, ValueError):
        *others, last = readers
        names = f"{', '.join(others)} and {last}" if others else last
        raise SpecError(
            f"expected {names} in the parameters of {spec.name!r}, got {dict(spec.parameters)}"
        ) from None
