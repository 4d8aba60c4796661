"""Models of other people that mien does not ship, but knows how to use once they are added.

Each is a JSON file in ``models/known``: the fields of :class:`KnownModel`. An address or a checksum
stands there only where its publisher gives it; ``checked`` says how far the facts were verified.
"""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

from mien.errors import SpecError
from mien.runtime.catalog import shipped_folder


@dataclasses.dataclass(frozen=True, slots=True)
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
    return _read(folder or shipped_folder() / "known")


def find(name: str) -> KnownModel | None:
    """A known model by its name, or None."""
    return next((model for model in known_models() if model.name == name), None)


@cache
def _read(folder: Path) -> list[KnownModel]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(KnownModel(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise SpecError(f"the description {path} cannot be read: {error}") from None
    return found
