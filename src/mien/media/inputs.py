"""Finding the images that paths, folders and patterns refer to."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from mien.media.formats import SUFFIXES

STDIN = "-"
"""The path that stands for standard input."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image to read, or a path without any image.

    Attributes:
        source: path of the image, for results; ``"-"`` is standard input.
        relative: path relative to the given folder; else the file name.
        problem: why there is no image to read, or None.
    """

    source: str
    relative: PurePath
    problem: str | None = None


def find_images(paths: Iterable[str], *, exclude: Path | None = None) -> Iterator[ImageInput]:
    """All images that the paths refer to, in order.

    Folders are searched recursively by file extension; hidden files and folders are skipped, and
    links to folders are not followed. A path that does not exist and contains ``*``, ``?`` or ``[``
    is a pattern, in which ``**`` matches nested folders. A path without any image is returned with
    its problem.

    Args:
        paths: files, folders, patterns, and ``"-"`` for standard input.
        exclude: a folder that is not searched, such as the output folder.
    """
    for path in paths:
        if path == STDIN:
            yield ImageInput(STDIN, PurePath("stdin"))
        elif os.path.isdir(path):
            yield from _or_problem(path, _in_folder(path, exclude), "no image in this folder")
        elif glob.has_magic(path) and not os.path.lexists(path):
            matches = sorted(glob.iglob(path, recursive=True))
            found = (ImageInput(m, PurePath(Path(m).name)) for m in matches if os.path.isfile(m))
            yield from _or_problem(path, found, "no file matches this pattern")
        else:
            yield ImageInput(path, PurePath(Path(path).name))


def _or_problem(path: str, found: Iterator[ImageInput], problem: str) -> Iterator[ImageInput]:
    empty = True
    for entry in found:
        empty = False
        yield entry
    if empty:
        yield ImageInput(path, PurePath(), problem=f"{path}: {problem}")


def _in_folder(folder: str, exclude: Path | None) -> Iterator[ImageInput]:
    problems: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not _same(os.path.join(parent, name), exclude)
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
