"""``--neutral`` of ``mien video`` and ``mien live``."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli.app import app

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def resting_clip(
    tmp_path_factory: pytest.TempPathFactory,
    write_clip: Callable[..., Path],
    smile_frames: list[tuple[np.ndarray, float]],
) -> Path:
    """The first half second of the sample clip, in which person a is neutral."""
    return write_clip(tmp_path_factory.mktemp("clips") / "short.mp4", smile_frames[:12])


def test_a_video_is_measured_from_the_photograph(
    tmp_path: Path, resting_clip: Path, samples: dict[str, Path]
) -> None:
    words = ["video", str(resting_clip), "--no-annotate", "--json"]
    strengths = []
    for name in ("person-a-neutral", "person-a-smiling"):
        folder = tmp_path / name
        ran = RUNNER.invoke(app, [*words, "--out", str(folder), "--neutral", str(samples[name])])
        assert ran.exit_code == 0, ran.stderr
        with (folder / "short" / "faces.csv").open(newline="") as file:
            strengths.append([float(row["au_17"]) for row in csv.DictReader(file)][-1])
    # The chin rises at rest, and not in the smile: from the smile, the rest is a movement.
    assert strengths[0] < 0.05
    assert strengths[1] > strengths[0] + 0.05
    # Another photograph is another run.
    again = [*words, "--out", str(tmp_path / "person-a-neutral"), "--resume"]
    refused = RUNNER.invoke(app, [*again, "--neutral", str(samples["person-a-smiling"])])
    assert json.loads(refused.stdout)["error"].count("neutral") == 1


def test_a_live_stream_takes_it_too(resting_clip: Path, samples: dict[str, Path]) -> None:
    words = ["live", "--camera", str(resting_clip), "--json"]
    ran = RUNNER.invoke(app, [*words, "--neutral", str(samples["person-a-neutral"])])
    assert ran.exit_code == 0, ran.stderr
    units = [json.loads(line)["faces"][0]["action_units"] for line in ran.stdout.splitlines()]
    assert units[-1]["AU12"] < 0.05


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--neutral-track", "1"), "expected --neutral PHOTO together with --neutral-track"),
        (("--neutral", "missing.jpg"), "no such file"),
        (("--neutral", "a.jpg", "--landmarks", "facemesh"), "expected the landmarks"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, resting_clip: Path, words: tuple[str, ...], problem: str
) -> None:
    for command in (
        ("video", str(resting_clip), "--out", str(tmp_path / "out")),
        ("live", "--camera", str(resting_clip)),
    ):
        ran = RUNNER.invoke(app, [*command, *words])
        message = ran.stderr or str(ran.exception)
        assert ran.exit_code != 0
        assert problem in message
