"""The user's own models: added from an address, kept in the models folder, removed."""

import dataclasses
import json
import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from mien.config import models_folder
from mien.errors import ModelError, ModelNotFoundError, SpecError
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry
from mien.runtime.download import Progress, download
from mien.runtime.session import Session
from mien.runtime.spec import sidecar_path, spec_from_json, spec_to_json
from mien.types import ModelSpec

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_CHECKSUM = re.compile(r"[0-9a-fA-F]{64}")


def add(
    name: str,
    url: str,
    *,
    sha256: str,
    spec_text: str | None = None,
    progress: Progress | None = None,
) -> CatalogEntry:
    """Download a model and make it usable by name. A model added before is replaced.

    Args:
        name: small letters, digits, dots, dashes and underscores; not that of a shipped model.
        url: of the model file, http or https.
        sha256: its checksum, 64 hexadecimal digits.
        spec_text: the model's spec as JSON, whose name, file and sha256 may be left out; None
            takes the one inside the ONNX file.
        progress: see :func:`mien.runtime.download.download`.

    Raises:
        ModelError: the name or the checksum cannot be used.
        DownloadError: the file could not be fetched, or is another than expected.
        SpecError: the spec is missing or does not fit the file; nothing is kept then.
        ModelFileError: the file is no model; nothing is kept then.
    """
    _check_name(name)
    if not _CHECKSUM.fullmatch(sha256):
        raise ModelError(f"expected a SHA-256 of 64 hexadecimal digits, got {sha256!r}")
    suffix = PurePosixPath(urlsplit(url).path).suffix or ".onnx"
    facts = {"name": name, "file": f"{name}{suffix}", "sha256": sha256.lower()}
    # What is wrong with the spec is better told before a long download.
    spec = None if spec_text is None else _with_facts(spec_text, facts)
    path = models_folder() / facts["file"]
    waiting = path.with_name(f".{path.name}")
    download(url, waiting, sha256=sha256, progress=progress)
    try:
        spec = _checked(waiting, spec, suffix)
    except ModelError:
        waiting.unlink()
        raise
    spec = dataclasses.replace(spec, name=name, file=path.name, sha256=sha256.lower())
    os.replace(waiting, path)
    # The sidecar comes last and in one piece: it is what makes the model known.
    new_sidecar = path.with_name(f".{name}.json")
    new_sidecar.write_text(spec_to_json(spec), encoding="utf-8")
    os.replace(new_sidecar, sidecar_path(path))
    return CatalogEntry(spec, path, shipped=False)


def remove(name: str) -> list[Path]:
    """Delete an added model.

    Returns:
        The files that were deleted.

    Raises:
        ModelError: it ships with mien.
        ModelNotFoundError: no such model was added.
    """
    _check_name(name)
    folder = models_folder()
    files = sorted(p for p in folder.glob(f"{name}.*") if p.stem == name)
    if not files:
        raise ModelNotFoundError(f"expected the name of an added model in {folder}, got {name!r}")
    for path in files:
        path.unlink()
    return files


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ModelError(
            "expected a model name of small letters, digits, dots, dashes and underscores, "
            f"got {name!r}"
        )
    if any(entry.shipped and entry.spec.name == name for entry in catalog.entries()):
        raise ModelError(f"the model {name!r} ships with mien, and is not replaced or removed")


def _with_facts(spec_text: str, facts: dict[str, str]) -> ModelSpec:
    try:
        document = json.loads(spec_text)
    except json.JSONDecodeError as error:
        raise SpecError(f"expected a model spec as JSON, got something else: {error}") from None
    if not isinstance(document, dict):
        raise SpecError(f"expected a model spec as a JSON object, got {type(document).__name__}")
    return spec_from_json(json.dumps({**document, **facts}))


def _checked(path: Path, spec: ModelSpec | None, suffix: str) -> ModelSpec:
    """The spec of a model file, after a look whether the two belong together."""
    if suffix != ".onnx":
        if spec is None:
            raise SpecError(f"expected a spec for a model of type {suffix}, which carries none")
        return spec
    session = Session(path)
    if spec is None:
        spec = session.read_spec()
    known = {*session.input_names(), *session.output_names()}
    unknown = [n for n in (spec.input.name, *spec.outputs) if n not in known]
    if unknown:
        raise SpecError(
            f"the spec names {unknown[0]!r}, but the inputs and outputs of the model file are "
            f"{', '.join(sorted(known))}"
        )
    return spec
