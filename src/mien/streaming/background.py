"""Running the steps of a stream at the same time, in order, with bounded queues."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# How often a waiting thread checks whether it should stop.
_POLL_S = 0.05
_JOIN_S = 5.0
# A camera that is unavailable may block its thread for longer; stopping must not wait for it.
_LIVE_JOIN_S = 1.0


class _End:
    """The last thing in a queue: how the iterator ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def in_background(items: Iterable[T], depth: int = 4) -> Generator[T, None, None]:
    """Run an iterator in its own thread, at most `depth` items ahead of the consumer.

    Order is kept. An exception of the iterator is raised here, after the items before it. Closing
    this generator, also by an exception in the consumer, stops the thread and closes the iterator
    in its own thread.

    Args:
        items: iterated in the thread, from the first `next` on.
        depth: of the queue, at least 1.
    """
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | _End) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=_POLL_S)
                return True
        return False

    return _run(items, put, ready.get, stop, join_s=_JOIN_S)


def newest_in_background(
    items: Iterable[T], dropped: "Counter | None" = None
) -> Generator[T, None, None]:
    """Like :func:`in_background`, but only the newest item waits: older ones are dropped.

    Args:
        items: of a live source, which does not wait either.
        dropped: counts the dropped items.
    """
    slot: _Slot[T | _End] = _Slot()
    stop = threading.Event()

    def put(item: T | _End) -> bool:
        # The end waits until the last item was taken, so that it does not replace it.
        while isinstance(item, _End) and slot.is_full and not stop.wait(_POLL_S):
            pass
        if slot.put(item) and dropped is not None:
            dropped.value += 1
        return not stop.is_set()

    return _run(items, put, slot.take, stop, join_s=_LIVE_JOIN_S)


class Counter:
    """A number that one thread increments and others read."""

    def __init__(self) -> None:
        self.value = 0


class _Slot(Generic[T]):
    """Holds the newest item only."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: T | None = None
        self._full = False

    @property
    def is_full(self) -> bool:
        """Whether an item waits."""
        return self._full

    def put(self, item: T) -> bool:
        """Put an item, and return whether another one was lost by that."""
        with self._condition:
            lost, self._full, self._item = self._full, True, item
            self._condition.notify()
            return lost

    def take(self) -> T:
        """Wait for an item and take it."""
        with self._condition:
            # A bounded wait lets Ctrl-C through on systems where a plain one would not.
            while not self._full:
                self._condition.wait(0.5)
            item, self._item, self._full = self._item, None, False
            return item  # type: ignore[return-value]


def _run(
    items: Iterable[T],
    put: Callable[[T | _End], bool],
    take: Callable[[], T | _End],
    stop: threading.Event,
    *,
    join_s: float,
) -> Generator[T, None, None]:
    """Yield what a thread takes from an iterator, and stop the thread at the end."""
    thread = threading.Thread(target=_pump, args=(items, put, stop), daemon=True, name="mien-step")
    thread.start()
    try:
        while not isinstance(item := take(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join(join_s)


def _pump(items: Iterable[T], put: Callable[[T | _End], bool], stop: threading.Event) -> None:
    """The body of the thread."""
    error: BaseException | None = None
    iterator: Iterator[T] | None = None
    try:
        iterator = iter(items)
        for item in iterator:
            if not put(item) or stop.is_set():
                break
    except BaseException as caught:  # noqa: BLE001 - carried to the consumer, which raises it
        error = caught
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()
    put(_End(error))
