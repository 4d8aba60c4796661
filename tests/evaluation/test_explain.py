"""Explanations point at the places that determine the prediction."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mien.config import Settings
from mien.errors import InputError
from mien.evaluation import explain
from mien.expression import build_classifier
from mien.labels import Expression
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.testing import FakeClassifier, FakeLandmarks, FakePipeline
from mien.types import Box, Detection, FloatArray, Image, Landmarks

BOX = Box(100, 60, 200, 160)


class FivePoints(FakeLandmarks):
    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        return [Landmarks(np.zeros((5, 2), np.float32), "five")]


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(Settings(model="transfer"))


@pytest.fixture(scope="module")
def smile(samples: dict[str, Path]) -> Image:
    return read_image(samples["person-a-smiling"])


def test_saliency_lies_where_the_answer_comes_from(
    tiny_expression_model: Callable[..., Path],
) -> None:
    """The tiny model calls bright crops happy. Blur spreads one bright corner, and so the border
    between it and the dark: what it adds to the mean lies there, and nowhere else."""
    classifier = build_classifier(tiny_expression_model())
    crop = np.full((8, 8), 60, np.uint8)
    crop[:2, :2] = 255
    saliency = explain.saliency_of_crop(crop, classifier, Expression.HAPPINESS, masks=2000, seed=1)
    assert saliency.shape == (8, 8)
    row, column = np.unravel_index(saliency.argmax(), (8, 8))
    assert max(row, column) < 2
    assert np.abs(saliency[5:, 5:]).max() < 0.3 * saliency.max()


def corner_contrast(crop: Image) -> dict[str, float]:
    """Fear as far as the first corner has contrast, which blur takes away."""
    fear = min(float(crop[:16, :16].std()) / 100, 0.9)
    return {"fear": fear, "neutral": 1 - fear}


NOISE = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


def saliency_of_noise(seed: int, masks: int = 20) -> FloatArray:
    classifier = FakeClassifier(corner_contrast)
    return explain.saliency_of_crop(NOISE, classifier, Expression.FEAR, masks=masks, seed=seed)


def test_same_seed_same_saliency() -> None:
    one, two, other = (saliency_of_noise(seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 0


def test_explains_a_smile_by_the_mouth(smile: Image, pipeline: FacePipeline) -> None:
    result, (found,) = explain.explain(smile, pipeline, masks=150)
    assert found.expression is Expression.HAPPINESS
    assert found.probability == pytest.approx(result.faces[0].expression[Expression.HAPPINESS])  # type: ignore[index]
    assert next(iter(found.parts)) == "mouth"
    assert sum(found.parts.values()) == pytest.approx(1)
    drawn = explain.draw_explanation(smile, result.faces[0], found)
    assert drawn.shape == (288, 512, 3)
    left, right = drawn[:256, :256].astype(int), drawn[:256, 256:].astype(int)
    # It glows over the mouth, in the lower half, more than over the eyes.
    redder = (right[..., 0] - right[..., 2]) - (left[..., 0] - left[..., 2])
    assert redder[140:200].mean() > 1.3 * redder[60:110].mean()


def test_explained_places_matter_more_than_the_others() -> None:
    saliency = saliency_of_noise(0, masks=300)
    salient = saliency > np.quantile(saliency, 0.8)
    without, others = (
        corner_contrast(np.where(hidden, 128, NOISE))["fear"] for hidden in (salient, ~salient)
    )
    assert without < 0.7 * others


def test_parts_need_a_mesh(smile: Image) -> None:
    _, (found,) = explain.explain(smile, FakePipeline(boxes=[BOX], landmarks=FivePoints()), masks=2)
    assert found.parts == {}


def test_rejects_too_few_masks() -> None:
    with pytest.raises(InputError, match="at least 2 masks"):
        saliency_of_noise(0, masks=1)
