"""Files that commands write: never over an input, nor over a picture, video or foreign file."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from mien.errors import SettingError
from mien.files import unwritable
from mien.media.images import is_own_image, write_image
from mien.types import Image

_ENDINGS = {
    "json": (".json",),
    "table": (".csv", ".tsv", ".txt"),
    "markdown": (".md", ".markdown", ".txt"),
    "page": (".html", ".htm"),
    "model": (".onnx",),
}
_BINARY = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"%PDF", b"PK\3\4", b"RIFF")
_HEAD_BYTES = 4096
# A second number tells apart the faces of images with one name.
_FACE = re.compile(r"(.*)-face\d+(?:-\d+)?\.(?:jpg|png)", re.IGNORECASE | re.DOTALL)


def check_outputs(
    outputs: Iterable[tuple[str, str | Path | None, str]], inputs: Iterable[Any]
) -> None:
    """Refuse names of files that would replace something else; call it before any work.

    A file may be new. One that exists must have the right ending and kind of content. It is never
    an input or another output.

    Args:
        outputs: the option, its value (None and ``"-"`` are no file), and its kind: ``"json"``,
            ``"table"``, ``"markdown"``, ``"page"`` or ``"model"``.
        inputs: values of the other parameters, and files that are read; others than texts and paths
            are passed over.

    Raises:
        SettingError: a file would replace something else, or cannot be written in its folder.
    """
    taken = _names_of_all(inputs)
    for option, value, kind in outputs:
        if value is None or str(value) == "-":
            continue
        path = Path(value)
        wanted = (
            f"expected a new file, or one that ends in {' or '.join(_ENDINGS[kind])}, for {option}"
        )
        if not path.parent.is_dir():
            advice = "its folder does not exist: make it first"
        elif path.is_dir():
            advice = "which is a folder: add a name"
        elif _names_of(path) & taken:
            advice = "which the command reads or writes otherwise: choose another name"
        # A pipe or a device such as /dev/stdout cannot be replaced.
        elif path.is_file() and not _is_alike(path, kind):
            advice = "which would be replaced: choose another name"
        elif reason := unwritable(path):
            advice = f"where nothing can be written ({reason}): choose another folder"
        else:
            taken |= _names_of(path)
            continue
        raise SettingError(f"{wanted}, got {path}, {advice}")


def check_folder(
    folder: Path | None, option: str, names: Iterable[str], inputs: Iterable[Any]
) -> None:
    """Refuse a folder for results, or for subfolders with them, that would replace an input."""
    if folder is None:
        return
    root, taken = os.path.join(os.path.realpath(folder), ""), set(names)
    for path in (value for value in inputs if isinstance(value, str | Path)):
        if os.path.realpath(path).startswith(root) and os.path.basename(path) in taken:
            raise _would_replace(path, option)


def check_images(folder: Path | None, option: str, names: Iterable[str]) -> None:
    """Refuse a folder in which a picture that mien did not write would be replaced."""
    for path in (folder / name for name in names) if folder is not None else ():
        if path.exists() and not is_own_image(path):
            raise _would_replace(path, option)


class ImageFiles:
    """Writes images to a folder, each under its own name, never over an input or other images.

    The folder is made when the first image is written.

    Args:
        folder: for the images; they may be in subfolders.
        option: which names the folder, for errors.
        inputs: files that are kept.
        used_names: of the images written so far, shared by those that may write to one folder.
    """

    def __init__(
        self, folder: Path, option: str, inputs: Iterable[str | Path], used_names: set[str]
    ) -> None:
        self._folder = folder
        self._option = option
        self._inputs = _names_of_all(inputs)
        self._used_names = used_names

    def check(self, relatives: Iterable[PurePath]) -> None:
        """Refuse to write images of these names over something else; call it before any work.

        Raises:
            SettingError: an image would replace an input or an image that mien did not write.
        """
        for relative in relatives:
            self._check(self._folder / self._unused_name(relative))
        self._used_names.clear()

    def check_faces(self, relatives: Iterable[PurePath]) -> None:
        """The same for the :meth:`face_name` of all faces that these images may have."""
        there: dict[PurePath, dict[str, list[Path]]] = {}
        for relative in relatives:
            parent = relative.parent
            if parent not in there:
                there[parent] = _by_image(self._folder / parent)
            for path in there[parent].get(relative.stem.casefold(), ()):
                self._check(path)

    @staticmethod
    def face_name(relative: PurePath, number: int) -> PurePath:
        """The name for a face of an image."""
        return relative.with_name(f"{relative.stem}-face{number}{relative.suffix}")

    def _check(self, path: Path) -> None:
        if path.exists() and (_names_of(path) & self._inputs or not is_own_image(path)):
            raise _would_replace(path, self._option)

    def write(self, image: Image, relative: PurePath) -> Path:
        """Write an image as JPEG, or as PNG if its name ends in ``.png``; return its path."""
        path = self._folder / self._unused_name(relative)
        self._check(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, image)
        return path

    def _unused_name(self, relative: PurePath) -> PurePath:
        suffix = ".png" if relative.suffix.lower() == ".png" else ".jpg"
        name = relative.with_suffix(suffix)
        number = 2
        while (used := os.path.realpath(self._folder / name).casefold()) in self._used_names:
            name = relative.with_name(f"{relative.stem}-{number}{suffix}")
            number += 1
        self._used_names.add(used)
        return name


def check_folders(folders: Mapping[str, Path | None], sources: Iterable[str]) -> None:
    """Refuse folders for images, by their option, that are files or are searched for inputs.

    Raises:
        SettingError: there is such a file, or the images would be inputs of the next run.
    """
    searched = [os.path.realpath(source) for source in sources if os.path.isdir(source)]
    for option, folder in folders.items():
        if folder is not None and folder.exists() and not folder.is_dir():
            raise SettingError(f"expected a folder for {option}, got the file {folder}")
        if folder is not None and os.path.realpath(folder) in searched:
            raise SettingError(
                f"expected a folder of its own for {option}, got {folder}, whose images are "
                "analyzed: choose another folder, also one in it"
            )


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Name the file in errors of writing, for example because the disk is full."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _by_image(folder: Path) -> dict[str, list[Path]]:
    """The images of faces in a folder, by the name of the image that they may be from."""
    found: dict[str, list[Path]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := _FACE.fullmatch(path.name):
            found.setdefault(match[1].casefold(), []).append(path)
    return found


def _would_replace(path: str | Path, option: str) -> SettingError:
    return SettingError(
        f"expected {option} to keep the originals, got a folder where {path} would be overwritten; "
        "choose another folder"
    )


def _names_of(path: str | Path) -> set[Any]:
    """What tells a file from others: its path without links, and its number on the disk."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return {os.path.realpath(path)} if path else set()
    return {os.path.realpath(path), (facts.st_dev, facts.st_ino)}


def _names_of_all(values: Iterable[Any]) -> set[Any]:
    """Those of all texts and paths but ``"-"``; a text such as yunet:FILE names a file, too."""
    found = set()
    for value in values:
        if isinstance(value, str | Path) and str(value) != "-":
            found |= _names_of(value) | _names_of(str(value).partition(":")[2])
    return found


def _is_alike(path: Path, kind: str) -> bool:
    """Whether an existing file looks like one that may be replaced."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix.lower() not in _ENDINGS[kind]:
        return False
    if kind == "model":
        # The first field of an ONNX model is its version.
        return not head or head[0] == 0x08
    return b"\0" not in head and not head.startswith(_BINARY)
