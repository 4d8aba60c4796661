"""Noise is removed from crops that have some, and from no others."""

import numpy as np
import pytest

from mien import imaging
from mien.expression.crop import face_crop
from mien.expression.neural import NeuralClassifier
from mien.expression.noise import sees_noise, without_noise
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.samples import sample_paths
from mien.types import FloatArray, Image


@pytest.fixture(scope="module")
def portraits() -> list[Image]:
    paths = [path for path in sample_paths() if path.stem.startswith("person")]
    pipeline = FacePipeline()
    spec = pipeline.classifier.spec
    images = [read_image(path) for path in paths]
    found = [(image, pipeline.analyze(image).faces[0]) for image in images]
    crops = [face_crop(image, face.box, face.landmarks, spec).image for image, face in found]
    return [imaging.to_gray(crop) for crop in crops]


def _noisy(image: Image, sigma: float, light: float = 1.0, grain_px: int = 1) -> Image:
    grid = [side // grain_px for side in image.shape]
    grains = np.random.default_rng(0).normal(0, sigma, grid).repeat(grain_px, 0).repeat(grain_px, 1)
    return np.asarray(np.clip(np.rint(image * light + grains), 0, 255), np.uint8)


def _distance(first: Image, second: Image) -> float:
    """Of two pictures, whatever their light and contrast are."""
    planes = [(plane - plane.mean()) / plane.std() for plane in (first, second)]
    return float(np.abs(planes[0] - planes[1]).mean())


def test_hardly_changes_clean_crops(portraits: list[Image]) -> None:
    found = [without_noise(crop) for crop in portraits]
    assert sum(after is crop for after, crop in zip(found, portraits, strict=True)) >= 6
    assert all(_distance(a, b) < 0.05 for a, b in zip(found, portraits, strict=True))
    colored = imaging.as_rgb(imaging.resize(imaging.resize(portraits[0], (32, 32)), (96, 96)))
    assert without_noise(colored) is colored


@pytest.mark.parametrize(("sigma", "light"), [(15, 1.0), (30, 1.0), (2.5, 0.15)])
def test_removes_noise(portraits: list[Image], sigma: float, light: float) -> None:
    for crop in portraits:
        noisy = _noisy(crop, sigma, light)
        clean = without_noise(noisy)
        assert clean.shape == crop.shape
        assert _distance(clean, crop) < 0.75 * _distance(noisy, crop)


def test_gives_a_dim_crop_more_contrast(portraits: list[Image]) -> None:
    noisy = _noisy(portraits[0], 2.5, 0.15)
    assert noisy.std() < 12
    assert without_noise(noisy).std() > 25


@pytest.mark.parametrize("value", [0, 128, 255])
def test_takes_a_crop_without_contrast(value: int) -> None:
    crop = np.full((96, 96), value, np.uint8)
    assert without_noise(crop) is crop


def test_grains_of_all_pixels_do_no_harm() -> None:
    crop = np.random.default_rng(1).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    assert without_noise(crop).shape == (96, 96)


def test_is_for_gray_networks_with_enough_pixels() -> None:
    seen = {
        name: sees_noise(catalog.find(name).spec.input)
        for name in ("transfer", "scratch", "direct")
    }
    assert seen == {"transfer": True, "scratch": False, "direct": False}


def test_probabilities_stay_closer_to_those_without_noise(
    portraits: list[Image],
) -> None:
    classifier = NeuralClassifier(catalog.find("transfer"))

    def probabilities(crops: list[Image]) -> FloatArray:
        return np.stack([scores.probabilities for scores in classifier.classify(crops)])

    noisy = [_noisy(crop, 20, grain_px=2) for crop in portraits]
    expected = probabilities(portraits)
    with_removal = np.abs(probabilities(noisy) - expected).mean()
    classifier = NeuralClassifier(catalog.find("transfer"), noise_removed=True)
    assert with_removal < 0.7 * np.abs(probabilities(noisy) - expected).mean()
