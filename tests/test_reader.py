"""Reading parsed files and environments into dataclasses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from mien.errors import SettingError, SpecError
from mien.labels import Expression
from mien.reader import check, read, read_environment, setting
from mien.runtime.catalog import entries
from mien.runtime.spec import spec_from_json, spec_to_json


@dataclass(frozen=True)
class Part:
    size: int
    share: float = 0.5


@dataclass(frozen=True)
class Whole:
    name: str
    part: Part
    labels: tuple[Expression, ...] = ()
    size_wh: tuple[int, int] = (1, 1)
    kind: Literal["a", "b"] = "a"
    file: str | None = None
    prior: str | Mapping[str, float] = "natural"


VALUES: dict[str, Any] = {"name": "x", "part": {"size": 3}}


def test_reads_parts_lists_and_words() -> None:
    whole = read(
        Whole,
        {
            **VALUES,
            "labels": ["Happy", "anger"],
            "size_wh": [3, 4],
            "file": None,
            "prior": {"anger": 1},
        },
        error=SettingError,
    )
    assert whole.part == Part(3)
    assert whole.labels == (Expression.HAPPINESS, Expression.ANGER)
    assert whole.size_wh == (3, 4)
    assert whole.prior == {"anger": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nam": 1}, r"expected keys out of name, part, .* in x\.toml, got 'nam'"),
        ({"part": {"size": 3, "sise": 4}}, "part.size, part.share in x.toml, got 'part.sise'"),
        ({"part": {}}, r"expected part\.size in x\.toml, got none"),
        ({"part": 3}, r"expected part in x\.toml to be a table of keys and values, got 3"),
        ({"part": {"size": 3.5}}, r"part\.size in x\.toml to be a whole number, got 3\.5"),
        ({"part": {"size": True}}, r"part\.size in x\.toml to be a whole number, got True"),
        ({"part": {"size": 1, "share": "x"}}, r"part\.share in x\.toml to be a number, got 'x'"),
        ({"labels": "anger"}, r"labels in x\.toml to be a list, got 'anger'"),
        ({"labels": ["glee"]}, r"labels\[0\] in x\.toml: expected an expression .*got 'glee'"),
        ({"size_wh": [1]}, r"expected 2 items in size_wh in x\.toml, got \[1\]"),
        ({"kind": "c"}, r"expected kind in x\.toml out of a, b, got 'c'"),
        ({"file": 3}, r"expected file in x\.toml to be text, got 3"),
        ({"prior": {"anger": "much"}}, r"prior\.anger in x\.toml to be a number, got 'much'"),
    ],
)
def test_rejects_invalid_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        read(Whole, {**VALUES, **values}, error=SettingError, where=" in x.toml")


@dataclass(frozen=True)
class Options:
    count: int = setting(1, "How many.", low=1, high=9)
    loud: bool = setting(False, "Whether it is loud.", env="LOUD")
    color: str = setting("red", "Which color.", choices=("red", "blue"))
    share: float = setting(0.5, "How much.")

    def __post_init__(self) -> None:
        check(self, error=SettingError)


def test_reads_the_environment() -> None:
    environment = {"MIEN_COUNT": " 3 ", "LOUD": "yes", "MIEN_SHARE": "1", "OTHER": "x"}
    found = read_environment(Options, environment, error=SettingError)
    assert found == {"count": 3, "loud": True, "share": 1.0}
    assert Options(**found) == Options(3, True, "red", 1.0)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"MIEN_COUNT": "many"}, "expected MIEN_COUNT to be a whole number, got 'many'"),
        ({"MIEN_COUNT": "10"}, "expected MIEN_COUNT from 1 to 9, got 10"),
        ({"LOUD": "perhaps"}, "expected LOUD to be 1 or 0, got 'perhaps'"),
        ({"MIEN_COLOR": "green"}, "expected MIEN_COLOR out of red, blue, got 'green'"),
    ],
)
def test_rejects_invalid_environments(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        read_environment(Options, environment, error=SettingError)


def test_checks_settings() -> None:
    with pytest.raises(SettingError, match="expected count from 1 to 9, got 0"):
        Options(count=0)
    with pytest.raises(SettingError, match="expected LOUD to be true or false, got 1"):
        Options(loud=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.spec.name)
def test_specs_make_a_round_trip(entry: Any) -> None:
    assert spec_from_json(spec_to_json(entry.spec)) == entry.spec


def test_reads_specs_of_earlier_versions() -> None:
    spec = next(entry.spec for entry in entries() if entry.spec.name == "scratch")
    document = json.loads(spec_to_json(spec))
    document["licence"] = document.pop("license")  # old spelling
    assert document["input"].pop("color") == "gray"
    document["input"]["colour"] = "grey"  # old spelling
    assert spec_from_json(json.dumps(document)) == spec


def test_names_the_model_of_an_invalid_spec() -> None:
    with pytest.raises(SpecError, match="expected task in the spec of mine"):
        spec_from_json('{"name": "mine", "task": "cooking"}')
