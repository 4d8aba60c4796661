"""Reading at paths and addresses: local files, ``s3://``, ``gs://``, ``az://``, ``https://``."""

import errno
import inspect
import os
import posixpath
import re
import socket
import stat
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlsplit

from mien.errors import InputError, MienError
from mien.tables import require_pyarrow

_T = TypeVar("_T")
COPY_BYTES = 4 << 20
_TIMEOUT_S = 60
_SLOWEST_BYTES_PER_S = 1000
"""A transfer that is slower for a minute ends."""
_BUSY = (429, 500, 502, 503, 504)
_PAUSES_S = (1, 4)
"""Before a server of ``https://`` that failed for the moment is asked again."""
_WITH_BUCKET = ("s3", "gs", "az")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SAFE = "%/:=&?~#+!$,;'@()*[]"
"""Characters of addresses that are not escaped."""
_OPTIONS = re.compile(
    r"\?(?:allow_|blob_storage_|credential_kind|dfs_storage_|enable_tls|endpoint_override|project_id|"
    r"region|retry_limit|scheme|tls_)\w*=.*$",
    re.DOTALL,
)
"""What pyarrow reads of an address of storage; each other "?" is a part of a name."""


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
        InputError: an address of an unknown kind, or without a bucket or the name of a folder.
    """
    require_pyarrow()
    if is_local(address):
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), str(local_path(address).absolute())
    base, query = split(address)
    scheme, _, rest = base.partition("://")
    bucket, _, path = rest.partition("/")
    if "//" in path.strip("/") or (not bucket and scheme.lower() in _WITH_BUCKET):
        raise InputError(
            "expected an address such as s3://bucket/folder/name, without empty names, got "
            f"{address}"
        )
    opened, inner = _remote(f"{scheme.lower()}://{bucket}/{query}")
    return opened, inner + path.lstrip("/") if inner else f"/{path}"


def split(address: str) -> tuple[str, str]:
    """An address without what follows its path, and its query with the question mark."""
    if is_local(address):
        return address, ""
    if is_web(address):
        path, mark, query = address.partition("#")[0].partition("?")
        return path, mark + query
    options = _OPTIONS.search(address)
    start = options.start() if options else len(address)
    return address[:start], address[start:]


def is_web(address: str) -> bool:
    """Whether an address is one of ``https://`` or ``http://``."""
    return address.lower().startswith(("http://", "https://"))


@cache
def _remote(root: str) -> tuple[Any, str]:
    """The file system of a bucket, and the prefix of its paths."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem, S3FileSystem

    scheme, _, rest = root.partition("://")
    bucket, _, query = rest.partition("/")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    try:
        if scheme == "s3" and not query and (endpoint or region):
            return S3FileSystem(
                endpoint_override=endpoint, region=region or "us-east-1", request_timeout=_TIMEOUT_S
            ), f"{bucket}/"
        opened, path = FileSystem.from_uri(root)
        return opened, path.rstrip("/") + "/"
    except (OSError, ValueError, ArrowException) as error:
        reason = error
    try:
        import fsspec

        # A file system that needs a host or more, such as ftp://, would fail when it is made.
        inspect.signature(fsspec.get_filesystem_class(scheme).__init__).bind(None)
        return PyFileSystem(FSSpecHandler(fsspec.filesystem(scheme))), f"{bucket}/"
    except (ImportError, TypeError, ValueError, OSError):
        raise InputError(
            f"expected a path, or an address such as s3://bucket/folder, got {root}: {reason}"
        ) from None


def join(folder: str, name: str) -> str:
    """The address of a file in a folder; a query of the address stays at its end."""
    if is_local(folder):
        return os.path.join(folder, name)
    base, query = split(folder)
    return f"{base.rstrip('/')}/{name}{query}"


def resolve(folder: str, name: str) -> str:
    """The address of what a table in a remote folder names.

    Args:
        folder: its address; where it has a query, that of a name without one.
        name: relative to the folder, or from the root of its server or bucket.
    """
    base, query = split(folder)
    root, path = re.findall(r"([^:]*://[^/]*)(.*)", base, re.DOTALL)[0]
    if is_web(folder) and "?" in name:
        name, query = name.split("?", 1)
        query = f"?{query}"
    joined = posixpath.normpath(posixpath.join(path or "/", name))
    return f"{root}/{joined.lstrip('/')}{query}"


@contextmanager
def _opened(address: str) -> Iterator[Any]:
    if is_web(address):
        # Lists have names as people write them, with spaces and letters of any language.
        escaped = quote(address, safe=_SAFE)
        with urllib.request.urlopen(escaped, timeout=_TIMEOUT_S) as stream:
            yield stream
    else:
        opened, path = filesystem(address)
        with opened.open_input_stream(path, compression=None) as stream:
            yield stream


def _transferred(address: str, take: Callable[[Any], _T]) -> _T:
    """What `take` makes of a file's stream; a web server that fails for the moment is asked again.

    Raises:
        InputError: the file cannot be read.
    """
    pauses_s = list(_PAUSES_S) if is_web(address) else []
    while True:
        try:
            with _opened(address) as stream:
                return take(stream)
        except InputError:
            raise
        except (OSError, ValueError, HTTPException) as error:
            reason = reason_of(error)
            if not pauses_s or not _may_pass(error):
                raise InputError(f"{address}: the file cannot be read: {reason}") from None
            time.sleep(pauses_s.pop(0))


def _may_pass(error: Exception) -> bool:
    """Whether a server may answer soon: it is busy, or its connection broke off."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _BUSY
    cause = getattr(error, "reason", error)
    is_broken = isinstance(cause, ConnectionError | IncompleteRead)
    return is_broken and not isinstance(cause, ConnectionRefusedError)


def _pieces(stream: Any, limit: int | None = None) -> Iterator[bytes]:
    """The content of a stream as it arrives.

    Raises:
        OSError: it breaks off, hardly moves, or has more bytes than the limit.
    """
    take = getattr(stream, "read1", stream.read)
    started, done, lately = time.monotonic(), 0, 0
    while piece := take(COPY_BYTES):
        done += len(piece)
        if limit is not None and done > limit:
            raise OSError(f"expected an image of at most {limit >> 20} MiB, got more")
        lately += len(piece)
        seconds = time.monotonic() - started
        if seconds > _TIMEOUT_S:
            if lately < seconds * _SLOWEST_BYTES_PER_S:
                raise OSError(f"{lately} bytes in {seconds:.0f} s: the server is too slow")
            started, lately = time.monotonic(), 0
        yield piece
    if left := getattr(stream, "length", None):
        raise ConnectionError(f"the connection ended {left} bytes before the end of the file")


def head(address: str, size: int) -> bytes:
    """The first bytes of a file, or fewer of a short one.

    Raises:
        InputError: it cannot be read.
    """
    if is_local(address):
        check_regular(address)
    return _transferred(address, lambda stream: bytes(stream.read(size)))


def read(address: str, limit: int | None = None) -> bytes:
    """The content of a file.

    Args:
        address: of the file.
        limit: number of bytes that it may have.

    Raises:
        InputError: it cannot be read, or has more.
    """
    return _transferred(address, lambda stream: b"".join(_pieces(stream, limit)))


def download(
    address: str, path: Path, on_bytes: Callable[[int], None] = lambda count: None
) -> None:
    """Copy a file to a local one; `on_bytes` is called with each number of bytes that arrive.

    Raises:
        InputError: it cannot be read.
    """

    def save(stream: Any) -> None:
        with path.open("wb") as file:
            for piece in _pieces(stream):
                file.write(piece)
                on_bytes(len(piece))

    _transferred(address, save)


def fetch(address: str) -> IO[bytes]:
    """A copy of a file without a name, which ends when it is closed.

    Raises:
        InputError: it cannot be read.
    """
    return _transferred(address, copied)


def copied(stream: Any) -> IO[bytes]:
    """The rest of a stream in a file without a name."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    for piece in _pieces(stream):
        file.write(piece)
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
    if is_local(address) or is_web(address):
        return
    try:
        opened, path = filesystem(address)
        opened.get_file_info(path)
    except ValueError:  # an address that cannot exist
        return
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
        if isinstance(cause, OSError) and cause.errno in _FULL:
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
    elif isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason
    elif isinstance(error, IncompleteRead):
        return "the connection ended before the end of the file"
    return str(getattr(error, "strerror", None) or error).split("\n", maxsplit=1)[0]
