"""A run of the classical route as a TOML file."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import DataError, SettingError
from mien.expression.features import FeatureSpec, HogGrid
from mien.labels import Expression, parse_expression
from mien.types import AlignmentTemplate

EYES_SCHEME = "eyes2"


@dataclass(frozen=True, slots=True)
class ClassicalRecipe:
    """What is trained, and how.

    Attributes:
        name, summary: what ``mien train --list`` shows.
        labels: in the order of the logits.
        features: of a crop.
        templates: one for each landmark scheme that faces are aligned by; the first is the model's
            main one.
        components: principal components kept.
        vectors: support vectors kept, drawn at random from the training faces.
        kernel_width: the Gaussian's exponent is this times the squared distance over its median.
        ridge: candidates for the regularization, relative to the number of faces; the held-out
            folds choose.
        eyes_share: of the training faces, how many are learned from in the alignment by Haar eyes;
            finding the eyes is the slowest part.
        folds: in which decisions are held out for calibration.
        seed: of everything random.
    """

    name: str
    summary: str
    labels: tuple[Expression, ...]
    features: FeatureSpec
    templates: tuple[AlignmentTemplate, ...]
    components: int
    vectors: int
    kernel_width: float
    ridge: tuple[float, ...]
    eyes_share: float = 1.0
    folds: int = 5
    seed: int = 0


def is_classical(table: dict[str, Any]) -> bool:
    """Whether a parsed recipe is one of this route."""
    return table.get("route") == "classical"


def load_classical_recipe(path: Path) -> ClassicalRecipe:
    """Read a recipe.

    Raises:
        SettingError: the file is missing, no TOML, or has a key that is unknown, missing or wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"expected a recipe at {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"expected TOML in {path}: {error}") from error
    if not is_classical(table):
        raise SettingError(f'expected route = "classical" in the recipe {path}')
    try:
        return _build(table)
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise SettingError(f"the recipe {path} cannot be used: {error}") from error


def _build(table: dict[str, Any]) -> ClassicalRecipe:
    facts = {key: value for key, value in table.items() if key not in ("route", "input")}
    given = table["input"]
    size_wh = (int(given["size"]), int(given["size"]))
    facts["features"] = FeatureSpec(
        size_wh, tuple(HogGrid(**grid) for grid in given["hog"]), int(given.get("lbp_grid", 0))
    )
    facts["labels"] = tuple(parse_expression(word) for word in table["labels"])
    facts["templates"] = tuple(
        AlignmentTemplate(
            template["scheme"],
            tuple(template["indices"]),
            tuple((float(x), float(y)) for x, y in template["points"]),
        )
        for template in given["alignment"]
    )
    facts["ridge"] = tuple(table["ridge"])
    known = {entry.name for entry in dataclasses.fields(ClassicalRecipe)}
    unknown = sorted(set(facts) - known)
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if not facts["templates"] or not facts["ridge"] or not facts["labels"]:
        raise ValueError("labels, ridge and input.alignment must not be empty")
    return ClassicalRecipe(**facts)
