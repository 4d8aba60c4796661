"""Bootstrap intervals, against intervals that theory gives."""

import numpy as np
import pytest

from mien.errors import InputError
from mien.evaluation import confusion, resampling
from mien.evaluation.confidence import ece


def test_interval_of_an_accuracy_is_the_binomial_one() -> None:
    # 800 of 1000: standard error sqrt(.8 * .2 / 1000) = .01265, times 1.96.
    matrix = confusion.confusion_matrix([0] * 1000, [0] * 800 + [1] * 200, 2)
    interval = resampling.count_interval(matrix, confusion.accuracy, samples=4000)
    assert interval is not None
    np.testing.assert_allclose(interval, [0.8 - 0.0248, 0.8 + 0.0248], atol=0.003)


def test_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    interval = resampling.mean_interval(values, samples=4000)
    half = 1.96 * values.std() / 20
    assert interval is not None
    np.testing.assert_allclose(interval, [values.mean() - half, values.mean() + half], atol=0.03)


def test_interval_of_the_ece_holds_it() -> None:
    rng = np.random.default_rng(2)
    c = rng.uniform(0.3, 1, 2000)
    correct = rng.random(2000) < c - 0.1
    interval = resampling.ece_interval(c, correct)
    assert interval is not None
    assert interval[0] < ece(c, correct) < interval[1]
    assert interval[1] - interval[0] < 0.06


def test_same_seed_same_interval() -> None:
    one, two, three = (resampling.mean_interval([1, 2, 3, 9], seed=s) for s in (4, 4, 5))
    assert one == two
    assert one != three


def test_large_tables_are_drawn_in_parts() -> None:
    values = np.linspace(0, 1, 50_000)
    interval = resampling.mean_interval(values, samples=100)
    assert interval is not None
    assert interval[0] < 0.5 < interval[1]


def test_figures_that_are_no_numbers_have_no_interval() -> None:
    assert resampling.percentile_interval([np.nan, np.nan]) is None


def test_empty_tables_are_refused() -> None:
    with pytest.raises(InputError, match="at least one row"):
        resampling.resample_counts([[0, 0]])
    with pytest.raises(InputError, match="at least one row"):
        resampling.mean_interval([])
