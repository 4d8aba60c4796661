"""Files at paths and addresses: local folders, ``s3://``, ``gs://``, ``az://``, ``https://``."""

import errno
import os
import shutil
import socket
import stat
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit, urlunsplit

from mien.errors import InputError, MienError, SettingError
from mien.tables import require_pyarrow

_COPY_BYTES = 4 << 20
_TIMEOUT_S = 60
_SAFE = "%/:=&?~#+!$,;'@()*[]"
"""Characters of addresses that are not escaped."""


class StorageError(MienError):
    """The output cannot be written: the run stops, since each further part would fail too."""


def is_local(address: str) -> bool:
    """Whether an address is a path or ``file://``."""
    return "://" not in address or address.lower().startswith("file://")


def local_path(address: str) -> Path:
    """The path of a local address."""
    if "://" in address:
        return Path(urllib.request.url2pathname(urlsplit(address).path))
    return Path(address)


def filesystem(address: str) -> tuple[Any, str]:
    """The pyarrow file system of an address, and the path in it.

    S3 reads ``AWS_ENDPOINT_URL``, ``AWS_REGION`` and the usual credentials. Schemes that pyarrow
    does not know are opened by fsspec, if it is installed.

    Raises:
        InputError: an address of an unknown kind.
    """
    require_pyarrow()
    if is_local(address):
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), str(local_path(address).absolute())
    # A name may have "#"; an address of storage has no fragment.
    parts = urlsplit(address, allow_fragments=False)
    root = urlunsplit((parts.scheme, parts.netloc, "/", parts.query, ""))
    opened, inner = _remote(root)
    return opened, inner + parts.path.lstrip("/") if inner else parts.path


@cache
def _remote(root: str) -> tuple[Any, str]:
    """The file system of a bucket, and the prefix of its paths."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem, S3FileSystem

    parts = urlsplit(root)
    bucket = f"{parts.netloc}/"
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    try:
        if parts.scheme == "s3" and not parts.query and (endpoint or region):
            return S3FileSystem(
                endpoint_override=endpoint, region=region or "us-east-1", request_timeout=_TIMEOUT_S
            ), bucket
        opened, path = FileSystem.from_uri(root)
        return opened, path.rstrip("/") + "/"
    except (OSError, ValueError, ArrowException) as error:
        reason = error
    try:
        import fsspec

        return PyFileSystem(FSSpecHandler(fsspec.filesystem(parts.scheme))), bucket
    except (ImportError, ValueError, OSError):
        raise InputError(
            f"expected a path, or an address such as s3://bucket/folder, got {root}: {reason}"
        ) from None


def join(folder: str, name: str) -> str:
    """The address of a file in a folder; a query of the address stays at its end."""
    if is_local(folder):
        return os.path.join(folder, name)
    parts = urlsplit(folder, allow_fragments=False)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


@contextmanager
def _opened(address: str) -> Iterator[Any]:
    try:
        if urlsplit(address).scheme in ("http", "https"):
            # Lists have names as people write them, with spaces and letters of any language.
            escaped = quote(address, safe=_SAFE)
            with urllib.request.urlopen(escaped, timeout=_TIMEOUT_S) as stream:
                yield stream
        else:
            opened, path = filesystem(address)
            with opened.open_input_stream(path, compression=None) as stream:
                yield stream
    except (OSError, ValueError, HTTPException) as error:
        raise InputError(f"{address}: the file cannot be read: {reason_of(error)}") from None


def read(address: str, limit: int | None = None) -> bytes:
    """The content of a file, or its first bytes.

    Raises:
        InputError: it cannot be read.
    """
    with _opened(address) as stream:
        return bytes(stream.read(limit))


def download(address: str, path: Path) -> None:
    """Copy a file to a local one.

    Raises:
        InputError: it cannot be read.
    """
    with _opened(address) as stream, path.open("wb") as file:
        shutil.copyfileobj(stream, file, _COPY_BYTES)


def fetch(address: str) -> IO[bytes]:
    """A copy of a file without a name, which ends when it is closed.

    Raises:
        InputError: it cannot be read.
    """
    with _opened(address) as stream:
        return _copied(stream)


def _copied(stream: IO[bytes]) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    shutil.copyfileobj(stream, file, _COPY_BYTES)
    file.seek(0)
    return file


def check_regular(path: str) -> None:
    """Refuse pipes, sockets and devices, which could wait indefinitely."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: expected a file, got a pipe, socket or device")


def check_answers(address: str) -> None:
    """Check that the object storage of a file answers, after the file could not be read.

    Servers of ``https://`` are many, and not checked.

    Raises:
        StorageError: it does not.
    """
    if is_local(address) or urlsplit(address).scheme in ("http", "https"):
        return
    opened, path = filesystem(address)
    try:
        opened.get_file_info(path)
    except OSError as error:
        if "ACCESS_DENIED" not in str(error) and not isinstance(error, PermissionError):
            raise StorageError(
                f"expected the storage of {address} to answer, but: {reason_of(error)}; when it "
                "does, use --resume"
            ) from error


def check_room(error: BaseException) -> None:
    """Check that a failure is not that of a full disk, which each further input would have.

    Raises:
        StorageError: it is.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"expected room in {tempfile.gettempdir()} on {socket.gethostname()}, but: "
                f"{reason_of(cause)}; "
                "make room there or set TMPDIR, then use --resume"
            ) from error
        cause = cause.__cause__ or cause.__context__


def reason_of(error: BaseException) -> str:
    """What an error says, on one line."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # It is the open response.
    return str(getattr(error, "strerror", None) or error).split("\n", maxsplit=1)[0]


class Folder:
    """The output folder of a run, local or remote.

    Args:
        address: of the folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.local = is_local(address)
        self._files, self._root = filesystem(address.rstrip("/") or "/")

    @property
    def absolute(self) -> str:
        """Its address, which means the same folder in every process."""
        return str(local_path(self.address).absolute()) if self.local else self.address

    def make(self) -> None:
        """Make the folder, and check that files can be written.

        Raises:
            SettingError: they cannot.
        """
        try:
            self.write("run.check", b"")
            self.delete("run.check")
        except StorageError as error:
            raise SettingError(
                f"expected --out to be a folder that can be written, got {self.address}: "
                f"{error.__cause__ or error}"
            ) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file in one step: a reader sees the whole file or none.

        Raises:
            StorageError: it cannot be written.
        """
        with self._writing(name) as stream:
            stream.write(content)

    def upload(self, file: IO[bytes], name: str) -> None:
        """Write the rest of an open file in one step.

        Raises:
            StorageError: it cannot be written.
        """
        with self._writing(name) as stream:
            shutil.copyfileobj(file, stream, _COPY_BYTES)

    @contextmanager
    def _writing(self, name: str) -> Iterator[Any]:
        """A stream whose file appears at the end of the block, unless there is an error.

        Object stores do this by themselves, also when the process is killed; a local file is
        written beside its place and moved.
        """
        path = f"{self._root}/{name}"
        partial = f"{path}.{os.getpid()}.partial" if self.local else path
        try:
            if self.local:
                self._files.create_dir(os.path.dirname(path), recursive=True)
            with self._files.open_output_stream(partial, compression=None) as stream:
                yield stream
            if self.local:
                os.replace(partial, path)
        except OSError as error:
            raise StorageError(
                f"expected to write {path}, but: {reason_of(error)}; make room or get access "
                "there, then use --resume"
            ) from error
        finally:
            if self.local:
                with suppress(OSError):
                    os.unlink(partial)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            with self._files.open_input_stream(f"{self._root}/{name}", compression=None) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{join(self.address, name)}: {reason_of(error)}") from None

    def fetch(self, name: str) -> IO[bytes] | None:
        """A copy of a file without a name; None where there is none."""
        try:
            with self._files.open_input_stream(f"{self._root}/{name}", compression=None) as stream:
                return _copied(stream)
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""
        try:
            self._files.delete_file(f"{self._root}/{name}")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageError(f"{join(self.address, name)}: {reason_of(error)}") from error

    def names(self, folder: str = "") -> list[str]:
        """The names of the files in a subfolder, sorted; none where there is no such folder."""
        return sorted(info.base_name for info in self._infos(folder) if info.is_file)

    def is_empty(self, *but: str) -> bool:
        """Whether nothing is there but hidden files, and files of these names."""
        names = [info.base_name for info in self._infos("")]
        return all(name.startswith(".") or name in but for name in names)

    def _infos(self, folder: str) -> Iterator[Any]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(f"{self._root}/{folder}".rstrip("/"), allow_not_found=True)
        try:
            yield from self._files.get_file_info(selector)
        except OSError as error:
            raise InputError(f"{join(self.address, folder)}: {reason_of(error)}") from None
