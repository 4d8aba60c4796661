"""Calibration and selective answering, against values worked out by hand."""

import numpy as np
import pytest

from mien.errors import InputError
from mien.evaluation import confidence


def test_ece_by_hand() -> None:
    # Bins of two: confidence .55 and accuracy .5, confidence .9 and accuracy .5.
    c, correct = [0.5, 0.6, 0.8, 1.0], [1, 0, 1, 0]
    assert confidence.ece(c, correct, bins=2) == pytest.approx((0.05 + 0.4) / 2)


def test_bins_hold_equally_many() -> None:
    rng = np.random.default_rng(0)
    table = confidence.reliability(rng.random(300) ** 4, rng.random(300) < 0.5)
    assert table["n"].tolist() == [20] * 15
    assert (np.diff(table["confidence"]) > 0).all()


def test_calibrated_answers_have_little_ece() -> None:
    rng = np.random.default_rng(1)
    c = rng.uniform(0.2, 1, 40_000)
    correct = rng.random(40_000) < c
    assert confidence.ece(c, correct) < 0.01
    assert confidence.ece(np.sqrt(c), correct) > 0.1


def test_brier_by_hand() -> None:
    # (0.3² + 0.2² + 0.1²) and (1 + 1).
    p = [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]]
    assert confidence.brier(p, [0, 2]) == pytest.approx((0.14 + 2) / 2)


def test_risk_coverage_by_hand() -> None:
    curve = confidence.risk_coverage([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0])
    np.testing.assert_allclose(curve["risk"], [0, 0, 1 / 3, 1 / 4, 2 / 5])
    np.testing.assert_allclose(curve["coverage"], [0.2, 0.4, 0.6, 0.8, 1])
    assert curve["aurc"] == pytest.approx((1 / 3 + 1 / 4 + 2 / 5) / 5)
    assert curve["risk_at_80"] == pytest.approx(1 / 4)


def test_risk_coverage_does_not_depend_on_the_order_of_ties() -> None:
    one = confidence.risk_coverage([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0])
    other = confidence.risk_coverage([0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1])
    np.testing.assert_allclose(one["risk"], other["risk"])
    np.testing.assert_allclose(one["risk"], 0.5)


@pytest.mark.parametrize(("c", "correct"), [([], []), ([0.5], [1, 0])])
def test_unfit_input_is_refused(c: list[float], correct: list[int]) -> None:
    with pytest.raises(InputError, match="at least one"):
        confidence.ece(c, correct)
