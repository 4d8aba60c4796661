"""One run at a time in an output folder, and never files of two runs beside each other."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mien.errors import SettingError
from mien.media.joining import parts_in
from mien.recording import (
    APPLICATION_FILE,
    FRAMES_FILE,
    STATE_FILE,
    THUMBNAILS_FOLDER,
    VIDEO_FILE,
)
from mien.report.page import REPORT_FILE
from mien.tables.write import TABLE_FILES

CROPS_FOLDER = "crops"
LOCK_FILE = ".mien.lock"

_FILES = (FRAMES_FILE, STATE_FILE, VIDEO_FILE, REPORT_FILE, APPLICATION_FILE, *TABLE_FILES)
_UNFINISHED = ("*.partial", "annotated.partial.mp4")
_FOLDERS = (THUMBNAILS_FOLDER, CROPS_FOLDER)


def make_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        SettingError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"expected a folder that can be made at {folder}: {error.strerror}"
        ) from None


def written_files(folder: Path) -> list[Path]:
    """The files in a folder that an earlier run wrote, and its folders of pictures."""
    found = [folder / name for name in (*_FILES, *_FOLDERS) if (folder / name).exists()]
    return [*found, *parts_in(folder)]


def check_unused(folder: Path, *, resumable: bool = False) -> None:
    """Refuse a folder with the results of an earlier run.

    Args:
        folder: for results; may be missing.
        resumable: whether the error mentions that a run can be resumed.

    Raises:
        SettingError: there are such results.
    """
    found = written_files(folder)
    if found:
        names = ", ".join(path.name for path in found[:3]) + (", …" if len(found) > 3 else "")
        resume = "--resume to continue that run, " if resumable else ""
        raise SettingError(
            f"expected a folder without earlier results, but {folder} has {names}: use "
            f"--overwrite to replace them, {resume}or another folder"
        )


def delete_results(folder: Path) -> None:
    """Delete the results of an earlier run, and nothing else."""
    for path in written_files(folder):
        if path.is_dir():
            for picture in path.glob("**/*.jpg"):
                picture.unlink()
            for inner in sorted((p for p in path.glob("**/") if p.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    inner.rmdir()
        else:
            path.unlink(missing_ok=True)
    for pattern in _UNFINISHED:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder, and hold it until the end of the block.

    The system releases the lock when the process ends, however it ends; a lock file that a killed
    process left behind is taken over.

    Raises:
        SettingError: another process or thread holds it.
    """
    make_folder(folder)
    path = folder / LOCK_FILE
    while True:
        file = path.open("a+", encoding="utf-8")
        if not _lock(file):
            holder = _holder(file)
            file.close()
            raise SettingError(
                f"expected a folder that no other run uses, but process {holder} writes to "
                f"{folder}: wait for it, or use another --out"
            )
        # The one before may have deleted the file after it was opened here.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()
    try:
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def _lock(file: IO[str]) -> bool:
    """Lock an open file without waiting; returns whether that succeeded."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(file: IO[str]) -> str:
    try:
        file.seek(0)
        return file.read().strip() or "unknown"
    except OSError:
        # On Windows a locked file cannot be read.
        return "unknown"
