"""A cut between two people at the same place before the same background."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien import imaging
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.tracking import SceneCutDetector, coarse
from mien.types import Image

pytest.importorskip("lap", reason="tracking needs lapx")


@pytest.fixture(scope="module")
def portraits(samples: dict[str, Path]) -> dict[str, Image]:
    return {
        person: imaging.resize(read_image(samples[f"person-{person}-neutral"]), (320, 320))
        for person in "abcd"
    }


def follow(frames: list[Image]) -> tuple[int, int]:
    """The numbers of cuts and of tracks."""
    stream, kinds = FaceStream(FacePipeline(), StreamSettings(expressions=False)), []
    for number, frame in enumerate(frames):
        stream.update(frame, number / 30)
        kinds += [event.kind for event in stream.events]
    return kinds.count("scene_cut"), kinds.count("track_started")


def swaying(image: Image, count: int, light: Callable[[int], float] = lambda _: 1.0) -> list[Image]:
    noise = np.random.default_rng(0)
    frames = []
    for number in range(count):
        shift = round(4 * math.sin(number / 5))
        levels = np.roll(image, shift, axis=1) * light(number) + noise.normal(0, 2, image.shape)
        frames.append(levels.clip(0, 255).astype(np.uint8))
    return frames


@pytest.mark.parametrize(("people", "light"), [("ad", 1), ("bc", 1), ("bd", 1), ("bd", 0.15)])
def test_the_faces_decide_where_the_frames_are_alike(
    portraits: dict[str, Image], people: str, light: float
) -> None:
    first, second = ((portraits[person] * light).astype(np.uint8) for person in people)
    detector = SceneCutDetector()
    assert not detector.is_cut(coarse(first), 0.0)
    assert not detector.is_cut(coarse(second), 1 / 30)
    assert detector.is_unsure
    assert follow([*swaying(first, 8), *swaying(second, 8)]) == (1, 2)


def test_one_person_in_changing_light_is_one_track(portraits: dict[str, Image]) -> None:
    shade = np.linspace(1.0, 0.3, 320)[None, :, None]
    shaded = (portraits["a"] * shade).astype(np.uint8)
    frames = [*swaying(portraits["a"], 8), *swaying(shaded, 8)]
    assert follow(frames) == (0, 1)
    assert follow(swaying(portraits["a"], 16, lambda n: 0.5 if n == 8 else 1.0)) == (0, 1)


def test_frames_far_apart_are_not_unsure(portraits: dict[str, Image]) -> None:
    detector = SceneCutDetector()
    detector.is_cut(coarse(portraits["a"]), 0.0)
    detector.is_cut(coarse(portraits["d"]), 0.3)
    assert not detector.is_unsure
