"""Temperature, cross-fitting and the rule of uncertainty."""

import numpy as np
import numpy.typing as npt
import pytest

from mien.errors import InputError
from mien.evaluation import calibration
from mien.evaluation.figures import ece, figures
from mien.expression.priors import softmax


def drawn(n: int, temperature: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Logits whose softmax is right after division by a temperature."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 2, (n, 4))
    p = softmax(logits / temperature)
    truth = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits, truth


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_finds_the_temperature(temperature: float) -> None:
    # 0.05 is four standard errors at 20,000 rows.
    assert calibration.fit_temperature(*drawn(20_000, temperature)) == pytest.approx(
        temperature, rel=0.05
    )


@pytest.mark.parametrize(
    ("known", "rows", "right", "low", "high"),
    # 24 of 24 right: the next is right with a probability of about 25 / 26. A calibrated model that
    # says 0.98 is hardly surer after it, and still sure after 4 of 6; likelihood alone says 2 / 3.
    [(0, 24, 24, 0.94, 0.98), (1, 24, 24, 0.98, 0.993), (1, 6, 4, 0.85, 0.95)],
)
def test_few_rows_change_the_confidence_little(
    known: float, rows: int, right: int, low: float, high: float
) -> None:
    said = np.arange(rows) % 4
    logits = np.eye(4)[said] * 5
    truth = np.where(np.arange(rows) < right, said, (said + 1) % 4)
    temperature = calibration.fit_temperature(logits, truth, known=known)
    assert low < softmax(logits / temperature).max(axis=1).mean() < high


def test_temperature_has_the_highest_likelihood() -> None:
    logits, truth = drawn(2000, 1.7)
    best = calibration.fit_temperature(logits, truth)
    nll = [figures(softmax(logits / t), truth).nll for t in (best, best * 1.02, best / 1.02)]
    assert min(nll) == nll[0]


def test_cross_fitting_calibrates() -> None:
    logits, truth = drawn(6000, 3.0)
    before = ece(softmax(logits).max(axis=1), softmax(logits).argmax(axis=1) == truth)
    assert before > 0.2
    crossed = calibration.cross_fitted_probabilities(logits, truth)
    assert figures(crossed, truth).ece < 0.03


def test_cross_fitted_rows_do_not_see_their_own_label() -> None:
    logits, truth = drawn(200, 1.0)
    fold = calibration.fold_numbers(200, 5, seed=0)
    changed = truth.copy()
    changed[fold == 2] = (truth[fold == 2] + 1) % 4
    one = calibration.cross_fitted_probabilities(logits, truth)
    other = calibration.cross_fitted_probabilities(logits, changed)
    np.testing.assert_array_equal(one[fold == 2], other[fold == 2])
    assert np.abs(one - other)[fold != 2].max() > 0


def test_folds_are_even_and_keep_groups_together() -> None:
    assert np.bincount(calibration.fold_numbers(103, 5, seed=1)).tolist() == [21, 21, 21, 20, 20]
    groups = np.repeat(np.arange(30), 3)
    fold = calibration.fold_numbers(90, 5, seed=1, groups=groups)
    assert all(len(set(fold[groups == g])) == 1 for g in range(30))


def test_uncertainty_threshold_keeps_the_wanted_coverage() -> None:
    logits, truth = drawn(5000, 1.0)
    rule = calibration.uncertain_threshold(softmax(logits), truth)
    assert rule["coverage"] == pytest.approx(0.8, abs=1e-3)
    assert rule["error_covered"] < rule["error"]
    p = softmax(logits)
    kept = p.max(axis=1) >= rule["threshold"]
    assert rule["error_covered"] == pytest.approx(1 - (p.argmax(axis=1) == truth)[kept].mean())


def test_rejects_invalid_input() -> None:
    with pytest.raises(InputError, match="labels from 0 to 1"):
        calibration.fit_temperature([[0, 1]], [2])
    with pytest.raises(InputError, match="folds"):
        calibration.cross_fitted_probabilities([[0, 1]], [0])
