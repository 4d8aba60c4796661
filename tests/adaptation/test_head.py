"""The small classifier and the choice of its strength, on made features."""

import numpy as np
import pytest

from mien.adaptation.faces import person_groups
from mien.adaptation.head import (
    Features,
    Strength,
    _multinomial,
    blendshape_space,
    fit_head,
    make_space,
    own_mapping,
)
from mien.adaptation.run import decide
from mien.adaptation.selection import choose_head, stratified_folds
from mien.evaluation.dataset import ArrayImages, LabeledSet
from mien.expression.priors import softmax
from mien.labels import Expression, exact_label
from mien.types import InputSpec, ModelSpec

RNG = np.random.default_rng(0)


def _features(truth: np.ndarray, confused: bool, noise: float = 1.0) -> Features:
    """Log probabilities of three outputs; where confused, those of the first two are swapped."""
    logits = RNG.normal(size=(len(truth), 2, 3)) * noise
    shown = np.array([1, 0, 2])[truth] if confused else truth
    logits[np.arange(len(truth)), :, shown] += 3
    shape = (len(truth), 2)
    return Features(
        np.log(softmax(logits)), RNG.normal(size=(*shape, 5)), RNG.uniform(size=(*shape, 4))
    )


def test_minimizes_the_penalized_cross_entropy() -> None:
    rows, start = RNG.normal(size=(40, 3)), RNG.normal(size=(3, 4))
    targets, weights = np.eye(4)[RNG.integers(0, 4, 40)], RNG.uniform(0.5, 2, 40)
    penalty = np.array([1.0, 3.0, 0.5])
    found = _multinomial(rows, targets, weights, penalty, start)
    errors = (softmax(rows @ found) - targets) * weights[:, None]
    # At the minimum the gradient is zero.
    gradient = rows.T @ errors + penalty[:, None] * (found - start)
    assert np.abs(gradient).max() < 0.01


def test_a_strong_pull_keeps_the_mapping() -> None:
    truth = np.repeat(np.arange(3), 3)
    features = _features(truth, confused=True)
    spaces = make_space(features.embedding), blendshape_space(features.blendshapes)
    head = fit_head(features, truth, np.eye(3), Strength(1e6, 1e6, 1e6), spaces)
    kept = features.log_probabilities[:, 0].argmax(axis=1)
    assert head.logits(features).argmax(axis=1).tolist() == kept.tolist()


def test_learns_that_labels_mean_something_else() -> None:
    truth = np.repeat(np.arange(3), 20)
    chosen = choose_head(_features(truth, True), truth, np.eye(3), np.arange(60))
    fresh = np.repeat(np.arange(3), 100)
    probabilities = softmax(chosen.head.logits(_features(fresh, True)))
    assert (probabilities.argmax(axis=1) == fresh).mean() > 0.8
    assert (chosen.held_out.argmax(axis=1) == truth).mean() > 0.8
    assert chosen.held_out.sum(axis=1) == pytest.approx(np.ones(60))


def test_new_labels_are_learned_from_the_embedding() -> None:
    truth = np.repeat(np.arange(2), 20)
    embedding = RNG.normal(size=(40, 2, 6))
    embedding[:, :, 0] += 4 * truth[:, None]
    logs = np.log(softmax(RNG.normal(size=(40, 2, 3))))
    none = np.zeros((40, 2, 0))
    chosen = choose_head(Features(logs, embedding, none), truth, np.zeros((3, 2)), np.arange(40))
    assert chosen.strength.embedding is not None
    assert (chosen.held_out.argmax(axis=1) == truth).mean() > 0.85


def test_new_labels_are_learned_from_blendshapes() -> None:
    truth = np.repeat(np.arange(2), 20)
    shapes = RNG.uniform(0, 0.2, size=(40, 2, 8))
    shapes[:, :, 3] += 0.6 * truth[:, None]
    logs = np.log(softmax(RNG.normal(size=(40, 2, 3))))
    features = Features(logs, np.zeros((40, 2, 0)), shapes)
    chosen = choose_head(features, truth, np.zeros((3, 2)), np.arange(40))
    assert chosen.strength.blendshapes is not None
    assert np.abs(chosen.head.blendshapes[3]).min() > np.abs(chosen.head.outputs).max()
    assert (chosen.held_out.argmax(axis=1) == truth).mean() > 0.85


def test_groups_stay_together_and_labels_are_spread() -> None:
    truth = np.tile(np.arange(4), 10)
    groups = np.repeat(np.arange(20), 2)
    fold = stratified_folds(truth, groups, 5)
    assert all(len(set(fold[groups == group])) == 1 for group in range(20))
    counts = np.array([[np.sum((fold == f) & (truth == t)) for t in range(4)] for f in range(5)])
    assert counts.min() == counts.max() == 2
    assert len(set(stratified_folds(truth, np.zeros(40, int), 5))) == 5


def test_keeps_only_what_is_better() -> None:
    truth = np.repeat(np.arange(3), 20)
    right, flat = np.eye(3)[truth] * 0.9 + 0.03, np.full((60, 3), 1 / 3)
    wrong = np.roll(right, 1, axis=1)
    assert decide(wrong, right, truth)[0]
    assert decide(None, right, truth)[0]
    assert not decide(right, right, truth)[0]
    assert not decide(right, wrong, truth)[0]
    assert "chance" in decide(wrong, flat, truth)[1]


def test_own_mapping_follows_names() -> None:
    spec = ModelSpec(
        name="tiny",
        task="expression",
        file="tiny.onnx",
        input=InputSpec("image", (8, 8), "gray", (0.0,), (1.0,)),
        outputs=("logits",),
        license="MIT",
        source="made for a test",
        labels=(Expression.NEUTRAL, Expression.HAPPINESS),
    )
    labels = (Expression.HAPPINESS, exact_label("bored"), exact_label("calm"))
    assert own_mapping(spec, labels).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_numbers_of_groups_start_at_zero() -> None:
    """They are indices later, also of a part of a large set."""
    images = ArrayImages(np.zeros((3, 4, 4), np.uint8), np.arange(3))
    data = LabeledSet(
        "made",
        (Expression.NEUTRAL,),
        np.zeros(3, np.int64),
        ("a", "b", "c"),
        images,
        np.full(3, ""),
        group=np.array([900, 7, 900]),
    )
    assert person_groups(data, ()).tolist() == [1, 0, 1]
