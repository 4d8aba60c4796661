"""Fetching one file over HTTP: resumed where it broke off, and never used before it is checked."""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from mien.errors import DownloadError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and their total where the server told it."""

_CHUNK_BYTES = 1 << 18
_ATTEMPTS = 4
# No model that a laptop can run is larger; a server that sends without end is cut off here.
_MAX_BYTES = 4 << 30


def download(
    url: str,
    destination: Path,
    *,
    sha256: str,
    timeout_s: float = 30.0,
    progress: Progress | None = None,
) -> None:
    """Fetch a file; it appears under its name only when it is whole and its checksum right.

    What has arrived is kept beside the destination as ``*.part``, and the next call goes on from
    there. A broken connection is taken up again a few times within one call.

    Args:
        url: http or https.
        destination: where the file shall lie; its folder is made.
        sha256: 64 hexadecimal digits that the content must have.
        timeout_s: without a single byte, in seconds, before the connection counts as broken.
        progress: called after each piece.

    Raises:
        DownloadError: the address, the server, the connection, the disk or the checksum is at
            fault; the message says which.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"expected an address with http or https, got {url!r}")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{destination} cannot be written: {error.strerror}") from error
    # Named by content: pieces of two different files are never put together.
    part = destination.with_name(f".{sha256.lower()}.part")
    _fetch(url, part, timeout_s, progress or _ignore)
    actual = _checksum(part)
    if actual != sha256.lower():
        part.unlink()
        raise DownloadError(
            f"{url} has another content than expected: SHA-256 {actual} instead of {sha256}; "
            "nothing was kept"
        )
    os.replace(part, destination)


def _fetch(url: str, part: Path, timeout_s: float, progress: Progress) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        before = _size(part)
        try:
            _fetch_rest(url, part, timeout_s, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                # The part is as long as the file or longer: whole if its checksum is right.
                if _server_size(error) != before:
                    part.unlink()
                    continue
                return
            raise DownloadError(f"{url}: the server answered {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise DownloadError(f"{part} cannot be written: {error.strerror}") from error
            # Where bytes still arrive, it is worth going on.
            if attempt == _ATTEMPTS or not isinstance(error, _BROKEN_CONNECTION):
                raise DownloadError(_what_broke(url, part, error)) from error
        else:
            return
    raise DownloadError(f"{url}: the server's answers to parts of the file contradict each other")


_BROKEN_CONNECTION = (ConnectionError, TimeoutError, http.client.HTTPException)


def _what_broke(url: str, part: Path, error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    kept = _size(part)
    mend = f"; {kept} bytes are kept, the same command goes on from there" if kept else ""
    return f"{url} cannot be fetched: {reason or type(error).__name__}{mend}"


def _fetch_rest(url: str, part: Path, timeout_s: float, progress: Progress) -> None:
    """Append what is missing to the part, or write it anew where the server knows no ranges."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "mien"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise http.client.HTTPException("the server sent another part than was asked for")
        done = start if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else None
        if (total or 0) > _MAX_BYTES:
            raise DownloadError(f"{url}: expected at most {_MAX_BYTES} bytes, got {total}")
        with part.open("ab" if resumed else "wb") as file:
            _copy(response, file, done, total, progress)


def _copy(
    response: IO[bytes], file: IO[bytes], done: int, total: int | None, progress: Progress
) -> None:
    while chunk := response.read(_CHUNK_BYTES):
        file.write(chunk)
        done += len(chunk)
        if done > _MAX_BYTES:
            raise DownloadError(f"expected at most {_MAX_BYTES} bytes, got more")
        progress(done, total)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _server_size(error: urllib.error.HTTPError) -> int | None:
    """The file's size in an answer to a range that is not there (RFC 9110, 14.4)."""
    match = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ignore(done: int, total: int | None) -> None:
    pass
