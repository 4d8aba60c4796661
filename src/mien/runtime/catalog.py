"""Which models there are: shipped, added by the user, known but not added, or files by path."""

import dataclasses
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

DEFAULT_EXPRESSION_MODEL = "transfer"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model that can be used by name.

    Attributes:
        spec: its facts.
        path: of the model file.
        shipped: whether it came with the package, or was added by the user.
    """

    spec: ModelSpec
    path: Path
    shipped: bool


@cache
def shipped_folder() -> Path:
    """Where the models of the package lie."""
    with resources.as_file(resources.files("mien") / "models") as folder:
        return folder


def entries() -> list[CatalogEntry]:
    """Every shipped and every added model, by name; an added one never hides a shipped one."""
    found: dict[str, CatalogEntry] = {}
    for folder, shipped in ((shipped_folder(), True), (models_folder(), False)):
        for sidecar in sorted(folder.glob("*.json")):
            spec = read_sidecar(sidecar)
            found.setdefault(spec.name, CatalogEntry(spec, folder / spec.file, shipped))
    return sorted(found.values(), key=lambda entry: (entry.spec.task, entry.spec.name))


def find(name_or_path: str | Path) -> CatalogEntry:
    """A model by its name, or by the path of its file with its spec inside or beside it.

    Raises:
        ModelNotFoundError: there is neither.
        SpecError: a file without a spec.
        ModelFileError: a file that is no model.
    """
    text = str(name_or_path)
    if not looks_like_a_path(name_or_path):
        for entry in entries():
            if entry.spec.name == text:
                return entry
        names = ", ".join(entry.spec.name for entry in entries())
        raise ModelNotFoundError(f"expected the name of a model ({names}) or a path, got {text!r}")
    path = Path(name_or_path)
    if not path.is_file():
        raise ModelNotFoundError(f"expected a model file at {path}, but there is none")
    beside = sidecar_path(path)
    if beside.is_file():
        return CatalogEntry(read_sidecar(beside), path, shipped=False)
    if path.suffix != ".onnx":
        raise SpecError(f"expected the spec of {path} beside it as {beside.name}, found none")
    return CatalogEntry(Session(path).read_spec(), path, shipped=False)


def looks_like_a_path(name_or_path: str | Path) -> bool:
    """Whether :func:`find` reads this as a path rather than as a model name."""
    if isinstance(name_or_path, Path):
        return True
    text = name_or_path
    return "/" in text or "\\" in text or Path(text).suffix in {".onnx", ".xml", ".npz", ".gz"}


def checksum(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(entry: CatalogEntry) -> None:
    """Compare a model file with the checksum in its sidecar.

    Raises:
        ModelFileError: it is missing, or differs.
    """
    if not entry.path.is_file():
        raise ModelFileError(f"the file of model {entry.spec.name!r} is missing: {entry.path}")
    actual = checksum(entry.path)
    if entry.spec.sha256 is not None and actual != entry.spec.sha256:
        raise ModelFileError(
            f"{entry.path} is damaged or was changed: expected SHA-256 {entry.spec.sha256}, "
            f"got {actual}; install mien again"
        )


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that can be added by its name.

    Attributes:
        name: by which it is added.
        task: detection, landmarks or expression.
        about: what it is, and what it gives, in a sentence or two.
        license: of the weights; SPDX expression, or a sentence where none fits.
        source: who published it, and as which file.
        checked: how far these facts were verified, and whether the file was ever run here.
        url: of the file, as its publisher gives it; None where none is known.
        sha256: of the file, as its publisher gives it; None where none is known.
        spec: the facts of its ModelSpec, without name, file and sha256; None where the file
            carries them itself.
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

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def known_models(folder: Path | None = None) -> list[KnownModel]:
    """Every known model, by name.

    Raises:
        SpecError: a description cannot be read.
    """
    return _read_known(folder or shipped_folder() / "known")


def find_known(name: str) -> KnownModel | None:
    """A known model by its name, or None."""
    return next((model for model in known_models() if model.name == name), None)


@cache
def _read_known(folder: Path) -> list[KnownModel]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(KnownModel(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise SpecError(f"the description {path} cannot be read: {error}") from None
    return found
