"""The neutral baseline: learning from a resting face, and correcting for it."""

import numpy as np
import pytest

from mien.errors import InputError
from mien.labels import Expression
from mien.tracking import NeutralBaseline, RestingMovements, resting_face
from mien.types import BLENDSHAPES, Box, Detection, ExpressionScores, Face, FrameResult, Signals

LABELS = (Expression.NEUTRAL, Expression.HAPPINESS, Expression.SADNESS, Expression.ANGER)


def scores(*probabilities: float) -> ExpressionScores:
    return ExpressionScores(LABELS, np.array(probabilities))


def learned(rest: ExpressionScores) -> NeutralBaseline:
    baseline = NeutralBaseline()
    for n in range(120):
        baseline.apply(rest, 1.0, n / 30)
    return baseline


def test_corrects_a_face_that_looks_sad_at_rest() -> None:
    rest = scores(0.35, 0.05, 0.55, 0.05)
    baseline = learned(rest)
    assert rest.top is Expression.SADNESS
    assert baseline.apply(rest, 1.0, 5.0).top is Expression.NEUTRAL


def test_neutral_resting_face_is_unchanged() -> None:
    rest = scores(0.94, 0.02, 0.02, 0.02)
    after = learned(rest).apply(scores(0.2, 0.1, 0.6, 0.1), 1.0, 5.0)
    assert after.probabilities == pytest.approx([0.2, 0.1, 0.6, 0.1], abs=1e-6)


def test_smiles_do_not_count_as_rest_and_are_never_lowered() -> None:
    unchanged = scores(0.35, 0.05, 0.55, 0.05)
    assert learned(scores(0.1, 0.8, 0.05, 0.05)).apply(unchanged, 1.0, 5.0) is unchanged
    after = learned(scores(0.4, 0.2, 0.35, 0.05)).apply(scores(0.1, 0.8, 0.05, 0.05), 1.0, 5.0)
    assert after.top is Expression.HAPPINESS
    assert after[Expression.HAPPINESS] >= 0.8


def test_keeps_strong_expressions() -> None:
    baseline = learned(scores(0.35, 0.05, 0.55, 0.05))
    assert baseline.apply(scores(0.02, 0.01, 0.96, 0.01), 1.0, 5.0).top is Expression.SADNESS


def test_ignores_unreadable_frames() -> None:
    baseline = NeutralBaseline()
    for n in range(300):
        baseline.apply(scores(0.35, 0.05, 0.55, 0.05), 0.2, n / 30)
    sad = scores(0.35, 0.05, 0.55, 0.05)
    assert baseline.apply(sad, 1.0, 11.0) is sad


def face(smile: float, opening: float, expression: ExpressionScores | None = None) -> Face:
    return Face(
        Detection(Box(0, 0, 10, 10), 1.0),
        expression=expression,
        blendshapes=dict.fromkeys(BLENDSHAPES, 0.0) | {"mouthSmileLeft": smile},
        signals=Signals(mouth_opening=opening),
    )


def test_resting_movements_are_the_median_of_readable_frames_at_rest() -> None:
    rest = RestingMovements()
    happy = scores(0.1, 0.8, 0.05, 0.05)
    at_rest = ((0.3, 0.0), (0.1, 0.1), (0.2, 0.05), (0.25, 0.04), (0.15, 0.06))
    frames = [
        *((face(0.9, 0.9, happy), 1.0), (face(0.9, 0.9), 0.2)),
        *((face(smile, opening), 1.0) for smile, opening in 6 * at_rest),
    ]
    for n, (found, weight) in enumerate(frames):
        assert rest.neutral is None
        rest.update(found, weight, n * 0.1)
    assert rest.neutral is not None
    assert rest.neutral.blendshapes is not None
    assert rest.neutral.signals is not None
    assert rest.neutral.blendshapes["mouthSmileLeft"] == pytest.approx(0.2)
    assert rest.neutral.signals.mouth_opening == pytest.approx(0.05)


def test_a_neutral_photograph_has_one_face_with_blendshapes() -> None:
    one = face(0.1, 0.0)
    assert resting_face(FrameResult((one,), image_size_wh=(10, 10))) is one
    for faces, problem in (
        ((), "got none: take one"),
        ((one, one), "got 2: cut the person out"),
        ((Face(one.detection),), "got one without blendshapes: set the landmarks"),
    ):
        with pytest.raises(InputError, match=f"expected one face .*{problem}"):
            resting_face(FrameResult(faces, image_size_wh=(10, 10)))
