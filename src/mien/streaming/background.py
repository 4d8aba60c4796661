"""Iterators in their own threads, which stop with their consumer and before Python exits."""

import atexit
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")

# How often a waiting thread checks whether it should stop.
_POLL_S = 0.05
_JOIN_S = 5.0
# A camera that is unavailable may block its thread for longer; stopping must not wait for it.
_LIVE_JOIN_S = 1.0

# The threads that run, with what stops each. Python ends a daemon thread where it is, and one
# inside OpenCV or ONNX Runtime takes the whole process with it. A thread that is no daemon would
# be waited for before anything can tell it to stop.
_running: dict[threading.Thread, Callable[[], None]] = {}
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_running.clear)


@atexit.register
def _stop_all() -> None:
    """Stop the threads, whose iterators may still be open."""
    running = list(_running.items())
    for _, stop in running:
        stop()
    deadline = time.monotonic() + _JOIN_S
    for thread, _ in running:
        if thread.ident is not None:  # else it is about to start
            thread.join(max(0.0, deadline - time.monotonic()))


class _End:
    """The last thing in a queue: how the iterator ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def start_thread(work: Callable[[], None], name: str, stop: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread; before Python exits, `stop` is called and the thread waited for."""

    def run() -> None:
        try:
            work()
        finally:
            _running.pop(thread, None)

    thread = threading.Thread(target=run, daemon=True, name=name)
    _running[thread] = stop
    try:
        thread.start()
    except RuntimeError:
        _running.pop(thread)
        raise
    return thread


def in_background(items: Iterable[_T], depth: int = 4) -> Generator[_T, None, None]:
    """Run an iterator in its own thread, at most `depth` items ahead of the consumer.

    Order is kept. An exception of the iterator is raised here, after the items before it. Closing
    this generator, also by an exception in the consumer, stops the thread and closes the iterator
    in its own thread. When Python exits, consumers in other threads end with SystemExit.
    """
    ready: queue.Queue[_T | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: _T | _End) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=_POLL_S)
                return True
        if isinstance(item, _End):
            # Only a consumer of an empty queue waits.
            with contextlib.suppress(queue.Full):
                ready.put_nowait(item)
        return False

    return _run(items, put, ready.get, stop, join_s=_JOIN_S)


def newest_in_background(
    items: Iterable[_T],
    dropped: "Counter | None" = None,
    on_stop: Callable[[], None] = lambda: None,
) -> Generator[_T, None, None]:
    """Like :func:`in_background`, but only the newest item waits: older ones are dropped.

    Args:
        items: of a live source, which does not wait either.
        dropped: counts the dropped items.
        on_stop: called when the thread should stop, so that the source does not wait any longer.
    """
    slot: _Slot[_T | _End] = _Slot()
    stop = threading.Event()

    def put(item: _T | _End) -> bool:
        # The end waits until the last item was taken, so that it does not replace it.
        while isinstance(item, _End) and slot.is_full and not stop.wait(_POLL_S):
            pass
        if slot.put(item) and dropped is not None:
            dropped.value += 1
        return not stop.is_set()

    return _run(items, put, slot.take, stop, join_s=_LIVE_JOIN_S, on_stop=on_stop)


class Counter:
    """A number that one thread increments and others read."""

    def __init__(self) -> None:
        self.value = 0


class _Slot(Generic[_T]):
    """Holds the newest item only."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: _T | None = None
        self._full = False

    @property
    def is_full(self) -> bool:
        """Whether an item waits."""
        return self._full

    def put(self, item: _T) -> bool:
        """Put an item, and return whether another one was lost by that."""
        with self._condition:
            lost, self._full, self._item = self._full, True, item
            self._condition.notify()
            return lost

    def take(self) -> _T:
        """Wait for an item and take it."""
        with self._condition:
            # A bounded wait lets Ctrl-C through on systems where a plain one would not.
            while not self._full:
                self._condition.wait(0.5)
            item, self._item, self._full = self._item, None, False
            return item  # type: ignore[return-value]


def _run(
    items: Iterable[_T],
    put: Callable[[_T | _End], bool],
    take: Callable[[], _T | _End],
    stop: threading.Event,
    *,
    join_s: float,
    on_stop: Callable[[], None] = lambda: None,
) -> Generator[_T, None, None]:
    """Yield what a thread takes from an iterator, and stop the thread at the end."""

    def end() -> None:
        stop.set()
        on_stop()

    thread = start_thread(lambda: _pump(items, put, stop), "mien-step", end)
    try:
        while not isinstance(item := take(), _End):
            yield item
        if item.error is not None:
            raise item.error
        if stop.is_set():
            raise SystemExit  # ends this thread as Python exits, not like the end of the items
    finally:
        end()
        # The garbage collector may close this generator in the thread itself.
        if thread is not threading.current_thread():
            thread.join(join_s)


def _pump(items: Iterable[_T], put: Callable[[_T | _End], bool], stop: threading.Event) -> None:
    """The body of the thread."""
    error: BaseException | None = None
    iterator: Iterator[_T] | None = None
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
