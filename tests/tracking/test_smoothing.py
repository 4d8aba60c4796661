"""Smoothing by time and quality, and the state of expressions."""

import numpy as np
import pytest

from mien.labels import Expression
from mien.tracking import ExpressionSmoother, LabelSettings, LandmarkSmoother
from mien.tracking.smoothing import _OneEuroFilter, quality_weight
from mien.types import ExpressionScores, ExpressionState, Landmarks, Quality

LABELS = (Expression.NEUTRAL, Expression.HAPPINESS, Expression.SADNESS)


def scores(happiness: float, sadness: float = 0.0) -> ExpressionScores:
    return ExpressionScores(LABELS, np.array([1 - happiness - sadness, happiness, sadness]))


def follow(
    values: list[tuple[float, float]], weight: float = 1.0, **options: float
) -> list[tuple[Expression, ExpressionState]]:
    """Label and state after each pair of a time and a probability of happiness."""
    smoother = ExpressionSmoother(LabelSettings(**options), uncertain_below=0.4)
    results = [smoother.update(scores(value), weight, time_s) for time_s, value in values]
    return [(calm.label, state) for calm, state in results]


def test_one_euro_filter_reduces_noise_and_follows_movement() -> None:
    rng = np.random.default_rng(0)
    still = _OneEuroFilter(1.0, 0.05)
    noisy = rng.normal(0, 1, 300)
    calm = [float(still.update([value], n / 30)[0]) for n, value in enumerate(noisy)]
    assert np.std(calm[30:]) < 0.5 * np.std(noisy[30:])
    moving = _OneEuroFilter(1.0, 0.05)
    ramp = [float(moving.update([400 * n / 30], n / 30)[0]) for n in range(60)]
    # At 400 units a second a plain 1 Hz filter lags by 64 units.
    assert 400 * 59 / 30 - ramp[-1] < 10


def test_landmark_smoother_reduces_jitter_and_keeps_presence() -> None:
    rng = np.random.default_rng(0)
    face = rng.uniform(0, 100, (468, 3))
    smoother = LandmarkSmoother()
    raw, calm = [], []
    for n in range(90):
        points = (face + rng.normal(0, 0.5, face.shape)).astype(np.float32)
        result = smoother.update(Landmarks(points, "mesh468", 0.9), n / 30)
        raw.append(points)
        calm.append(result.points)
        assert result.presence == pytest.approx(0.9)
    assert np.std(calm[30:], axis=0).mean() < 0.5 * np.std(raw[30:], axis=0).mean()


def test_single_frames_do_not_change_the_label() -> None:
    values = [(n / 30, 0.9 if n % 10 == 5 else 0.05) for n in range(60)]
    assert {label for label, _ in follow(values)} == {Expression.NEUTRAL}


def test_lasting_change_is_followed_within_a_quarter_of_a_second() -> None:
    values = [(n / 30, 0.9 if n >= 30 else 0.05) for n in range(60)]
    labels = [label for label, _ in follow(values)]
    assert labels[29] is Expression.NEUTRAL
    first = labels.index(Expression.HAPPINESS)
    assert (first - 30) / 30 <= 0.25
    assert set(labels[first:]) == {Expression.HAPPINESS}


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_lag_is_independent_of_the_frame_rate(fps: int) -> None:
    values = [(n / fps, 0.9 if n >= fps else 0.05) for n in range(2 * fps)]
    labels = [label for label, _ in follow(values)]
    lag_s = labels.index(Expression.HAPPINESS) / fps - 1
    assert 0.08 <= lag_s <= 0.25


def test_frames_of_low_quality_count_less() -> None:
    clear, blurred = (
        follow([(n / 30, 0.9 if n >= 5 else 0.05) for n in range(14)], weight)
        for weight in (1.0, 0.1)
    )
    assert clear[-1][0] is Expression.HAPPINESS
    assert blurred[-1][0] is Expression.NEUTRAL


def test_expression_is_not_visible_after_half_a_second_without_readable_frames() -> None:
    smoother = ExpressionSmoother()
    states = [smoother.update(scores(0.1), 1.0 if n < 10 else 0.05, n / 30)[1] for n in range(40)]
    assert states[:10] == ["clear"] * 10
    assert "not visible" not in states[:24]
    assert states[25:] == ["not visible"] * 15


def test_low_top_probability_is_uncertain() -> None:
    smoother = ExpressionSmoother(uncertain_below=0.4)
    calm, state = smoother.update(scores(0.33, 0.33), 1.0, 0.0)
    assert state == "uncertain"
    assert calm.uncertain


def test_mean_starts_over_after_a_long_gap() -> None:
    labels = follow([(0.0, 0.05), (0.1, 0.05), (5.0, 0.9)])
    assert labels[-1] == (Expression.HAPPINESS, "clear")


def test_probabilities_sum_to_one() -> None:
    smoother = ExpressionSmoother()
    rng = np.random.default_rng(0)
    for n in range(100):
        raw = rng.dirichlet([0.3, 0.3, 0.3])
        calm, _ = smoother.update(
            ExpressionScores(LABELS, raw.astype(np.float32)), rng.uniform(), n / 30
        )
        assert calm.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_each_reason_divides_the_weight_by_five() -> None:
    assert quality_weight(None) == 1
    assert quality_weight(Quality(size_px=100, presence=1.0)) == 1
    assert quality_weight(Quality(100, presence=1.0, reasons=("blurred",))) == pytest.approx(0.2)
    assert quality_weight(Quality(100, presence=0.5, reasons=("a", "b"))) == pytest.approx(0.02)
