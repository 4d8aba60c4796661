"""Priors and calibrated scores."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.errors import SettingError
from mien.expression import build_classifier
from mien.expression.priors import resolve_prior, scores_from_logits, softmax
from mien.labels import Expression
from mien.types import InputSpec, ModelSpec

LABELS = (Expression.NEUTRAL, Expression.HAPPINESS, Expression.FEAR)


def _spec(
    training_prior: tuple[float, ...] = (0.6, 0.3, 0.1), temperature: float = 1.0
) -> ModelSpec:
    return ModelSpec(
        name="tiny",
        task="expression",
        file="tiny.onnx",
        input=InputSpec("image", (8, 8), "gray", (0.0,), (1.0,)),
        outputs=("logits",),
        license="MIT",
        source="made by this test",
        labels=LABELS,
        training_prior=training_prior,
        temperature=temperature,
        uncertain_below=0.5,
    )


def test_uniform_prior_follows_bayes_rule() -> None:
    posterior = np.array([0.6, 0.25, 0.15])
    _, log_ratio = resolve_prior("uniform", _spec())
    scores = scores_from_logits(np.log(posterior)[None].astype(np.float32), _spec(), log_ratio)[0]
    # By hand: each divided by its training share, 1, 0.8333 and 1.5, over their sum.
    assert scores.probabilities == pytest.approx([0.3, 0.25, 0.45], abs=1e-6)
    assert scores.top is Expression.FEAR
    assert scores.uncertain


def test_half_divides_by_the_square_root_of_the_training_prior() -> None:
    posterior = np.array([0.6, 0.25, 0.15])
    name, log_ratio = resolve_prior("half", _spec())
    scores = scores_from_logits(np.log(posterior)[None].astype(np.float32), _spec(), log_ratio)[0]
    # By hand: 0.6 / 0.7746, 0.25 / 0.5477 and 0.15 / 0.3162, over their sum.
    assert name == "half"
    assert scores.probabilities == pytest.approx([0.45421, 0.26765, 0.27815], abs=1e-5)


def test_the_default_is_the_models_own() -> None:
    spec = dataclasses.replace(_spec(), prior="half")
    assert resolve_prior("default", spec)[0] == "half"
    assert build_classifier().prior == "half"
    assert build_classifier("direct").prior == "natural"


def test_natural_prior_changes_nothing() -> None:
    logits = np.array([[2.0, 1.0, -1.0]], np.float32)
    name, log_ratio = resolve_prior("natural", _spec())
    scores = scores_from_logits(logits, _spec(), log_ratio)[0]
    assert name == "natural"
    assert scores.probabilities == pytest.approx(softmax(logits.astype(np.float64))[0], abs=1e-6)


def test_training_prior_from_a_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clinic.json"
    path.write_text(json.dumps({"neutral": 6, "happy": 3, "fear": 1}))
    name, log_ratio = resolve_prior(str(path), _spec())
    assert name == "clinic.json"
    assert log_ratio == pytest.approx(np.zeros(3), abs=1e-12)


def test_temperature_divides_the_logits() -> None:
    logits = np.array([[2.0, 0.0, 0.0]], np.float32)
    scores = scores_from_logits(logits, _spec(temperature=2.0), None)[0]
    assert scores.probabilities[0] == pytest.approx(np.e / (np.e + 2), abs=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no readable file"),
        ("{", "not valid JSON"),
        ("[1, 2]", "holds no object"),
        ('{"neutral": 1, "happiness": 1}', "missing: fear"),
        ('{"neutral": 1, "happiness": 1, "fear": 0}', "above 0"),
        ('{"neutral": 1, "happiness": 1, "fear": "much"}', "expressions and numbers"),
        ('{"neutral": 1, "happiness": 1, "hunger": 1}', "hunger"),
    ],
)
def test_rejects_invalid_priors(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "prior.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingError, match=message):
        resolve_prior(str(path), _spec())


def test_rejects_other_priors_without_a_training_prior() -> None:
    for prior in ("half", "uniform"):
        with pytest.raises(SettingError, match="--prior natural"):
            resolve_prior(prior, _spec(training_prior=()))


def test_says_that_a_prior_changes_nothing(
    caplog: pytest.LogCaptureFixture, tiny_expression_model: Callable[..., Path]
) -> None:
    path = tiny_expression_model()  # its labels were equally frequent
    build_classifier(path)
    assert not caplog.messages
    build_classifier(path, prior="natural")
    assert caplog.messages[0].startswith("the prior natural changes nothing: the labels of 'tiny'")
    caplog.clear()
    build_classifier("quick", prior="natural")
    assert not caplog.messages
