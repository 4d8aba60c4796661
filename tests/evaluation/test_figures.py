"""Figures against values worked out by hand, and intervals against those of theory."""

import numpy as np
import pytest

from mien.errors import InputError
from mien.evaluation import figures as f

# Truth 0: two right, one taken for 1. Truth 1: one right, one missed. Truth 2 never occurs, but is
# answered once, for a 1.
TRUTH = [0, 0, 0, 1, 1, 1]
PREDICTED = [0, 0, 1, 1, f.NO_PREDICTION, 2]


def certain(predicted: list[int], classes: int) -> np.ndarray:
    """Probabilities of 1 for each prediction, NaN for none."""
    return np.vstack([np.eye(classes), np.full(classes, np.nan)])[predicted]


@pytest.fixture
def matrix() -> np.ndarray:
    return f.figures(certain(PREDICTED, 3), TRUTH).matrix


def test_counts(matrix: np.ndarray) -> None:
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]]


def test_accuracy_counts_missing_predicted_as_wrong(matrix: np.ndarray) -> None:
    assert f.accuracy(matrix) == pytest.approx(3 / 6)


def test_recall_and_precision(matrix: np.ndarray) -> None:
    np.testing.assert_allclose(f.recall(matrix), [2 / 3, 1 / 3, np.nan])
    np.testing.assert_allclose(f._precision(matrix), [1, 1 / 2, 0])


def test_f1(matrix: np.ndarray) -> None:
    # 2 * 2 / (3 + 2) and 2 * 1 / (3 + 2).
    np.testing.assert_allclose(f._f1(matrix), [0.8, 0.4, np.nan])


def test_means_leave_out_classes_that_do_not_occur(matrix: np.ndarray) -> None:
    assert f.balanced_accuracy(matrix) == pytest.approx(0.5)
    assert f.macro_f1(matrix) == pytest.approx(0.6)
    assert f.macro_f1(matrix, [1]) == pytest.approx(0.4)
    assert np.isnan(f.macro_f1(matrix, []))


def test_stacks_of_matrices_give_the_figures_of_each(matrix: np.ndarray) -> None:
    stack = np.stack([matrix, np.eye(3, 4, dtype=np.int64)])
    np.testing.assert_allclose(f.accuracy(stack), [0.5, 1])
    np.testing.assert_allclose(f.macro_f1(stack), [0.6, 1])


@pytest.mark.parametrize("truth", [[3], [-1], [0, 1]])
def test_rejects_indices_out_of_range(truth: list[int]) -> None:
    with pytest.raises(InputError):
        f.figures([[1.0, 0.0, 0.0]], truth)


def test_ece_by_hand() -> None:
    # Bins of two: confidence .55 and accuracy .5, confidence .9 and accuracy .5.
    c, correct = [0.5, 0.6, 0.8, 1.0], [1, 0, 1, 0]
    assert f.ece(c, correct, bins=2) == pytest.approx((0.05 + 0.4) / 2)


def test_bins_hold_equally_many() -> None:
    rng = np.random.default_rng(0)
    table = f.reliability(rng.random(300) ** 4, rng.random(300) < 0.5)
    assert table["n"].tolist() == [20] * 15
    assert (np.diff(table["confidence"]) > 0).all()


def test_calibrated_predicted_have_little_ece() -> None:
    rng = np.random.default_rng(1)
    c = rng.uniform(0.2, 1, 40_000)
    correct = rng.random(40_000) < c
    assert f.ece(c, correct) < 0.01
    assert f.ece(np.sqrt(c), correct) > 0.1


def test_brier_score_by_hand() -> None:
    # (0.3² + 0.2² + 0.1²) and (1 + 1).
    p = [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]]
    assert f.brier_of_rows(p, [0, 2]) == pytest.approx([0.14, 2])


def test_risk_coverage_by_hand() -> None:
    coverage, risk = f.risk_coverage([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 4, 2 / 5])
    np.testing.assert_allclose(coverage, [0.2, 0.4, 0.6, 0.8, 1])


def test_risk_coverage_does_not_depend_on_the_order_of_ties() -> None:
    _, one = f.risk_coverage([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0])
    _, other = f.risk_coverage([0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1])
    np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(one, 0.5)


@pytest.mark.parametrize(("c", "correct"), [([], []), ([0.5], [1, 0])])
def test_rejects_invalid_input(c: list[float], correct: list[int]) -> None:
    with pytest.raises(InputError, match="at least one"):
        f.ece(c, correct)


def test_interval_of_an_accuracy_is_the_binomial_one() -> None:
    # 800 of 1000: standard error sqrt(.8 * .2 / 1000) = .01265, times 1.96.
    matrix = np.array([[800, 200, 0], [0, 0, 0]])
    interval = f.percentile_interval(f.accuracy(f.resample_counts(matrix, samples=4000)))
    assert interval is not None
    assert f.intervals(matrix)["accuracy"] == pytest.approx(interval, abs=0.003)
    np.testing.assert_allclose(interval, [0.8 - 0.0248, 0.8 + 0.0248], atol=0.003)


def test_intervals_of_shares() -> None:
    # 10 of 100: Newcombe, "Two-sided confidence intervals for the single proportion", 1998.
    assert f.share_interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=5e-5)
    # 2 of 2: 1 / (1 + 1.96² / 2).
    assert f.share_interval(2, 2) == pytest.approx((0.3424, 1), abs=5e-5)
    assert f.share_interval(0, 2) == pytest.approx((0, 0.6576), abs=5e-5)
    assert f.share_interval(0, 0) is None


def test_intervals_have_a_width_where_all_answers_are_right() -> None:
    all_right = np.array([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]])
    low, high = f.intervals(all_right)["accuracy"] or (0, 0)
    assert (low, high) == pytest.approx((4 / (4 + 1.96**2), 1), abs=1e-4)
    # The distances of two recalls to their lower edges, added as errors are: .6576 * sqrt(2) / 2.
    for name in ("balanced_accuracy", "macro_f1"):
        assert f.intervals(all_right)[name] == pytest.approx((1 - 0.6576 / np.sqrt(2), 1), abs=1e-4)
    nothing = np.zeros((2, 3), int)
    assert {*f.intervals(nothing).values()} == {None}


@pytest.mark.parametrize(("n", "at_least"), [(3, 0.75), (10, 0.9), (200, 0.9)])
def test_intervals_hold_the_true_value(n: int, at_least: float) -> None:
    """In 500 draws; of three rows for each expression, a bootstrap holds it in about 60 %."""
    shares = np.array([[0.9, 0.05, 0.05], [0.2, 0.8, 0]])
    rng, held = np.random.default_rng(0), [0, 0]
    truth = float(f.balanced_accuracy(shares)), float(f.macro_f1(shares))
    for _ in range(500):
        matrix = np.stack([rng.multinomial(n, row) for row in shares])
        found = f.intervals(matrix)
        for number, name in enumerate(("balanced_accuracy", "macro_f1")):
            low, high = found[name] or (1.0, 0.0)
            held[number] += low <= truth[number] <= high
    assert min(held) >= 500 * at_least


def test_interval_of_a_difference_by_hand() -> None:
    cells = np.zeros((1, 2, 2), int)
    cells[0, 0, 0], cells[0, 0, 1], cells[0, 1, 0], cells[0, 1, 1] = 20, 3, 9, 8
    # Half a row more for each answer: 9.5 - 3.5 over 42, and (13 - 36/42) / 42² as its variance.
    middle, half = 6 / 42, 1.959964 * np.sqrt(13 - 36 / 42) / 42
    assert f.difference_interval(cells) == pytest.approx((middle - half, middle + half))
    low, high = f.difference_interval([[[2, 0], [0, 0]]])
    assert low < 0 < high
    assert f.difference_interval([[[2, 0], [0, 0]]], balanced=True) == (low, high)


def test_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    interval = f.mean_interval(values, samples=4000)
    half = 1.96 * values.std() / 20
    assert interval is not None
    np.testing.assert_allclose(interval, [values.mean() - half, values.mean() + half], atol=0.03)


def test_interval_of_the_ece_holds_it() -> None:
    rng = np.random.default_rng(2)
    c = rng.uniform(0.3, 1, 2000)
    correct = rng.random(2000) < c - 0.1
    interval = f.ece_interval(c, correct, samples=500)
    assert interval is not None
    assert interval[0] < f.ece(c, correct) < interval[1]
    assert interval[1] - interval[0] < 0.06


def test_same_seed_same_interval() -> None:
    one, two, three = (f.mean_interval([*range(9), 30], seed=s) for s in (4, 4, 5))
    assert one == two
    assert one != three


def test_large_tables_are_drawn_in_parts() -> None:
    values = np.linspace(0, 1, 50_000)
    interval = f.mean_interval(values, samples=90)
    assert interval is not None
    assert interval[0] < 0.5 < interval[1]


def test_figures_that_are_no_numbers_have_no_interval() -> None:
    assert f.percentile_interval([np.nan, np.nan]) is None


def test_too_few_or_equal_rows_are_not_resampled() -> None:
    assert f.percentile_interval([1.0, 1.0]) is None
    assert f.mean_interval([0.1, 0.2]) is None
    assert f.ece_interval([0.9, 0.8], [1, 1]) is None


def test_rejects_empty_tables() -> None:
    with pytest.raises(InputError, match="at least one row"):
        f.resample_counts([[0, 0]])
    with pytest.raises(InputError, match="at least one row"):
        f.mean_interval([])


def test_figures_of_probabilities_by_hand() -> None:
    probabilities = [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [np.nan, np.nan]]
    figures = f.figures(probabilities, [0, 1, 1, 1])
    assert figures.matrix.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert figures.accuracy == pytest.approx(2 / 4)
    assert figures.balanced_accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert figures.nll == pytest.approx(-np.log([0.8, 0.4, 0.7]).mean())
    assert figures.brier == pytest.approx((0.08 + 0.72 + 0.18) / 3)
    assert figures.recall == pytest.approx([1, 1 / 3])


def test_figures_under_a_uniform_prior() -> None:
    # 0.6 / 0.75 is below 0.4 / 0.25, so that the second row becomes right.
    figures = f.figures([[0.9, 0.1], [0.6, 0.4]], [0, 1], prior=[0.75, 0.25])
    assert figures.accuracy == 1
    assert figures.nll == pytest.approx(-np.log([1.2 / 1.6, 1.6 / 2.4]).mean())


def test_figures_without_any_prediction() -> None:
    figures = f.figures([[np.nan, np.nan]], [0])
    assert figures.accuracy == 0
    assert np.isnan([figures.ece, figures.nll, figures.brier]).all()


def test_rejects_probabilities_of_another_shape() -> None:
    with pytest.raises(InputError, match=r"\(N, K\)"):
        f.figures([0.5, 0.5], [0, 1])
