"""Valence and arousal from probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.labels import Expression
from mien.signals import derive_affect
from mien.types import ExpressionScores

LABELS = tuple(Expression)


def _scores(**shares: float) -> ExpressionScores:
    return ExpressionScores(LABELS, np.array([shares.get(label.value, 0.0) for label in LABELS]))


# Russell and Mehrabian 1977, the means of pleasure and arousal for these words.
@pytest.mark.parametrize(
    ("expression", "valence", "arousal"),
    [
        ("happiness", 0.81, 0.51),
        ("sadness", -0.63, -0.27),
        ("surprise", 0.40, 0.67),
        ("fear", -0.64, 0.60),
        ("disgust", -0.60, 0.35),
        ("anger", -0.51, 0.59),
        ("neutral", 0.0, 0.0),
    ],
)
def test_certain_expressions_have_their_published_coordinates(
    expression: str, valence: float, arousal: float
) -> None:
    affect = derive_affect(_scores(**{expression: 1.0}))
    assert affect is not None
    assert (affect.valence, affect.arousal) == pytest.approx((valence, arousal))
    assert affect.method == "derived from probabilities"


def test_coordinates_are_weighted_by_probability() -> None:
    affect = derive_affect(_scores(happiness=0.5, neutral=0.5))
    assert affect is not None
    assert (affect.valence, affect.arousal) == pytest.approx((0.405, 0.255))


def test_contempt_has_no_coordinates() -> None:
    assert derive_affect(_scores(contempt=1.0)) is None
    assert derive_affect(_scores(contempt=0.5, happiness=0.5)) is None
    affect = derive_affect(_scores(contempt=0.2, happiness=0.8))
    assert affect is not None
    assert affect.valence == pytest.approx(0.81)


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=8, max_size=8))
def test_affect_is_in_range(shares: list[float]) -> None:
    probabilities = (np.array(shares) / np.sum(shares)).astype(np.float32)
    affect = derive_affect(ExpressionScores(LABELS, probabilities))
    if affect is None:
        contempt = probabilities[LABELS.index(Expression.CONTEMPT)]
        assert contempt >= 0.5 - 1e-6
    else:
        assert -1 <= affect.valence <= 1
        assert -1 <= affect.arousal <= 1
