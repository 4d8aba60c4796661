"""The gate and the batches of the inference engine."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mien.expression import ExpressionClassifier
from mien.testing import FakeClassifier
from mien.types import ExpressionScores, Image
from mien.web import inference
from mien.web.inference import BusyError, _BatchingClassifier, _Gate

WaitUntil = Callable[..., Any]


def _in_threads(*functions: object) -> list[threading.Thread]:
    threads = [threading.Thread(target=function) for function in functions]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    return threads


def test_gate_admits_in_order_of_arrival(wait_until: WaitUntil) -> None:
    gate = _Gate(1, max_wait_s=60)
    order: list[int] = []
    release = threading.Event()

    def hold() -> None:
        with gate.admitted():
            release.wait(600)

    def pass_through(number: int) -> None:
        with gate.admitted():
            order.append(number)

    threads = _in_threads(hold)
    wait_until(lambda: gate.inside == 1)
    for number in range(6):
        threads += _in_threads(lambda number=number: pass_through(number))
        wait_until(lambda number=number: gate.waiting == number + 1)
    release.set()
    for thread in threads:
        thread.join(600)
    assert order == list(range(6))
    assert (gate.inside, gate.waiting) == (0, 0)


def test_gate_refuses_when_too_many_wait(wait_until: WaitUntil) -> None:
    gate = _Gate(1, max_wait_s=0.09)
    release = threading.Event()

    def hold() -> None:
        with gate.admitted():
            release.wait(600)

    # A stay is expected to take 0.05 s, so the third would wait for 0.1 s.
    threads = _in_threads(hold, hold)
    wait_until(lambda: gate.waiting == 1)
    with pytest.raises(BusyError) as refusal, gate.admitted():
        pass
    assert refusal.value.retry_after_ms == 100
    release.set()
    for thread in threads:
        thread.join(600)
    with gate.admitted():
        assert gate.inside == 1


class _Counting:
    """Notes the number of crops of each run."""

    def __init__(self, classifier: ExpressionClassifier) -> None:
        self.name, self.spec, self.prior = classifier.name, classifier.spec, classifier.prior
        self.classifier = classifier
        self.batches: list[int] = []

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        self.batches.append(len(crops))
        if any(crop.shape != (48, 48, 3) for crop in crops):
            raise ValueError("expected crops of 48 x 48 pixels")
        return self.classifier.classify(crops)


@pytest.fixture(scope="module")
def counting() -> _Counting:
    return _Counting(FakeClassifier())


def _crops(counting: _Counting, count: int, seed: int) -> list[Image]:
    width, height = counting.spec.input.size_wh
    return list(np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8))


def test_two_callers_share_a_batch(counting: _Counting) -> None:
    counting.batches.clear()
    batching = _BatchingClassifier(counting, expected=lambda: 2, wait_s=60)
    mine, others = _crops(counting, 2, 1), _crops(counting, 3, 2)
    answers: dict[str, list[ExpressionScores]] = {}
    threads = _in_threads(
        lambda: answers.update(mine=batching.classify(mine)),
        lambda: answers.update(others=batching.classify(others)),
    )
    for thread in threads:
        thread.join(600)
    assert counting.batches == [5]
    for name, crops in (("mine", mine), ("others", others)):
        alone = counting.classifier.classify(crops)
        assert len(answers[name]) == len(alone)
        for got, wanted in zip(answers[name], alone, strict=True):
            np.testing.assert_allclose(got.probabilities, wanted.probabilities, atol=1e-5)


def test_single_caller_does_not_wait(counting: _Counting) -> None:
    batching = _BatchingClassifier(counting, expected=lambda: 1, wait_s=60)
    assert len(batching.classify(_crops(counting, 1, 3))) == 1
    assert batching.classify([]) == []


def test_wait_for_other_callers_is_bounded(counting: _Counting) -> None:
    batching = _BatchingClassifier(counting, expected=lambda: 9, wait_s=0.05)
    assert len(batching.classify(_crops(counting, 1, 4))) == 1


def test_error_reaches_every_caller_of_the_batch(counting: _Counting) -> None:
    batching = _BatchingClassifier(counting, expected=lambda: 2, wait_s=60)
    wrong = [np.zeros((4, 4, 4, 4), np.uint8)]
    errors: list[Exception] = []

    def ask() -> None:
        try:
            batching.classify(wrong)
        except Exception as error:  # noqa: BLE001 - whatever the model makes of nonsense
            errors.append(error)

    for thread in _in_threads(ask, ask):
        thread.join(600)
    assert len(errors) == 2
    batching = _BatchingClassifier(counting, expected=lambda: 1)
    assert len(batching.classify(_crops(counting, 1, 5))) == 1


def test_full_batch_is_divided(counting: _Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_MAX_BATCH_CROPS", 3)
    counting.batches.clear()
    batching = _BatchingClassifier(counting, expected=lambda: 2, wait_s=0.2)
    crops = _crops(counting, 2, 6)
    sizes: list[int] = []
    threads = _in_threads(*[lambda: sizes.append(len(batching.classify(crops)))] * 2)
    for thread in threads:
        thread.join(20)
    assert counting.batches == [2, 2]
    assert sizes == [2, 2]
