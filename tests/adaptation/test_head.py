"""The small classifier and the choice of its strength, on made features."""

import numpy as np
import pytest

from mien.adaptation import _decide, _own_mapping
from mien.adaptation.faces import person_groups
from mien.adaptation.head import (
    BLENDSHAPE_OUTPUT,
    OTHER_LOGS,
    Features,
    Strength,
    _multinomial,
    fit_head,
)
from mien.adaptation.selection import choose_head, stratified_folds
from mien.evaluation.dataset import LabeledSet
from mien.expression.priors import softmax
from mien.labels import Expression, exact_label
from mien.runtime.spec import EMBEDDING

RNG = np.random.default_rng(0)


def _features(truth: np.ndarray, confused: bool, noise: float = 1.0) -> Features:
    """Log probabilities of three outputs; where confused, those of the first two are swapped."""
    logits = RNG.normal(size=(len(truth), 2, 3)) * noise
    shown = np.array([1, 0, 2])[truth] if confused else truth
    logits[np.arange(len(truth)), :, shown] += 3
    shape = (len(truth), 2)
    parts = {
        EMBEDDING: RNG.normal(size=(*shape, 5)),
        BLENDSHAPE_OUTPUT: RNG.uniform(size=(*shape, 4)),
    }
    return Features(np.log(softmax(logits)), parts, np.zeros((*shape, 0)))


def test_minimizes_the_penalized_cross_entropy() -> None:
    rows, start = RNG.normal(size=(40, 3)), RNG.normal(size=(3, 4))
    truth, weights = RNG.integers(0, 4, 40), RNG.uniform(0.5, 2, 40)
    penalty = np.array([1.0, 3.0, 0.5])
    found = _multinomial(rows, truth, weights, penalty, start)
    errors = (softmax(rows @ found) - np.eye(4)[truth]) * weights[:, None]
    # At the minimum the gradient is zero.
    gradient = rows.T @ errors + penalty[:, None] * (found - start)
    assert np.abs(gradient).max() < 0.01


def test_a_strong_pull_keeps_the_mapping() -> None:
    truth = np.repeat(np.arange(3), 3)
    features = _features(truth, confused=True)
    strength = Strength(1e6, 1e6, 1e6)
    head = fit_head(features, truth, np.eye(3), strength)
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


def test_a_few_pictures_leave_the_model_as_sure_as_it_was() -> None:
    truth = np.repeat(np.arange(2), 3)
    logs = np.log(np.where(np.eye(2)[truth] > 0, 0.95, 0.05))[:, None].repeat(2, axis=1)
    features = Features(logs, {}, np.zeros((6, 2, 0)))
    head = choose_head(features, truth, np.eye(2), np.arange(6)).head
    assert softmax(head.logits(features)).max(axis=1).min() > 0.95


def test_new_labels_are_learned_from_the_embedding() -> None:
    truth = np.repeat(np.arange(2), 20)
    embedding = RNG.normal(size=(40, 2, 6))
    embedding[:, :, 0] += 4 * truth[:, None]
    logs = np.log(softmax(RNG.normal(size=(40, 2, 3))))
    features = Features(logs, {EMBEDDING: embedding}, np.zeros((40, 2, 0)))
    chosen = choose_head(features, truth, np.zeros((3, 2)), np.arange(40))
    assert chosen.strength.embedding is not None
    assert (chosen.held_out.argmax(axis=1) == truth).mean() > 0.85


def test_new_labels_are_learned_from_blendshapes() -> None:
    truth = np.repeat(np.arange(2), 20)
    shapes = RNG.uniform(0, 0.2, size=(40, 2, 8))
    shapes[:, :, 3] += 0.6 * truth[:, None]
    logs = np.log(softmax(RNG.normal(size=(40, 2, 3))))
    features = Features(logs, {BLENDSHAPE_OUTPUT: shapes}, np.zeros((40, 2, 0)))
    chosen = choose_head(features, truth, np.zeros((3, 2)), np.arange(40))
    assert chosen.strength.blendshapes is not None
    assert np.abs(chosen.head.parts[BLENDSHAPE_OUTPUT][3]).min() > np.abs(chosen.head.outputs).max()
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
    assert _decide(wrong, right, truth)[0]
    assert _decide(None, right, truth)[0]
    assert not _decide(right, right, truth)[0]
    assert not _decide(right, wrong, truth)[0]
    assert "chance" in _decide(wrong, flat, truth)[1]


def test_other_networks_are_used_where_they_know_more() -> None:
    truth = np.repeat(np.arange(3), 12)
    own = _features(truth, confused=True, noise=2.0)
    others = RNG.normal(size=(36, 2, 3))
    others[np.arange(36), :, truth] += 5
    others -= others.mean(axis=2, keepdims=True)
    features = Features(own.log_probabilities, own.parts, others)
    mapping = np.concatenate([np.eye(3), np.eye(3)])
    chosen = choose_head(features, truth, mapping, np.arange(36))
    assert chosen.strength.others is not None
    assert (chosen.held_out.argmax(axis=1) == truth).mean() > 0.9
    assert OTHER_LOGS in chosen.head.used()
    unknown = RNG.normal(size=(36, 2, 3))
    features = Features(_features(truth, confused=False).log_probabilities, {}, unknown)
    assert choose_head(features, truth, mapping, np.arange(36)).strength.others is None


def test_own_mapping_follows_names() -> None:
    labels = (Expression.HAPPINESS, exact_label("bored"), exact_label("calm"))
    outputs = (Expression.NEUTRAL, Expression.HAPPINESS, Expression.NEUTRAL)
    assert _own_mapping(outputs, labels).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_numbers_of_groups_start_at_zero() -> None:
    """They are indices later, also of a part of a large set."""
    images = [np.zeros((4, 4), np.uint8)] * 3
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


def test_empty_cells_are_not_one_person() -> None:
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 255, (24, 24), np.uint8) for _ in range(5))
    data = LabeledSet(
        "made",
        (Expression.NEUTRAL,),
        np.zeros(5, np.int64),
        tuple("abcde"),
        list(images),
        np.full(5, ""),
        group=np.zeros(5, np.int64),  # of near-duplicates, or of an experiment
        columns={"Subject": np.full(5, " "), "person": np.array(["", "p", " ", "p", "q"])},
    )
    groups = person_groups(data, images).tolist()
    assert len(set(groups)) == 4
    assert groups[1] == groups[3]
