"""Downloading models, and adding them to or removing them from the user's models folder."""

import dataclasses
import http.client
import json
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
from mien.runtime.spec import sidecar_path, spec_from_json, spec_to_json
from mien.types import ModelSpec

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
    actual = catalog.checksum(part)
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
    """Download a model and make it usable by name. A model added before is replaced.

    Args:
        name: small letters, digits, dots, dashes and underscores; not that of a shipped model.
        url: of the model file, http or https.
        sha256: its checksum, 64 hexadecimal digits.
        spec_text: the model's spec as JSON, whose name, file and sha256 may be left out; None
            takes the one inside the ONNX file.
        progress: see :func:`mien.runtime.download.download`.

    Raises:
        ModelError: the name or the checksum cannot be used.
        DownloadError: the file could not be fetched, or is another than expected.
        SpecError: the spec is missing or does not fit the file; nothing is kept then.
        ModelFileError: the file is no model; nothing is kept then.
    """
    _check_name(name)
    if not _CHECKSUM.fullmatch(sha256):
        raise ModelError(f"expected a SHA-256 of 64 hexadecimal digits, got {sha256!r}")
    suffix = PurePosixPath(urlsplit(url).path).suffix or ".onnx"
    facts = {"name": name, "file": f"{name}{suffix}", "sha256": sha256.lower()}
    # What is wrong with the spec is better told before a long download.
    spec = None if spec_text is None else _with_facts(spec_text, facts)
    path = models_folder() / facts["file"]
    waiting = path.with_name(f".{path.name}")
    download(url, waiting, sha256=sha256, progress=progress)
    try:
        spec = _checked(waiting, spec, suffix)
    except ModelError:
        waiting.unlink()
        raise
    spec = dataclasses.replace(spec, name=name, file=path.name, sha256=sha256.lower())
    os.replace(waiting, path)
    # The sidecar comes last and in one piece: it is what makes the model known.
    new_sidecar = path.with_name(f".{name}.json")
    new_sidecar.write_text(spec_to_json(spec), encoding="utf-8")
    os.replace(new_sidecar, sidecar_path(path))
    return CatalogEntry(spec, path, shipped=False)


def remove_model(name: str) -> list[Path]:
    """Delete an added model.

    Returns:
        The files that were deleted.

    Raises:
        ModelError: it ships with mien.
        ModelNotFoundError: no such model was added.
    """
    _check_name(name)
    folder = models_folder()
    files = sorted(p for p in folder.glob(f"{name}.*") if p.stem == name)
    if not files:
        raise ModelNotFoundError(f"expected the name of an added model in {folder}, got {name!r}")
    for path in files:
        path.unlink()
    return files


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ModelError(
            "expected a model name of small letters, digits, dots, dashes and underscores, "
            f"got {name!r}"
        )
    if any(entry.shipped and entry.spec.name == name for entry in catalog.entries()):
        raise ModelError(f"the model {name!r} ships with mien, and is not replaced or removed")


def _with_facts(spec_text: str, facts: dict[str, str]) -> ModelSpec:
    try:
        document = json.loads(spec_text)
    except json.JSONDecodeError as error:
        raise SpecError(f"expected a model spec as JSON, got something else: {error}") from None
    if not isinstance(document, dict):
        raise SpecError(f"expected a model spec as a JSON object, got {type(document).__name__}")
    return spec_from_json(json.dumps({**document, **facts}))


def _checked(path: Path, spec: ModelSpec | None, suffix: str) -> ModelSpec:
    """The spec of a model file, after a look whether the two belong together."""
    if suffix != ".onnx":
        if spec is None:
            raise SpecError(f"expected a spec for a model of type {suffix}, which carries none")
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
