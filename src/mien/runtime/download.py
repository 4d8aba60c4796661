"""Downloading models, and adding them to or removing them from the user's models folder."""

import dataclasses
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from mien.config import models_folder
from mien.errors import DownloadError, ModelError, ModelNotFoundError, SpecError
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.runtime.spec import check_model_files, sidecar_path, spec_from_json, spec_to_json
from mien.types import ModelSpec

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes so far, and the total if the server sent it."""

_CHUNK_BYTES = 1 << 18
_ATTEMPTS = 4
# Larger than any model for a laptop; stops servers that send without end.
_MAX_BYTES = 4 << 30


def _download(
    url: str,
    destination: Path,
    *,
    sha256: str,
    timeout_s: float = 30.0,
    progress: Progress | None = None,
) -> None:
    """Download a file. It appears at its destination only when it is complete and verified.

    An interrupted download is kept next to the destination as ``*.part``, and the next call resumes
    it. Within a call, a broken connection is retried a few times.

    Args:
        url: http or https.
        destination: path of the file; its folder is created.
        sha256: expected checksum, 64 hexadecimal digits.
        timeout_s: seconds without data after which the connection counts as broken.
        progress: called after each chunk.

    Raises:
        DownloadError: the URL is invalid, the server or connection fails, the disk cannot be
            written, or the checksum differs.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"expected a URL with http or https, got {url!r}")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{destination} cannot be written: {error.strerror}") from error
    # Named by the checksum, so that parts of different files are never mixed.
    part = destination.with_name(f".{sha256.lower()}.part")
    _fetch(url, part, timeout_s, progress or _ignore)
    actual = catalog.checksum(part)
    if actual != sha256.lower():
        part.unlink()
        raise DownloadError(f"expected SHA-256 {sha256} from {url}, got {actual}; nothing was kept")
    os.replace(part, destination)


def _fetch(url: str, part: Path, timeout_s: float, progress: Progress) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        before = _size(part)
        try:
            _fetch_rest(url, part, timeout_s, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                # The part is at least as long as the file: complete if the checksum is right.
                if _server_size(error) != before:
                    part.unlink()
                    continue
                return
            raise DownloadError(
                f"{url}: the server responded {error.code} {error.reason}"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise DownloadError(f"{part} cannot be written: {error.strerror}") from error
            # Other errors do not go away with a retry.
            if attempt == _ATTEMPTS or not isinstance(error, _BROKEN_CONNECTION):
                raise DownloadError(_describe_failure(url, part, error)) from error
        else:
            return
    raise DownloadError(f"{url}: the server's responses to range requests are inconsistent")


_BROKEN_CONNECTION = (ConnectionError, TimeoutError, http.client.HTTPException)


def _describe_failure(url: str, part: Path, error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    kept = _size(part)
    resume = f"; {kept} bytes are kept, run the command again to resume" if kept else ""
    return f"{url} cannot be downloaded: {reason or type(error).__name__}{resume}"


def _fetch_rest(url: str, part: Path, timeout_s: float, progress: Progress) -> None:
    """Append the rest to the part, or start over if the server does not support ranges."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "mien"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise http.client.HTTPException("the server sent another range than requested")
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
    """The file size in the response to an unsatisfiable range (RFC 9110, 14.4)."""
    match = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _ignore(done: int, total: int | None) -> None:
    pass


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_CHECKSUM = re.compile(r"[0-9a-fA-F]{64}")


def add_model(
    name: str,
    url: str,
    *,
    sha256: str,
    spec_text: str | None = None,
    progress: Progress | None = None,
) -> CatalogEntry:
    """Download a model and make it available by name. An added model of that name is replaced.

    Args:
        name: lowercase letters, digits, dots, dashes and underscores; not of a shipped model.
        url: URL of the model file, http or https.
        sha256: checksum of the file, 64 hexadecimal digits.
        spec_text: spec of the model as JSON; name, file and sha256 are optional in it. None uses
            the spec inside the ONNX file.
        progress: see :data:`Progress`.

    Raises:
        ModelError: the name or the checksum is invalid.
        DownloadError: the download failed, or the checksum differs.
        SpecError: the spec is missing or does not fit the file; nothing is kept.
        ModelFileError: the file is not a model; nothing is kept.
    """
    _check_name(name)
    if not _CHECKSUM.fullmatch(sha256):
        raise ModelError(f"expected a SHA-256 of 64 hexadecimal digits, got {sha256!r}")
    suffix = PurePosixPath(urlsplit(url).path).suffix or ".onnx"
    facts = {"name": name, "file": f"{name}{suffix}", "sha256": sha256.lower()}
    # A wrong spec is reported before a long download.
    spec = None if spec_text is None else spec_from_json(spec_text, **facts)
    path = models_folder() / facts["file"]
    check_model_files(path.parent, name)
    waiting = path.with_name(f".{path.name}")
    _download(url, waiting, sha256=sha256, progress=progress)
    try:
        spec = _checked(waiting, spec, suffix)
    except ModelError:
        waiting.unlink()
        raise
    spec = dataclasses.replace(spec, name=name, file=path.name, sha256=sha256.lower())
    os.replace(waiting, path)
    # The sidecar is written last and atomically, because it makes the model available.
    new_sidecar = path.with_name(f".{name}.json")
    new_sidecar.write_text(spec_to_json(spec), encoding="utf-8")
    os.replace(new_sidecar, sidecar_path(path))
    return CatalogEntry(spec, path, shipped=False)


def remove_model(name: str) -> list[Path]:
    """Delete an added model.

    Returns:
        The deleted files.

    Raises:
        ModelError: the model ships with mien.
        ModelNotFoundError: no such model was added.
    """
    _check_name(name)
    folder = models_folder()
    files = sorted(p for p in folder.glob(f"{name}.*") if p.stem == name)
    if not files:
        added = ", ".join(sorted({path.stem for path in folder.glob("*.*")})) or "there are none"
        raise ModelNotFoundError(
            f"expected the name of an added model in {folder} ({added}), got {name!r}"
        )
    for path in files:
        path.unlink()
    return files


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ModelError(
            "expected a model name of lowercase letters, digits, dots, dashes and underscores, "
            f"got {name!r}"
        )
    if any(entry.shipped and entry.spec.name == name for entry in catalog.entries()):
        raise ModelError(f"the model {name!r} ships with mien and cannot be replaced or removed")


def _checked(path: Path, spec: ModelSpec | None, suffix: str) -> ModelSpec:
    """The spec of a model file, after a check that the two fit together."""
    if suffix != ".onnx":
        if spec is None:
            raise SpecError(f"expected a spec for a model of type {suffix}, which contains none")
        return spec
    session = Session(path)
    if spec is None:
        spec = session.read_spec()
    known = {*session.input_names(), *session.output_names()}
    unknown = [n for n in (spec.input.name, *spec.outputs) if n not in known]
    if unknown:
        raise SpecError(
            f"the spec names {unknown[0]!r}, but the inputs and outputs of the model file are "
            f"{', '.join(sorted(known))}"
        )
    return spec
