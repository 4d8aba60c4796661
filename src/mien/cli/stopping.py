"""Ctrl-C that waits for the frame in hand, so that nothing is left half written."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked_to_stop(
    is_waiting: Callable[[], bool] = lambda: False,
) -> Iterator[Callable[[], bool]]:
    """Tells whether the user, or the system, has asked this program to stop.

    The first Ctrl-C is only noted; a second one raises KeyboardInterrupt, for a program that hangs,
    and so does the first where `is_waiting` says that no frame is in hand.
    """
    asked = False

    def note(number: int, place: FrameType | None) -> None:
        nonlocal asked
        if asked or is_waiting():
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may handle signals.
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
