"""A folder of images that ``mien image`` writes."""

from pathlib import Path, PurePath

from mien.errors import SettingError
from mien.media.images import write_image
from mien.types import Image


class ImageFiles:
    """Writes images to a folder, each under its own name, and never over an original.

    Args:
        folder: is made when the first image is written.
        option: the command line's name of the folder, for messages.
    """

    def __init__(self, folder: Path, option: str) -> None:
        self._folder = folder
        self._option = option
        self._used_names: set[str] = set()

    def write(self, image: Image, relative: PurePath, source: str | None) -> None:
        """Write an image as PNG, or as JPEG unless its name ends in ``.png``."""
        path = self._folder / self._unused_name(relative)
        if source is not None and _same_file(path, Path(source)):
            raise SettingError(
                f"expected {self._option} to keep the originals, got a folder where {path} would "
                "be overwritten; choose another folder"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, image)

    def _unused_name(self, relative: PurePath) -> PurePath:
        suffix = ".png" if relative.suffix.lower() == ".png" else ".jpg"
        name = relative.with_suffix(suffix)
        number = 2
        while str(name).casefold() in self._used_names:
            name = relative.with_name(f"{relative.stem}-{number}{suffix}")
            number += 1
        self._used_names.add(str(name).casefold())
        return name


def _same_file(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)
