"""``POST /api/v1/batch``: many photographs in one request, held in memory only."""

import io
import lzma
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from flask import Response, jsonify, request

from mien.web import security
from mien.web.api import check_form, image_body, noun, returns
from mien.web.config import MEGABYTE
from mien.web.errors import ProblemError
from mien.web.photos import analyzed_photo, read_body
from mien.web.schemas import BatchDocument, PhotoQuery
from mien.web.services import services

_MAX_WAIT_S = 20.0
# What begins the entry of a file in the directory of an archive, and how many may be there.
_ENTRY, _MAX_ENTRIES = b"PK\x01\x02", 4096
# Of damaged archives; each compression has its own error.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError,
    RuntimeError, ValueError,
)  # fmt: skip
_ZIP_TYPES = {"application/zip", "application/x-zip-compressed"}

blueprint = noun("batch", "Many photographs in one request.")[1]


@blueprint.post(
    "/batch",
    summary="Analyze several photographs",
    description="Send them as multipart fields `image`, one or several, or a ZIP archive as the "
    "body or as the field `archive`. An image that cannot be read has an `error` in place of its "
    "`result`, and does not stop the others.",
    responses=returns(BatchDocument, 404, 413, 503),
    openapi_extensions=image_body("application/zip", field="image", many=True),
)
@security.limited(security.UPLOAD_LIMIT)
def _analyze_batch(query: PhotoQuery) -> Response:
    config = services().config
    security.limit_body(config.max_video_mb)
    results = []
    # All images are taken apart before the first is analyzed, so that a wrong request costs little.
    for name, data in list(_images()):
        entry: dict[str, Any] = {"name": name, "result": None, "error": None}
        try:
            entry["result"] = _analyze(data, name, query).to_dict(landmarks=query.landmarks)
        except ProblemError as problem:
            entry["error"] = {"code": problem.code, "message": problem.message}
        results.append(entry)
    return jsonify({"results": results})


def _analyze(data: bytes | ProblemError, name: str, query: PhotoQuery) -> Any:
    """Analyze one image; other than for a single photograph, wait while the server is busy."""
    if isinstance(data, ProblemError):
        raise data
    deadline = time.monotonic() + _MAX_WAIT_S
    while True:
        try:
            analyzed = analyzed_photo(
                data, name, min_presence=query.min_presence, model=query.model
            )
            with analyzed as (_, result):
                return result
        except ProblemError as problem:
            if problem.code != "busy" or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _images() -> Iterator[tuple[str, bytes | ProblemError]]:
    """The name and the bytes of each image of the request, or why it cannot be read."""
    if request.mimetype in _ZIP_TYPES:
        yield from _images_of_archive(read_body(services().config.max_video_mb))
        return
    uploads = request.files.getlist("image")
    archive = request.files.get("archive")
    if not uploads and archive is None:
        raise ProblemError(
            400, "image_missing", "Expected multipart fields `image` or a ZIP archive, got "
            f"{', '.join(sorted(request.files)) or 'no file'}."
        )  # fmt: skip
    check_form((), ("image", "archive"), many=True)
    security.check_image_count(len(uploads))
    for number, upload in enumerate(uploads, start=1):
        yield upload.filename or f"image-{number}", _within_limit(upload.stream.read())
    if archive is not None:
        yield from _images_of_archive(archive.stream.read())


def _images_of_archive(data: bytes) -> Iterator[tuple[str, bytes | ProblemError]]:
    # Before the directory is read: a million empty entries would take half a minute.
    if data.count(_ENTRY) > _MAX_ENTRIES:
        raise ProblemError(413, "too_large", f"Expected at most {_MAX_ENTRIES} entries.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _DAMAGED:
        raise ProblemError(400, "archive_unreadable", "Expected a ZIP archive.") from None
    entries = [entry for entry in archive.infolist() if _is_image(entry)]
    if not entries:
        raise ProblemError(
            400, "image_missing", "Expected a ZIP archive with at least one image, got one of "
            f"{len(archive.infolist())} folders and files of operating systems."
        )  # fmt: skip
    security.check_image_count(len(entries))
    left = services().config.max_video_mb * MEGABYTE
    for entry in entries:
        content = _read_entry(archive, entry, left)
        left -= 0 if isinstance(content, ProblemError) else len(content)
        yield entry.filename, content


def _is_image(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry may be an image; folders and files of operating systems are not."""
    parts = PurePosixPath(entry.filename).parts
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)
    return not (entry.is_dir() or hidden or entry.filename.endswith("Thumbs.db"))


def _read_entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int
) -> bytes | ProblemError:
    """Decompress an entry, but never more than allowed, whatever size it claims to have."""
    limit = min(left, services().config.max_image_mb * MEGABYTE)
    try:
        with archive.open(entry) as source:
            data = source.read(limit + 1)
    except _DAMAGED:
        return ProblemError(
            400, "archive_unreadable", "The archive is damaged or encrypted at this image."
        )
    return _within_limit(data, limit)


def _within_limit(data: bytes, limit: int | None = None) -> bytes | ProblemError:
    megabytes = services().config.max_image_mb
    if len(data) > (megabytes * MEGABYTE if limit is None else limit):
        text = f"Expected at most {megabytes} MB, and {services().config.max_video_mb} MB in all."
        return ProblemError(413, "too_large", text)
    return data
