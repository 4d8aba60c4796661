"""Which pictures a list of paths, folders and patterns means."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from mien.media.images import SUFFIXES

STDIN = "-"
"""The path that means standard input."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """A picture to be read, or a path that led to none.

    Attributes:
        source: its path as it stands in results; ``"-"`` is standard input.
        relative: where it lies under the folder that was given; its file name otherwise.
        problem: why there is nothing to read, or None.
    """

    source: str
    relative: PurePath
    problem: str | None = None


def find_images(paths: Iterable[str], *, leave_out: Path | None = None) -> Iterator[ImageInput]:
    """Every picture that the paths mean, in their order.

    A folder is searched with the folders in it, by file name ending; hidden files and folders are
    left out, links to folders are not followed. A path that does not exist but holds ``*``, ``?``
    or ``[`` is a pattern, where ``**`` stands for folders in folders. A path that leads to no
    picture is given back with its problem.

    Args:
        paths: files, folders, patterns, and ``"-"`` for standard input.
        leave_out: a folder that is not searched, such as one for output.
    """
    for path in paths:
        if path == STDIN:
            yield ImageInput(STDIN, PurePath("stdin"))
        elif os.path.isdir(path):
            yield from _or_problem(path, _in_folder(path, leave_out), "the folder holds no picture")
        elif glob.has_magic(path) and not os.path.lexists(path):
            matches = sorted(glob.iglob(path, recursive=True))
            found = (ImageInput(m, PurePath(Path(m).name)) for m in matches if os.path.isfile(m))
            yield from _or_problem(path, found, "no file matches the pattern")
        else:
            yield ImageInput(path, PurePath(Path(path).name))


def _or_problem(path: str, found: Iterator[ImageInput], problem: str) -> Iterator[ImageInput]:
    empty = True
    for entry in found:
        empty = False
        yield entry
    if empty:
        yield ImageInput(path, PurePath(), problem=f"{path}: {problem}")


def _in_folder(folder: str, leave_out: Path | None) -> Iterator[ImageInput]:
    problems: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not _same(os.path.join(parent, name), leave_out)
        )
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                path = os.path.join(parent, name)
                yield ImageInput(path, PurePath(os.path.relpath(path, folder)))
    for error in problems:
        message = f"{error.filename}: the folder cannot be read: {error.strerror}"
        yield ImageInput(str(error.filename), PurePath(), problem=message)


def _same(path: str, other: Path | None) -> bool:
    return other is not None and other.exists() and os.path.samefile(path, other)
