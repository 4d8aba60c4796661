import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mien import config
from mien.config import PRESETS, Settings
from mien.errors import SettingError


def test_the_environment_sets_every_setting() -> None:
    environment = {
        "MIEN_DETECTOR": "haar",
        "MIEN_MIN_SCORE": "0.25",
        "MIEN_MAX_FACES": "3",
        "MIEN_THREADS": "2",
        "UNRELATED": "x",
    }
    settings = Settings.from_environment(environment)
    assert (settings.detector, settings.min_score) == ("haar", 0.25)
    assert (settings.max_faces, settings.threads) == (3, 2)


def test_an_argument_wins_over_the_environment_and_none_does_not() -> None:
    environment = {"MIEN_DETECTOR": "haar", "MIEN_THREADS": "2"}
    settings = Settings.from_environment(environment, detector="blazeface", threads=None)
    assert (settings.detector, settings.threads) == ("blazeface", 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_score": 1.5}, "min_score from 0.0 to 1.0, got 1.5"),
        ({"min_score": float("nan")}, "min_score from 0.0 to 1.0, got nan"),
        ({"threads": 0}, "threads from 1 to 256, got 0"),
        ({"threads": True}, "threads to be a whole number"),
        ({"provider": "tpu"}, "provider out of cpu"),
        ({"detector": 3}, "detector to be text"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Settings(**values)


def test_a_word_where_the_environment_needs_a_number_is_refused() -> None:
    with pytest.raises(SettingError, match="MIEN_THREADS to be a whole number, got 'many'"):
        Settings.from_environment({"MIEN_THREADS": "many"})


def test_every_setting_is_described() -> None:
    described = {entry["name"]: entry for entry in config.describe()}
    assert set(described) == {entry.name for entry in dataclasses.fields(Settings)}
    assert all(entry["help"] for entry in described.values())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_settings(name: str) -> None:
    assert Settings(**PRESETS[name])


def test_the_data_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIEN_DATA_DIR", str(tmp_path))
    assert config.data_folder() == tmp_path
    assert config.models_folder() == tmp_path / "models"


def test_blendshapes_choose_their_landmarks_and_refuse_others() -> None:
    assert Settings().with_blendshapes().landmarks == "face-landmarker"
    chosen = Settings(landmarks="face-landmarker")
    assert chosen.with_blendshapes() == chosen
    with pytest.raises(SettingError, match="for blendshapes, got 'facemesh': leave --landmarks"):
        Settings(landmarks="facemesh").with_blendshapes()
