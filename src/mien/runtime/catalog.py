"""Models by name or path: shipped, added by the user, and known ones that can be added."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mien.config import models_folder
from mien.errors import ModelFileError, ModelNotFoundError, SpecError
from mien.runtime.session import Session
from mien.runtime.spec import read_sidecar, sidecar_path
from mien.types import ModelSpec
from mien.types.model import Task

DEFAULT_EXPRESSION_MODEL = "ensemble"
"""The default in photographs: several networks, which have no file in common."""

BASE_EXPRESSION_MODEL = "transfer"
"""The first of them, and the default base of adapted models."""

ENSEMBLE = (BASE_EXPRESSION_MODEL, "direct", "opencv-fer")
"""The networks behind the default."""

STREAM_EXPRESSION_MODEL = "quick"
"""The default in streams and in browsers."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model and its file.

    Attributes:
        spec: spec of the model.
        path: path of the model file.
        shipped: whether it is part of the package, rather than added by the user.
    """

    spec: ModelSpec
    path: Path
    shipped: bool


@cache
def shipped_folder() -> Path:
    """The folder of the shipped models."""
    with resources.as_file(resources.files("mien") / "models") as folder:
        return folder


def entries() -> list[CatalogEntry]:
    """All shipped and added models, by task and name; an added one never replaces a shipped one."""
    found: dict[str, CatalogEntry] = {}
    for folder, shipped in ((shipped_folder(), True), (models_folder(), False)):
        for sidecar in sorted(folder.glob("*.json")):
            spec = read_sidecar(sidecar)
            found.setdefault(spec.name, CatalogEntry(spec, folder / spec.file, shipped))
    return sorted(found.values(), key=lambda entry: (entry.spec.task, entry.spec.name))


def find(name_or_path: str | Path, *, task: Task | None = None) -> CatalogEntry:
    """Find a model by its name, or by the path of its file with its spec inside or next to it.

    Args:
        name_or_path: name or path.
        task: list only models for this task in the error for an unknown name.

    Raises:
        ModelNotFoundError: no such model or file.
        SpecError: the file has no spec.
        ModelFileError: the file is not a model.
    """
    text = str(name_or_path)
    if not looks_like_a_path(name_or_path):
        for entry in entries():
            if entry.spec.name == text:
                return entry
        default = [DEFAULT_EXPRESSION_MODEL] if task == "expression" else []
        is_known = text in (model.name for model in known_models())
        add = f"; add it first: mien models add {text}" if is_known else ""
        raise ModelNotFoundError(
            f"expected the name of a model ({', '.join([*default, *names(task)])}) or a path, got "
            f"{text!r}{add}"
        )
    path = Path(name_or_path)
    if not path.is_file():
        raise ModelNotFoundError(f"expected a model file at {path}, but there is none")
    beside = sidecar_path(path)
    if beside.is_file():
        try:
            return CatalogEntry(read_sidecar(beside), path, shipped=False)
        except SpecError:
            # Another JSON file of the same name, where the model has its spec inside.
            if path.suffix != ".onnx" or not Session(path).has_spec():
                raise
    if path.suffix != ".onnx":
        raise SpecError(
            f"expected the spec of {path} in {beside.name} next to it, but there is none"
        )
    return CatalogEntry(Session(path).read_spec(), path, shipped=False)


def names(task: str | None = None) -> list[str]:
    """The names of all models, or of those for a task."""
    return [entry.spec.name for entry in entries() if task in (None, entry.spec.task)]


def looks_like_a_path(name_or_path: str | Path) -> bool:
    """Whether :func:`find` reads this as a path rather than as a model name."""
    if isinstance(name_or_path, Path):
        return True
    text = name_or_path
    return "/" in text or "\\" in text or Path(text).suffix in {".onnx", ".xml", ".npz", ".gz"}


def checksum(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(entry: CatalogEntry) -> None:
    """Check a model file against the checksum in its sidecar.

    Raises:
        ModelFileError: the file is missing, or its checksum differs.
    """
    if not entry.path.is_file():
        raise ModelFileError(f"the file of model {entry.spec.name!r} is missing: {entry.path}")
    actual = checksum(entry.path)
    if entry.spec.sha256 is not None and actual != entry.spec.sha256:
        raise ModelFileError(
            f"{entry.path} is damaged or modified: expected SHA-256 {entry.spec.sha256}, "
            f"got {actual}; reinstall it"
        )


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A published model that does not ship with mien, but can be added by name.

    Each is a JSON file in ``models/known`` with these fields. URL and checksum are given only if
    the publisher provides them.

    Attributes:
        name: name to add it by.
        task: detection, landmarks or expression.
        about: short description.
        license: SPDX expression of the weights' license, or a sentence.
        source: publisher and file.
        checked: how this information was verified, and whether the file was ever run.
        url: URL of the file from its publisher, or None.
        sha256: checksum of the file from its publisher, or None.
        spec: fields of its ModelSpec without name, file and sha256; None if the file has a spec.
    """

    name: str
    task: str
    about: str
    license: str
    source: str
    checked: str
    url: str | None = None
    sha256: str | None = None
    spec: dict[str, Any] | None = None

    @property
    def spec_text(self) -> str | None:
        """The spec as JSON."""
        if self.spec is None:
            return None
        facts = {"task": self.task, "license": self.license, "source": self.source}
        return json.dumps({**facts, **self.spec})


def known_models(folder: Path | None = None) -> list[KnownModel]:
    """All known models, by name.

    Raises:
        SpecError: a description is invalid.
    """
    return _read_known(folder or shipped_folder() / "known")


@cache
def _read_known(folder: Path) -> list[KnownModel]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(KnownModel(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise SpecError(f"expected the description of a model in {path}: {error}") from None
    return found
