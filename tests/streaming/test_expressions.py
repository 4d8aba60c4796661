"""A face is classified again as soon as it changes, and at least every quarter of a second."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.streaming.expressions import ExpressionCache
from mien.types import ExpressionScores, Image

LABELS = (Expression.NEUTRAL, Expression.HAPPINESS)


class Brightness:
    """A classifier that answers with the brightness of the crop's lower half, and counts."""

    def __init__(self) -> None:
        self.crops = 0

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        self.crops += len(crops)
        shares = [float(crop[32:].mean()) / 255 for crop in crops]
        return [ExpressionScores(LABELS, np.array([1 - s, s], np.float32)) for s in shares]


def crop(mouth: int, *, noise: float = 0.0, light: float = 1.0, seed: int = 0) -> Image:
    picture = np.tile(np.linspace(40, 200, 64), (64, 1))
    picture[40:52, 16:48] = mouth
    picture = picture * light + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def test_classifies_a_still_face_four_times_per_second() -> None:
    classifier = Brightness()
    cache = ExpressionCache(classifier.classify, same_below=0.05)
    for n in range(100):
        cache.classify([crop(100, noise=6, seed=n)], [1], n / 25)
    # Noise and rounding of the times cost nothing: one prediction per 0.28 s.
    assert classifier.crops == pytest.approx(4 / 0.28, abs=1)


def test_classifies_a_changed_face_at_once_but_not_changed_light() -> None:
    classifier = Brightness()
    cache = ExpressionCache(classifier.classify, same_below=0.05)
    cache.classify([crop(100)], [1], 0.0)
    cache.classify([crop(100, light=0.8)], [1], 0.04)
    assert classifier.crops == 1
    (before,) = cache.classify([crop(100)], [1], 0.08)
    (after,) = cache.classify([crop(240)], [1], 0.12)
    assert classifier.crops == 2
    assert after[Expression.HAPPINESS] > before[Expression.HAPPINESS] + 0.1


def test_a_slow_change_is_not_missed() -> None:
    classifier = Brightness()
    cache = ExpressionCache(classifier.classify, same_below=0.05)
    for n in range(6):
        (scores,) = cache.classify([crop(100 + 20 * n)], [1], n / 100)
    (true,) = classifier.classify([crop(200)])
    assert scores[Expression.HAPPINESS] == pytest.approx(true[Expression.HAPPINESS], abs=0.02)


def test_tracks_have_their_own_predictions_until_they_end() -> None:
    classifier = Brightness()
    cache = ExpressionCache(classifier.classify, same_below=0.05)
    first, second = cache.classify([crop(20), crop(240)], [1, 2], 0.0)
    again_second, again_first = cache.classify([crop(240), crop(20)], [2, 1], 0.04)
    assert (again_first, again_second) == (first, second)
    cache.forget([1, None])
    cache.classify([crop(20), crop(240)], [1, 2], 0.08)
    assert classifier.crops == 3


def test_zero_classifies_every_frame(
    pipeline: FacePipeline, smile_frames: list[tuple[npt.NDArray[np.uint8], float]]
) -> None:
    exact, quick = FaceStream(pipeline, StreamSettings(same_look=0.0)), FaceStream(pipeline)
    apart = []
    for image, timestamp_s in smile_frames[::2]:
        (every,), (some,) = exact.update(image, timestamp_s), quick.update(image, timestamp_s)
        assert every.expression_raw is not None
        assert some.expression_raw is not None
        apart.append(
            np.abs(every.expression_raw.probabilities - some.expression_raw.probabilities).sum() / 2
        )
    # What is carried over differs from what would have been read by less than frames differ.
    assert np.mean(apart) < 0.02
    assert np.percentile(apart, 95) < 0.1
