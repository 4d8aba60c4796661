"""Figures of a confusion matrix, against values worked out by hand."""

import numpy as np
import pytest

from mien.errors import InputError
from mien.evaluation import confusion

# Truth 0: two right, one taken for 1. Truth 1: one right, one missed. Truth 2 never occurs, but is
# answered once, for a 1.
TRUTH = [0, 0, 0, 1, 1, 1]
ANSWERS = [0, 0, 1, 1, confusion.NO_ANSWER, 2]


@pytest.fixture
def matrix() -> np.ndarray:
    return confusion.confusion_matrix(TRUTH, ANSWERS, 3)


def test_counts(matrix: np.ndarray) -> None:
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]]


def test_accuracy_counts_missing_answers_as_wrong(matrix: np.ndarray) -> None:
    assert confusion.accuracy(matrix) == pytest.approx(3 / 6)


def test_recall_and_precision(matrix: np.ndarray) -> None:
    np.testing.assert_allclose(confusion.recall(matrix), [2 / 3, 1 / 3, np.nan])
    np.testing.assert_allclose(confusion.precision(matrix), [1, 1 / 2, 0])


def test_f1(matrix: np.ndarray) -> None:
    # 2 * 2 / (3 + 2) and 2 * 1 / (3 + 2).
    np.testing.assert_allclose(confusion.f1(matrix), [0.8, 0.4, np.nan])


def test_means_leave_out_classes_that_do_not_occur(matrix: np.ndarray) -> None:
    assert confusion.balanced_accuracy(matrix) == pytest.approx(0.5)
    assert confusion.macro_f1(matrix) == pytest.approx(0.6)
    assert confusion.macro_f1(matrix, [1]) == pytest.approx(0.4)
    assert np.isnan(confusion.macro_f1(matrix, []))


def test_stacks_of_matrices_give_the_figures_of_each(matrix: np.ndarray) -> None:
    stack = np.stack([matrix, np.eye(3, 4, dtype=np.int64)])
    np.testing.assert_allclose(confusion.accuracy(stack), [0.5, 1])
    np.testing.assert_allclose(confusion.macro_f1(stack), [0.6, 1])


@pytest.mark.parametrize(("truth", "answers"), [([3], [0]), ([0], [3]), ([-1], [0]), ([0], [0, 1])])
def test_indices_out_of_range_are_refused(truth: list[int], answers: list[int]) -> None:
    with pytest.raises(InputError):
        confusion.confusion_matrix(truth, answers, 3)
