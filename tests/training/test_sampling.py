import numpy as np
import pytest

pytest.importorskip("torch")

from mien.training.batches import draw_probabilities, logit_offset
from mien.training.dataset import majority_prior

pytestmark = pytest.mark.e2e

# Eight faces of one expression and two of another.
TARGETS = np.repeat(np.eye(2, dtype=np.float32), [8, 2], axis=0)


def test_no_balance_shows_every_face_equally() -> None:
    assert draw_probabilities(TARGETS, 0.0) == pytest.approx(np.full(10, 0.1))


def test_full_balance_shows_every_expression_equally() -> None:
    shown = draw_probabilities(TARGETS, 1.0) @ TARGETS
    assert shown == pytest.approx([0.5, 0.5])


def test_the_offset_is_the_log_ratio_of_the_shares() -> None:
    offset = logit_offset(TARGETS, draw_probabilities(TARGETS, 1.0))
    assert offset == pytest.approx(np.log([0.5 / 0.8, 0.5 / 0.2]), abs=1e-5)


def test_a_row_without_a_label_can_be_drawn() -> None:
    targets = np.vstack([TARGETS, np.zeros((1, 2), np.float32)])
    assert (draw_probabilities(targets, 0.5) > 0).all()


def test_the_majority_prior_counts_clear_labels_once_more_than_they_occur() -> None:
    targets = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]], np.float32)
    assert majority_prior(targets) == pytest.approx([3 / 5, 2 / 5])
