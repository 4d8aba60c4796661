"""What the file of an image says beside its pixels."""

import contextlib
import io
from typing import IO

from PIL import ExifTags, ImageFile, JpegImagePlugin
from PIL import Image as PillowImage

from mien.media.pixels import is_large

_FILM_MM = 36.0
_SHORTEST, _LONGEST = 0.1, 100.0  # as the setting allows


def focal_length_of(picture: PillowImage.Image) -> float | None:
    """In longer sides of the image, from the value for 35 mm film, which is 36 mm wide."""
    with contextlib.suppress(Exception):  # damaged metadata
        if picture.format == "PNG" and not picture.info.get("exif") and is_large(*picture.size):
            return None  # Pillow would decode all of it, as such data may come last
        facts = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        focal_length = float(facts[ExifTags.Base.FocalLengthIn35mmFilm]) / _FILM_MM
        return focal_length if _SHORTEST <= focal_length <= _LONGEST else None
    return None


def add_frames(
    name: str, stream: IO[bytes], picture: ImageFile.ImageFile, warnings: list[str]
) -> None:
    """Warn of further frames, which are not read."""
    count = 1
    with contextlib.suppress(Exception):
        if name == "jpeg":
            count = _frames_of_mpo(stream, picture)
        else:
            count = getattr(picture, "n_frames", 1)
    if count > 1:
        warnings.append(f"the first of {count} frames was read")


def _frames_of_mpo(stream: IO[bytes], picture: ImageFile.ImageFile) -> int:
    """The number of pictures of equal size; phones add gain maps and previews in other sizes."""
    entries = picture._getmp() if "mp" in picture.info else None  # type: ignore[attr-defined]
    if not entries or not 1 < entries[0xB001] <= 64:
        return 1
    count = 1
    for entry in entries[0xB002][1:]:
        stream.seek(picture.info["mpoffset"] + entry["DataOffset"])
        content = stream.read(entry["Size"])
        with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as other:
            count += other.size == picture.size
    return count
