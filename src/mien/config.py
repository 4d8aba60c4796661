"""Settings: one table feeds the command line, the environment, the web application and the docs."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from mien.errors import SettingError

DEFAULT_MAX_MEGAPIXELS = 100
"""Half as much again as the cameras of most telephones give; about 700 MB when decoded."""


def _setting(default: Any, help_text: str, **facts: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **facts})


@dataclass(frozen=True, slots=True)
class Settings:
    """How the pipeline works. Each field can be set by ``MIEN_<NAME>`` in the environment.

    Raises:
        SettingError: a value that a setting cannot have.
    """

    detector: str = _setting(
        "blazeface",
        "Face detector: blazeface, blazeface-short, haar, yunet:PATH, or the path of a model file.",
    )
    landmarks: str = _setting(
        "facemesh",
        "Landmarks: facemesh, or detector for the few points that the detector itself gives.",
    )
    model: str = _setting(
        "default", "Expression model: a name that `mien models` lists, or the path of a file."
    )
    min_score: float = _setting(
        0.5, "Faces that the detector scores lower are left out.", low=0.0, high=1.0
    )
    tiles: str = _setting(
        "auto",
        "Search large images in overlapping tiles, to find small faces.",
        choices=("auto", "off"),
    )
    max_faces: int = _setting(0, "Keep only the largest faces; 0 keeps all.", low=0, high=10_000)
    prior: str = _setting(
        "default",
        "Shares of the expressions to expect: default (the model's own choice), natural, uniform, "
        "or the path of a JSON file.",
    )
    max_megapixels: int = _setting(
        DEFAULT_MAX_MEGAPIXELS,
        "Pictures of more megapixels are refused before they are decoded, to bound memory.",
        low=1,
        high=4000,
    )
    threads: int = _setting(1, "Threads that one run of a model may use.", low=1, high=256)
    provider: str = _setting(
        "cpu",
        "Where models run.",
        choices=("cpu", "cuda", "openvino", "coreml"),
    )

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            _check(entry, getattr(self, entry.name))

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> "Settings":
        """Settings from the environment; overrides that are not None win.

        Raises:
            SettingError: a value that a setting cannot have.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for entry in dataclasses.fields(cls):
            text = environment.get(environment_name(entry.name))
            if text is not None:
                values[entry.name] = _parse(entry, text)
        values.update({name: value for name, value in overrides.items() if value is not None})
        known = [entry.name for entry in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SettingError(f"expected settings out of {', '.join(known)}, got {unknown[0]!r}")
        return cls(**values)

    def override(self, **values: Any) -> "Settings":
        """These settings with other values; those that are None stay as they are.

        Raises:
            SettingError: a setting has an invalid value.
        """
        given = {name: value for name, value in values.items() if value is not None}
        return dataclasses.replace(self, **given) if given else self


def environment_name(setting: str) -> str:
    """The environment variable of a setting."""
    return f"MIEN_{setting.upper()}"


def describe() -> list[dict[str, Any]]:
    """The table of settings: name, environment variable, default, choices and help."""
    return [
        {
            "name": entry.name,
            "environment": environment_name(entry.name),
            "default": entry.default,
            **entry.metadata,
        }
        for entry in dataclasses.fields(Settings)
    ]


def _parse(entry: "dataclasses.Field[Any]", text: str) -> Any:
    kind: type[Any] = type(entry.default)
    try:
        return kind(text)
    except ValueError:
        raise SettingError(
            f"expected {environment_name(entry.name)} to be a {kind.__name__}, got {text!r}"
        ) from None


def _check(entry: "dataclasses.Field[Any]", value: Any) -> None:
    facts = entry.metadata
    kind = type(entry.default)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or isinstance(value, bool):
        raise SettingError(f"expected {entry.name} to be a {kind.__name__}, got {value!r}")
    if "choices" in facts and value not in facts["choices"]:
        raise SettingError(
            f"expected {entry.name} out of {', '.join(facts['choices'])}, got {value!r}"
        )
    if "low" in facts and not facts["low"] <= value <= facts["high"]:
        raise SettingError(
            f"expected {entry.name} from {facts['low']} to {facts['high']}, got {value!r}"
        )


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"detector": "blazeface-short", "tiles": "off"},
    "accurate": {"detector": "blazeface", "tiles": "auto"},
}
"""Bundles of settings that `--preset` gives by name."""


def data_folder() -> Path:
    """Where mien keeps what it is told to keep: ``MIEN_DATA_DIR``, or the user's data folder."""
    given = os.environ.get("MIEN_DATA_DIR")
    return Path(given) if given else Path(platformdirs.user_data_dir("mien"))


def models_folder() -> Path:
    """Where added models lie."""
    return data_folder() / "models"
