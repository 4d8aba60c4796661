"""The private folder in which a job works, with the visitor's video in it.

It goes when the job ends. What a killed worker left goes soon afterwards, by any of the others.
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where a killed worker's folder stays
    fcntl = None  # type: ignore[assignment]

PREFIX = "mien-job-"
# Between its making and its locking a folder is nobody's.
_YOUNG_S = 60.0


@contextmanager
def job_folder() -> Iterator[Path]:
    """A new folder of this user's alone, locked while its worker lives."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        lock = _lock(Path(name))
        try:
            yield Path(name)
        finally:
            if lock is not None:
                os.close(lock)


def remove_left_folders() -> None:
    """Remove what workers left that do not live any more."""
    if fcntl is None:
        return
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        if not _is_old_and_ours(folder):
            continue
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _is_old_and_ours(folder: Path) -> bool:
    try:
        facts = folder.lstat()
    except OSError:
        return False  # just removed
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
    return ours and time.time() - facts.st_mtime > _YOUNG_S


def _lock(folder: Path) -> int | None:
    """A lock that ends with its process; None where another one holds it, or the folder is gone."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None  # just removed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
