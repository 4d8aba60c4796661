"""Scene cuts: a new image is one, also in the dark; light, movement and cameras are not."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mien import imaging
from mien.media.images import read_image
from mien.tracking import SceneCutDetector, coarse

Pixels = npt.NDArray[np.uint8]
_SNOW = np.random.default_rng(0)


def cuts(*frames: Pixels, step_s: float = 0.04) -> list[bool]:
    detector = SceneCutDetector()
    return [detector.is_cut(coarse(frame), n * step_s) for n, frame in enumerate(frames)]


def light(image: Pixels, gain: float, offset: float = 0.0, gamma: float = 1.0) -> Pixels:
    levels = 255 * (image / 255) ** gamma * gain + offset
    return np.clip(levels, 0, 255).astype(np.uint8)


def shadow(image: Pixels, steepness: float) -> Pixels:
    across = np.linspace(-1, 1, image.shape[1])[None, :, None]
    return (image * (1 - 0.7 / (1 + np.exp(-steepness * across)))).astype(np.uint8)


def snow(image: Pixels) -> Pixels:
    return _SNOW.integers(0, 256, image.shape).astype(np.uint8)


@pytest.fixture
def scenes(samples: dict[str, Path]) -> list[Pixels]:
    group, person = (read_image(samples[name]) for name in ("group", "person-a-neutral"))
    wide = imaging.resize(group, (480, 270))
    portrait = imaging.resize(person, (480, 480))[100:370]
    return [wide, portrait, imaging.resize(wide[40:175, 200:440], (480, 270))]


def test_movement_is_not_a_cut(smile_frames: list[tuple[Pixels, float]]) -> None:
    assert not any(cuts(*(image for image, _ in smile_frames)))


@pytest.mark.parametrize("brightness", [1.0, 0.3, 0.1])
def test_another_image_is_a_cut_also_in_the_dark(scenes: list[Pixels], brightness: float) -> None:
    noise = np.random.default_rng(0)

    def dark(image: Pixels) -> Pixels:
        levels = image * brightness + noise.normal(0, 1.0, image.shape)
        return np.clip(levels, 0, 255).astype(np.uint8)

    for first, second in itertools.permutations(scenes, 2):
        frames = [dark(image) for image in (first, first, second, second)]
        assert cuts(*frames) == [False, False, True, False]


def test_an_image_of_the_same_brightness_is_a_cut(scenes: list[Pixels]) -> None:
    first, second = scenes[0], scenes[1].astype(np.float64)
    alike = (second - second.mean()) / second.std() * first.std() + first.mean()
    assert cuts(first, light(alike.clip(0, 255), 1.0)) == [False, True]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda image: light(image, 0.5), id="darker"),
        pytest.param(lambda image: light(image, 0.2), id="tunnel"),
        pytest.param(lambda image: light(image, 1.8), id="brighter"),
        pytest.param(lambda image: light(image, 0.9, 80), id="haze"),
        pytest.param(lambda image: light(image, 1, gamma=0.45), id="gamma up"),
        pytest.param(lambda image: light(image, 1, gamma=2.2), id="gamma down"),
        pytest.param(lambda image: light(image, 4, 100), id="flash"),
        pytest.param(lambda image: light(image, 0, 255), id="white"),
        pytest.param(lambda image: light(image, 0), id="black"),
        pytest.param(snow, id="snow"),
        pytest.param(lambda image: shadow(image, 3), id="soft shadow"),
        pytest.param(lambda image: shadow(image, 60), id="hard shadow"),
        pytest.param(lambda image: np.roll(image, (6, -20), (0, 1)), id="shake"),
        pytest.param(lambda image: cv2.blur(image, (25, 1)), id="motion blur"),
    ],
)
def test_light_and_camera_are_not_cuts(scenes: list[Pixels], changed: object) -> None:
    assert callable(changed)
    for image in scenes:
        assert not any(cuts(image, changed(image), changed(image), image))


def test_a_new_scene_after_black_is_one_cut(scenes: list[Pixels]) -> None:
    fade = [light(scenes[0], gain) for gain in (1, 0.6, 0.3, 0.1, 0.02, 0)]
    rise = [light(scenes[1], gain) for gain in (0, 0.02, 0.1, 0.3, 0.6, 1)]
    assert sum(cuts(*fade, *rise)) == 1
    assert sum(cuts(*fade, *fade[::-1])) == 0
