"""Steps that run at once keep order, carry errors, and stop, each within seconds."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from mien.streaming.background import Counter, in_background, newest_in_background

OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """Know the threads of other tests in this process, such as those of a server."""
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


def threads() -> int:
    running = set(threading.enumerate()) - OTHERS
    return sum(thread.name.startswith("mien-") for thread in running)


def wait_for_no_threads() -> None:
    deadline = time.monotonic() + 600
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == 0


def counting(closed: list[bool], *, slow_s: float = 0.0) -> Iterator[int]:
    try:
        for number in itertools.count():
            time.sleep(slow_s)
            yield number
    finally:
        closed.append(True)


def test_keeps_order_and_ends() -> None:
    doubled = (2 * n for n in in_background(range(500), depth=2))
    assert list(in_background(doubled)) == list(range(0, 1000, 2))
    wait_for_no_threads()


def test_waits_for_a_slow_consumer() -> None:
    ahead: list[int] = []

    def source() -> Iterator[int]:
        for number in range(50):
            ahead.append(number)
            yield number

    items = in_background(source(), depth=3)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(ahead) <= 6
    assert list(items) == list(range(1, 50))


def test_raises_errors_after_the_items_before_them() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the fourth is broken")

    got: list[int] = []
    with pytest.raises(ValueError, match="fourth"):
        # Unlike list(), this keeps what came before the error.
        got.extend(in_background(in_background(source())))
    assert got == [0, 1, 2]
    wait_for_no_threads()


@pytest.mark.parametrize("make", [in_background, newest_in_background])
def test_closing_stops_and_closes_the_source(make) -> None:  # type: ignore[no-untyped-def]
    closed: list[bool] = []
    items = make(counting(closed, slow_s=0.001))
    assert next(items) >= 0
    items.close()
    wait_for_no_threads()
    assert closed == [True]


def test_closing_stops_every_iterator_of_a_chain() -> None:
    closed: list[bool] = []
    items = in_background(n for n in in_background(counting(closed)))
    assert next(items) == 0
    items.close()
    wait_for_no_threads()


def test_keeps_the_newest_and_the_last_item_of_a_live_source() -> None:
    ended = threading.Event()

    def camera() -> Iterator[int]:
        yield from range(60)
        ended.set()

    dropped, got = Counter(), []
    for number in newest_in_background(camera(), dropped):
        ended.wait()
        got.append(number)
    assert got == sorted(set(got))
    assert got[-1] == 59
    assert len(got) + dropped.value == 60
    assert dropped.value > 0


def test_raises_errors_of_a_live_source() -> None:
    def camera() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(newest_in_background(camera()))
    wait_for_no_threads()
