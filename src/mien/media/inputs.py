"""Finding the images that paths, folders and patterns refer to."""

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from mien.errors import valid_text
from mien.media.formats import HEAD_BYTES, SUFFIXES, sniff
from mien.media.images import is_data_url
from mien.media.raw import SUFFIXES as RAW_SUFFIXES

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

    @property
    def name(self) -> str:
        """The source in messages and results: valid text, without the content of a data URL."""
        short = self.source.partition(",")[0] if is_data_url(self.source) else self.source
        return valid_text(short)


def find_images(
    paths: Iterable[str], *, exclude: Iterable[Path | None] = ()
) -> Iterator[ImageInput]:
    """All images that the paths refer to, in order.

    Folders are searched recursively by file extension, and by content where a file has none; hidden
    files and folders are skipped, and links to folders are not followed. A path that does not exist
    and contains ``*``, ``?`` or ``[`` is a pattern, in which ``**`` matches nested folders. A path
    without any image, a broken link, and a pipe, socket or device in a folder is returned with its
    problem, and never opened.

    Args:
        paths: files, folders, patterns, data URLs, and ``"-"`` for standard input.
        exclude: folders that are not searched, such as the output folder.
    """
    excluded = [folder for folder in exclude if folder is not None]
    for path in paths:
        if path == STDIN:
            yield ImageInput(STDIN, PurePath("stdin"))
        elif is_data_url(path):
            yield ImageInput(path, PurePath("data-url"))
        elif os.path.isdir(path):
            yield from _in_folder(path, excluded)
        elif glob.has_magic(path) and not os.path.lexists(path):
            yield from _matches(path)
        else:
            yield ImageInput(path, PurePath(Path(path).name))


def _matches(pattern: str) -> Iterator[ImageInput]:
    empty = True
    for path in sorted(glob.iglob(pattern, recursive=True)):
        if not os.path.isdir(path):
            empty = False
            yield ImageInput(path, PurePath(Path(path).name), _problem(path))
    if empty:
        yield _none(pattern, "no file matches this pattern")


def _none(path: str, problem: str) -> ImageInput:
    return ImageInput(path, PurePath(), problem=f"{path}: {problem}")


def _in_folder(folder: str, excluded: list[Path]) -> Iterator[ImageInput]:
    empty, raw_files = True, 0
    problems: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not _is_one_of(os.path.join(parent, name), excluded)
        )
        for name in sorted(files):
            path, suffix = os.path.join(parent, name), os.path.splitext(name)[1].lower()
            raw_files += suffix in RAW_SUFFIXES
            if name.startswith(".") or not (
                suffix in SUFFIXES or (not suffix and _has_image(path))
            ):
                continue
            empty = False
            yield ImageInput(path, PurePath(os.path.relpath(path, folder)), _problem(path))
    for error in problems:
        yield _none(str(error.filename), f"the folder cannot be read: {error.strerror}")
    if empty and not problems:
        hint = f", but {raw_files} camera raw files: name them" if raw_files else ""
        yield _none(folder, f"no image in this folder{hint}")


def _has_image(path: str) -> bool:
    """Whether the content of a file without an extension is an image."""
    if _problem(path) is not None:
        return False
    try:
        with open(path, "rb") as file:
            return sniff(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def _problem(path: str) -> str | None:
    """Why a path is passed over: it is no file, and opening it could wait forever."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        reason = "a broken link" if os.path.islink(path) else error.strerror
        return f"{path}: the file cannot be opened: {reason}"
    if stat.S_ISREG(mode):
        return None
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    kind = next((text for test, text in kinds if test(mode)), "a device")
    return f"{path}: expected an image, got {kind}, which is passed over"


def _is_one_of(path: str, others: list[Path]) -> bool:
    return any(other.exists() and os.path.samefile(path, other) for other in others)
