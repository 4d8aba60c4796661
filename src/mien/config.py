"""Settings of the pipeline, for the library, the command line, the environment and the docs."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, get_type_hints

import platformdirs

from mien.errors import SettingError
from mien.reader import check, read_environment, setting, variable_of

_Function = TypeVar("_Function", bound=Callable[..., Any])
_KEYWORD = inspect.Parameter.KEYWORD_ONLY

DEFAULT_MAX_MEGAPIXELS = 100
"""1.5 times the resolution of most phone cameras; about 700 MB when decoded."""


BLENDSHAPE_LANDMARKS = "face-landmarker"
"""The landmark model that blendshapes, action units and gaze need."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the pipeline.

    The command line and the server also read them from the environment, as ``MIEN_<NAME>``.

    Raises:
        SettingError: a setting has an invalid value.

    Examples:
        >>> import mien
        >>> mien.Settings(prior="uniform").prior
        'uniform'
    """

    detector: str = setting(
        "blazeface", "Face detector: blazeface, blazeface-short, haar, yunet:PATH or a model file."
    )
    landmarks: str = setting(
        "default",
        "Landmark model: facemesh, the default; face-landmarker, with irises, and so gaze, "
        "blendshapes, action units, blinks, closed eyes and yawns, the default of `mien video`, "
        "`mien live` and streams in Python; or detector for the few landmarks of the detector.",
    )
    model: str = setting(
        "default",
        "Expression model: ensemble (transfer, direct and opencv-fer together), the default for "
        "photographs; quick, the default for streams; another name listed by `mien models`, or a "
        "model file.",
    )
    min_score: float = setting(0.5, "Minimum detector score of a face.", low=0.0, high=1.0)
    min_presence: float = setting(
        0.05, "Minimum probability that a detection is a face; 0 returns all.", low=0.0, high=1.0
    )
    tiles: str = setting(
        "auto",
        "Search large images in overlapping tiles to detect small faces.",
        choices=("auto", "off"),
    )
    max_faces: int = setting(
        0, "Maximum number of faces, largest first; 0: no limit.", low=0, high=10_000
    )
    prior: str = setting(
        "default",
        "Expected frequencies of the expressions: default (set by the model), natural, half, "
        "uniform or a JSON file.",
    )
    max_megapixels: int = setting(
        DEFAULT_MAX_MEGAPIXELS,
        "Maximum size of an image in megapixels; checked before decoding.",
        low=1,
        high=4000,
    )
    focal_length: float = setting(
        0.0,
        "Focal length of the camera in longer sides of the picture, for positions of heads in cm; "
        "0 is that of the photograph's EXIF data, or 0.8 where it has none: a webcam or a phone "
        "(65 degrees).",
        low=0.0,
        high=100.0,
    )
    threads: int = setting(1, "Number of threads for one model run.", low=1, high=256)
    provider: str = setting(
        "cpu", "Execution provider of the models.", choices=("cpu", "cuda", "openvino", "coreml")
    )

    def __post_init__(self) -> None:
        check(self, error=SettingError)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> "Settings":
        """Settings from the environment; overrides that are not None win.

        Args:
            environment: by default that of the process.
            overrides: values by the names of the fields.

        Raises:
            SettingError: a setting has an invalid value.
        """
        environment = os.environ if environment is None else environment
        return cls(**read_environment(cls, environment, error=SettingError)).override(**overrides)

    def for_streams(self) -> "Settings":
        """These settings with the landmarks that show blinks, closures and yawns, unless they name
        others."""
        return self.with_blendshapes() if self.landmarks == "default" else self

    def with_blendshapes(self, user: str = "blendshapes") -> "Settings":
        """These settings with the landmarks that blendshapes, action units, gaze and lids need.

        Args:
            user: what needs them, for the error.

        Raises:
            SettingError: they name other landmarks.
        """
        if self.landmarks not in {"default", BLENDSHAPE_LANDMARKS}:
            raise SettingError(
                f"expected the landmarks {BLENDSHAPE_LANDMARKS} for {user}, got "
                f"{self.landmarks!r}: leave --landmarks, --preset fast and MIEN_LANDMARKS out"
            )
        return self.override(landmarks=BLENDSHAPE_LANDMARKS)

    def override(self, **values: Any) -> "Settings":
        """These settings with other values; those that are None stay as they are.

        Args:
            values: by the names of the fields.

        Raises:
            SettingError: there is no such setting, or one has an invalid value.
        """
        known = [entry.name for entry in dataclasses.fields(self)]
        for name in values:
            if name not in known:
                raise SettingError(f"expected settings among {', '.join(known)}; got {name}")
        given = {name: value for name, value in values.items() if value is not None}
        return dataclasses.replace(self, **given) if given else self


def given_settings(settings: Settings | None) -> Settings:
    """These settings, or the default ones.

    Raises:
        SettingError: something else, such as the name of a model.
    """
    if settings is None or isinstance(settings, Settings):
        return settings or Settings()
    raise SettingError(
        f"expected a Settings object, got {settings!r:.60}: name single settings, as in model=..."
    )


class PipelineKeywords(TypedDict, total=False):
    """The settings as keywords, without the two that may be stages; None is the default."""

    model: str | None
    min_score: float | None
    min_presence: float | None
    tiles: Literal["auto", "off"] | None
    max_faces: int | None
    prior: str | None
    max_megapixels: int | None
    focal_length: float | None
    threads: int | None
    provider: Literal["cpu", "cuda", "openvino", "coreml"] | None


class SettingKeywords(PipelineKeywords, total=False):
    """All settings as keywords."""

    detector: str | None
    landmarks: str | None


def shows_settings(function: _Function) -> _Function:
    """Name each setting in the signature of a function that takes them as ``**keywords``."""
    own = inspect.signature(function)
    *others, _ = own.parameters.values()
    kinds = get_type_hints(SettingKeywords)
    added = [
        inspect.Parameter(entry.name, _KEYWORD, default=None, annotation=kinds[entry.name])
        for entry in dataclasses.fields(Settings)
        if entry.name not in own.parameters
    ]
    function.__signature__ = own.replace(parameters=[*others, *added])  # type: ignore[attr-defined]
    return function


def describe() -> list[dict[str, Any]]:
    """The table of settings: name, environment variable, default, choices and help."""
    return [
        {
            "name": entry.name,
            "environment": variable_of(entry),
            "default": entry.default,
            **entry.metadata,
        }
        for entry in dataclasses.fields(Settings)
    ]


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"detector": "blazeface-short", "tiles": "off", "landmarks": "facemesh"},
    "accurate": {"detector": "blazeface", "tiles": "auto"},
}
"""Named sets of settings, for `--preset`."""


def data_folder() -> Path:
    """The folder of models and of the server: ``MIEN_DATA_DIR``, or the user's data folder."""
    given = os.environ.get("MIEN_DATA_DIR")
    return Path(given) if given else Path(platformdirs.user_data_dir("mien"))


def models_folder() -> Path:
    """The folder of added models."""
    return data_folder() / "models"
