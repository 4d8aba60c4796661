"""Explanations point at the places that determine the prediction."""

from collections.abc import Callable
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
from mien.types import Image, Landmarks

EYE = np.hstack([np.eye(2), np.zeros((2, 1))])


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


def test_same_seed_same_saliency(pipeline: FacePipeline) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    one, two, other = (
        explain.saliency_of_crop(crop, pipeline.classifier, Expression.FEAR, masks=20, seed=s)
        for s in (1, 1, 2)
    )
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


def test_explained_places_matter_more_than_random_ones(
    smile: Image, pipeline: FacePipeline
) -> None:
    face = pipeline.analyze(smile).faces[0]
    assert face.landmarks is not None
    crop = pipeline.align(smile, face.detection, face.landmarks).image
    label = Expression.HAPPINESS
    saliency = explain.saliency_of_crop(crop, pipeline.classifier, label, masks=150)

    def auc(order: np.ndarray) -> float:
        curve = explain.deletion_curve(crop, pipeline.classifier, label, order)
        assert curve.shape == (17,)
        return float(curve.mean())

    order = explain.cell_order(saliency)
    rng = np.random.default_rng(0)
    assert auc(order) < np.mean([auc(rng.permutation(256)) for _ in range(3)]) < auc(order[::-1])


def test_deletion_begins_with_the_crop_and_ends_with_the_blur(pipeline: FacePipeline) -> None:
    crop = np.random.default_rng(3).integers(0, 256, (96, 96), dtype=np.uint8)
    curve = explain.deletion_curve(
        crop, pipeline.classifier, Expression.ANGER, np.arange(256), steps=4
    )
    ends = explain.probability_of(
        [crop, explain.blur_away(crop)], pipeline.classifier, Expression.ANGER
    )
    np.testing.assert_allclose(curve[[0, -1]], ends, atol=1e-5)


def test_cells_are_ordered_by_saliency() -> None:
    saliency = np.zeros((8, 8), np.float32)
    saliency[6:, 6:] = 1
    saliency[:4, 6:] = 0.5
    order = explain.cell_order(saliency, cells=4)
    assert order[:3].tolist() == [15, 3, 7]


def test_parts_need_a_mesh() -> None:
    few = Landmarks(np.zeros((5, 2), np.float32), "five")
    assert explain.share_of_parts(np.ones((4, 4), np.float32), few, EYE) == {}


def test_rejects_too_few_masks(pipeline: FacePipeline) -> None:
    with pytest.raises(InputError, match="at least 2 masks"):
        explain.saliency_of_crop(
            np.zeros((96, 96), np.uint8), pipeline.classifier, Expression.FEAR, masks=1
        )
