"""The images and videos in tar shards."""

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mien.errors import InputError
from mien.media.clips import VIDEO_SUFFIXES
from mien.media.formats import SUFFIXES

_MAX_FILE_BYTES = 4 << 30


class _Header(tarfile.TarInfo):
    """The header of a file; :mod:`tarfile` itself takes a damaged one for the end of the shard."""

    @classmethod
    def fromtarfile(cls, shard: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(shard)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":
                raise
            if type(error).__name__ == "EmptyHeaderError":
                error = tarfile.HeaderError("no end mark")
            raise tarfile.ReadError(
                f"{error} at byte {shard.offset}: files may be missing"
            ) from None


def shard_files(
    path: Path, folder: Path, on_warning: Callable[[str], None]
) -> Iterator[tuple[str, Path]]:
    """The names of the images and videos in a shard, each with a copy that is replaced by the next.

    Args:
        path: of the shard.
        folder: for the copies.
        on_warning: called with the name of a file that the shard had before, which is left out.

    Raises:
        Exception: the shard is damaged; what decompression raises differs.
    """
    seen: set[str] = set()
    try:
        opened = tarfile.open(path, tarinfo=_Header)  # noqa: SIM115 - closed by the `with` below
    except tarfile.ReadError:
        raise InputError("expected a tar file, also with gzip, bzip2 or xz") from None
    with opened as shard:
        for member in shard:
            suffix = os.path.splitext(member.name.lower())[1]
            if not member.isfile() or not {suffix} & (SUFFIXES | VIDEO_SUFFIXES):
                continue
            if member.name in seen:
                on_warning(f"{member.name}: the first of several is analyzed")
                continue
            seen.add(member.name)
            copy = folder / f"member{suffix}"
            _extract(shard, member, copy)
            yield member.name, copy
            copy.unlink(missing_ok=True)


def _extract(shard: tarfile.TarFile, member: tarfile.TarInfo, copy: Path) -> None:
    if member.size > _MAX_FILE_BYTES:
        raise InputError(f"expected at most 4 GiB in {member.name}, got {member.size >> 30} GiB")
    with copy.open("wb") as file:
        if content := shard.extractfile(member):
            shutil.copyfileobj(content, file)
