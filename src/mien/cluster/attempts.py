"""What makes a worker survive its inputs: a journal of crashes, and a watch for hangs."""

import contextlib
import faulthandler
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mien.cluster.folder import Folder
from mien.cluster.inputs import Input
from mien.cluster.plan import Part
from mien.errors import InputError
from mien.media.sources import Selection
from mien.streaming.outputs import LOCK_FILE, is_locked

_JOURNALS = "attempts"
_STDERR = 2

SCRATCH = "mien-part-"
"""How the names of scratch folders begin; a process locks its own."""
STALL_S = 900.0
"""Without progress, a worker is taken to hang, and ends."""
_CRASHES_ALLOWED = 1
"""How often an input may end the process of its worker and be tried again."""
_NEW_S = 60.0  # A younger scratch folder may belong to a process that has not locked it yet.


class Journal:
    """Which inputs of a part were being analyzed when a process ended, kept in the output."""

    def __init__(self, folder: Folder, part: Part) -> None:
        self._folder, self._name = folder, f"{_JOURNALS}/{part.name}.json"
        content = folder.read(self._name)
        self._started: dict[str, int] = json.loads(content) if content else {}

    def crashes(self, found: Input) -> int:
        """How often the process ended at this input."""
        return self._started.get(found.uri, 0)

    @property
    def total(self) -> int:
        return sum(self._started.values())

    def start(self, found: Input) -> None:
        """Count an input as one that ends the process, until it has ended itself."""
        self._change(found, 1)

    def end(self, found: Input) -> None:
        self._change(found, -1)

    def _change(self, found: Input, by: int) -> None:
        self._started[found.uri] = self._started.get(found.uri, 0) + by
        self._folder.write(self._name, json.dumps(self._started).encode())

    def delete(self) -> None:
        self._folder.delete(self._name)


@contextlib.contextmanager
def attempt(journal: Journal | None, found: Input) -> Iterator[None]:
    """Note in a journal, if there is one, that an input is analyzed in the block.

    Raises:
        InputError: it has ended too many processes.
    """
    if journal is None:
        yield
        return
    if (crashes := journal.crashes(found)) > _CRASHES_ALLOWED:
        raise InputError(
            f"ended the process of its worker {crashes} times: it may exhaust or damage it, or hang"
        )
    journal.start(found)
    try:
        yield
    finally:
        journal.end(found)


class Watch:
    """Ends this process where it makes no progress for a time, as a decoder that hangs stops it.

    The process then counts as one that its input ended. The watch needs neither Python nor its
    global lock, so that it ends a process that hangs in a library.

    Args:
        seconds: that may pass between two steps; 0: any time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._seen = seconds, 0.0

    def progress(self) -> None:
        """Note a step; costs next to nothing."""
        now = time.monotonic()
        if self._seconds and now - self._seen > self._seconds / 100:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=_STDERR)
            self._seen = now

    def stop(self) -> None:
        """Watch no longer, until the next step."""
        if self._seconds:
            faulthandler.cancel_dump_traceback_later()
            self._seen = 0.0


class WatchedSelection(Selection):
    """A selection that also tells of the frames that are read and left out.

    Args:
        selection: which frames are used.
        on_frame: called for each frame, in the thread that reads them.
    """

    def __init__(self, selection: Selection, on_frame: Callable[[], None]) -> None:
        super().__init__(selection.every, selection.max_fps, selection.start_s, selection.end_s)
        object.__setattr__(self, "_on_frame", on_frame)

    def is_over(self, timestamp_s: float) -> bool:
        self._on_frame()  # type: ignore[attr-defined]
        return super().is_over(timestamp_s)


def delete_left_scratch() -> None:
    """Delete the scratch folders of processes that were killed, unless they are new."""
    for lock in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*/{LOCK_FILE}"):
        with contextlib.suppress(OSError):
            is_old = time.time() - lock.stat().st_mtime > _NEW_S
            if is_old and not is_locked(lock.parent):
                shutil.rmtree(lock.parent, ignore_errors=True)
