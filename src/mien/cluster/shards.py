"""The images and videos in tar shards."""

import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mien.cluster.storage import COPY_BYTES
from mien.errors import InputError, counted
from mien.media.clips import VIDEO_SUFFIXES
from mien.media.formats import SUFFIXES

_MAX_FILE_BYTES = 4 << 30
# An error loses what is read with it.
_PIECE_BYTES = 64 << 10
# A frame of zstd, also one without data, with which parallel compressors begin.
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")


class _Header(tarfile.TarInfo):
    """The header of a file; :mod:`tarfile` itself takes a damaged one for the end of the shard."""

    @classmethod
    def fromtarfile(cls, shard: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(shard)
        except tarfile.HeaderError as error:
            # The end mark, and the end of a file without one.
            if type(error).__name__ in ("EOFHeaderError", "EmptyHeaderError"):
                raise
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
        on_warning: called with what follows the name of the shard: ``#`` and the name of a file
            that it had before, which is left out, links, which are, too, or what is odd at its end.

    Raises:
        Exception: the shard is damaged; what decompression raises differs.
    """
    seen: set[str] = set()
    links: list[str] = []
    path, damage = _without_zstd(path, folder)
    try:
        opened = tarfile.open(path, tarinfo=_Header)  # noqa: SIM115 - closed by the `with` below
    except tarfile.ReadError:
        expected = "expected a tar file, also with gzip, bzip2, xz or zstd"
        raise damage or InputError(expected) from None
    with opened as shard:
        for member in _members(shard):
            suffix = os.path.splitext(member.name.lower())[1]
            if not {suffix} & (SUFFIXES | VIDEO_SUFFIXES) or _is_hidden(member.name):
                continue
            if not member.isfile():
                links += [member.name] * (member.issym() or member.islnk())
                continue
            if member.name in seen:
                on_warning(f"#{member.name}: the first of several is analyzed")
                continue
            seen.add(member.name)
            copy = folder / f"member{suffix}"
            _extract(shard, member, copy)
            yield member.name, copy
            copy.unlink(missing_ok=True)
        if links:
            on_warning(
                f": {counted(len(links), 'link')} such as {links[0]} left out: pack the files "
                "themselves, as tar does with --dereference and --hard-dereference"
            )
        if damage:
            raise damage
        _read_rest(shard, on_warning)


def _without_zstd(path: Path, folder: Path) -> tuple[Path, OSError | None]:
    """A shard, or a copy of one with zstd, which :mod:`tarfile` knows only from Python 3.14 on.

    A damaged one is copied as far as it can be read; the error comes with it.
    """
    import pyarrow

    with path.open("rb") as file:
        if not _ZSTD.match(file.read(4)):
            return path, None
        file.seek(0)
        copy = folder / "shard.tar"
        with pyarrow.CompressedInputStream(file, "zstd") as content, copy.open("wb") as target:
            while True:
                try:
                    piece = content.read(_PIECE_BYTES)
                except OSError as error:
                    return copy, error
                if not piece:
                    return copy, None
                target.write(piece)


def _is_hidden(name: str) -> bool:
    """Whether a file is hidden, as in folders; such as "._" files of macOS."""
    return any(part.startswith(".") for part in name.split("/") if part not in (".", ".."))


def _members(shard: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members, also where the shard ends with the last byte of one, without padding.

    Raises:
        tarfile.ReadError: it ends within a member.
    """
    last: tarfile.TarInfo | None = None
    while True:
        try:
            member = shard.next()
        except tarfile.ReadError:
            if last is None or not _is_whole(shard, last):
                raise
            return
        if member is None:
            return
        yield (last := member)


def _is_whole(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    """Whether the file ends after the last byte of a member, and before its padding does."""
    file = shard.fileobj
    assert file is not None
    padding = -member.size % tarfile.BLOCKSIZE
    file.seek(max(0, member.offset_data + member.size - 1))
    return bool(file.read(1)) and len(file.read(padding)) < padding


def _read_rest(shard: tarfile.TarFile, on_warning: Callable[[str], None]) -> None:
    """Read to the end of the file, where compressed data has its checksum."""
    file = shard.fileobj
    assert file is not None
    if file.tell() <= shard.offset:
        on_warning(": the shard has no end mark: files may be missing after the last one")
    is_odd = False
    while piece := file.read(COPY_BYTES):
        is_odd = is_odd or bool(piece.strip(b"\0"))
    if is_odd:
        on_warning(": data after the end mark of the shard was not read, such as another shard")


def _extract(shard: tarfile.TarFile, member: tarfile.TarInfo, copy: Path) -> None:
    if member.size > _MAX_FILE_BYTES:
        raise InputError(f"expected at most 4 GiB in {member.name}, got {member.size >> 30} GiB")
    with copy.open("wb") as file:
        if content := shard.extractfile(member):
            shutil.copyfileobj(content, file)
