"""Videos, as jobs: the upload page, the job pages, and the API below ``/api/v1``."""

import json
from collections.abc import Callable
from typing import IO, Any

from flask import Response, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.engine import Connection
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from mien.web import headers, security
from mien.web.api import attachment, check_form, noun, returns
from mien.web.config import MEGABYTE
from mien.web.errors import ProblemError
from mien.web.photos import ADAPT
from mien.web.recordings import StoredRecording, require_recording
from mien.web.schemas import ID, DeletedDocument, JobDocument, JobsDocument, VideoForm
from mien.web.security import owner
from mien.web.services import services
from mien.web.store.database import serialize, stored_bytes
from mien.web.store.jobs import RESULT_TYPES, count_active
from mien.web.webhooks import webhook

_MAX_ACTIVE = 3
# Several people may share an address.
_MAX_ACTIVE_OF_ADDRESS = 12

pages, blueprint = noun("videos", "Video jobs.")


class _JobPath(BaseModel):
    job_id: str = Field(pattern=ID)


class _JobFilePath(_JobPath):
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,80}$")


@pages.route("/video", methods=["GET", "POST"])
@security.limited(security.UPLOAD_LIMIT, methods=["POST"])
def _video() -> ResponseReturnValue:
    """The upload form and the visitor's jobs."""
    problem = None
    if request.method == "POST":
        try:
            return redirect(url_for("videos_pages.job", job_id=_submit(_form_of_page())), 303)
        except ProblemError as raised:
            problem = raised
    shown = [_job_document(row) for row in _visitors_jobs() if "task" not in row["options"]]
    page = render_template("video.html", jobs=shown, problem=problem)
    return page, problem.status if problem else 200


@pages.get("/jobs/<job_id>")
def _job(job_id: str) -> str:
    """Job status and, at its end, the report."""
    row = _require_job(job_id)
    task = row["options"].get("task", "video")
    found = require_recording(job_id) if task == "video" else None
    return render_template(
        "job.html",
        job=_job_document(row),
        task=task,
        recording=found,
        shown=found and found.view(),
        adapted=None if found else _adaptation(job_id),
    )


def _adaptation(job_id: str) -> dict[str, Any] | None:
    """What adapting a model gave, see :class:`mien.Adaptation`; None until then."""
    store = services().job_store
    for entry in store.files(job_id, role="result"):
        if entry["name"] == "result.json":
            result: dict[str, Any] = json.loads(b"".join(store.read_file(entry["id"])))
            return result
    return None


@pages.get("/jobs/<job_id>/timelines")
def _timelines(job_id: str) -> str:
    """The part of the job's page that grows while the job runs."""
    return render_template("_timelines.html", shown=require_recording(job_id).view())


@pages.post("/jobs/<job_id>")
def _change_job(job_id: str) -> ResponseReturnValue:
    """Cancel, keep or delete a job."""
    task = _require_job(job_id)["options"].get("task")
    action = request.form.get("action")
    if action == "delete":
        services().job_store.delete(job_id)
        page = "corrections_pages.page" if task == ADAPT else "videos_pages.video"
        return redirect(url_for(page), 303)
    if action == "cancel":
        services().job_store.cancel(job_id)
    elif action == "keep":
        services().job_store.keep(job_id, days=services().config.session_days)
    else:
        raise ProblemError(400, "bad_request", "Expected the action cancel, keep or delete.")
    return redirect(url_for("videos_pages.job", job_id=job_id), 303)


@blueprint.post(
    "/videos",
    summary="Submit a video",
    description="The response has the job's id; request `/api/v1/jobs/{job_id}` until it is done. "
    "The video is deleted when the job ends, its results a day later. `webhook_url` is notified "
    "when the job has ended, in messages that are signed with `webhook_secret`.",
    responses=returns(JobDocument, 409, 413, 507, status=202),
)
@security.limited(security.UPLOAD_LIMIT)
def _submit_video(form: VideoForm) -> tuple[Response, int]:
    files = ("video",)
    check_form([name for name in VideoForm.model_fields if name not in files], files)
    return jsonify(_job_document(_require_job(_submit(form)))), 202


_NO_COOKIE = (
    "Jobs are listed for the cookie with which they were submitted, because several people may use "
    "one token. Keep the cookie, or the id from the answer to POST /api/v1/videos."
)


@blueprint.get("/jobs", summary="The visitor's jobs", responses=returns(JobsDocument))
def _list_jobs() -> Response:
    """For clients that keep the cookie; a job that was submitted without it is not listed."""
    note = None if owner() else _NO_COOKIE
    found = [_job_document(row) for row in _visitors_jobs()]
    return jsonify({"jobs": found, "note": note})


@blueprint.get("/jobs/<job_id>", summary="Job status", responses=returns(JobDocument, 404))
def _job_status(path: _JobPath) -> Response:
    return jsonify(_job_document(_require_job(path.job_id)))


@blueprint.post(
    "/jobs/<job_id>/cancel", summary="Cancel a job", responses=returns(JobDocument, 404)
)
def _cancel_job(path: _JobPath) -> Response:
    _require_job(path.job_id)
    services().job_store.cancel(path.job_id)
    return jsonify(_job_document(_require_job(path.job_id)))


@blueprint.delete(
    "/jobs/<job_id>",
    summary="Delete a job and its results",
    responses=returns(DeletedDocument, 404),
)
def _delete_job(path: _JobPath) -> Response:
    _require_job(path.job_id)
    services().job_store.delete(path.job_id)
    return jsonify({"deleted": 1})


@blueprint.get(
    "/jobs/<job_id>/files/<name>",
    summary="A result of a job",
    responses=returns({"content": {kind: {} for kind in sorted(RESULT_TYPES)}}, 404, 416),
)
def _job_file(path: _JobFilePath) -> Response:
    """`faces.csv`, `tracks.csv`, `frames.jsonl`, `annotated.mp4` or `report.html`."""
    job = _require_job(path.job_id)
    for entry in services().job_store.files(path.job_id, role="result"):
        if entry["name"] == path.name:
            return _marked_response(job, path.name, entry) or _file_response(entry)
    raise ProblemError(404, "not_found", f"This job has no file {path.name}.")


def _form_of_page() -> VideoForm:
    upload = request.files.get("video")
    if upload is None or not upload.filename:
        raise ProblemError(400, "video_missing", "Choose a video first.")
    try:
        return VideoForm.model_validate(
            {
                "video": upload,
                "every": request.form.get("every", 1, type=int),
                "annotate": "annotate" in request.form,
                "blur_faces": "blur_faces" in request.form,
            }
        )
    except ValidationError:
        raise ProblemError(
            422, "invalid", "Expected every Nth frame with N from 1 to 1000."
        ) from None


def _submit(form: VideoForm) -> str:
    """Store an uploaded video and wake a worker; returns the job's id."""
    config = services().config
    security.limit_body(config.max_video_mb)
    stream = form.video.stream
    size = stream.seek(0, 2)
    stream.seek(0)
    if not size:
        raise ProblemError(400, "video_missing", "Expected a video, got an empty file.")
    if size > config.max_video_mb * MEGABYTE:
        raise ProblemError(413, "too_large", f"Expected at most {config.max_video_mb} MB.")
    note_webhook = webhook(form.webhook_url, form.webhook_secret, config)
    return create_job(
        stream,
        size,
        name=(form.video.filename or "video")[-200:],
        options=json.loads(
            form.model_dump_json(exclude={"video", "webhook_url", "webhook_secret"})
        ),
        hours=config.result_hours,
        also=note_webhook,
    )


def create_job(
    upload: IO[bytes],
    size: int,
    *,
    name: str,
    options: dict[str, Any],
    hours: int,
    also: Callable[[Connection, str], None] = lambda connection, job_id: None,
) -> str:
    """Store a job of the visitor, and wake a worker; returns the job's id.

    Args:
        size: of the upload in bytes.
        also: as in :meth:`JobStore.create`.

    Raises:
        ProblemError: too many jobs run, or the server's space is used up.
    """
    # Before the upload is written, and again with the jobs of parallel requests.
    with services().database.begin() as connection:
        _check_jobs(connection, more=1)
        check_space(connection, more=size)

    def finish(connection: Connection, job_id: str) -> None:
        also(connection, job_id)
        serialize(connection, "room")
        _check_jobs(connection)
        check_space(connection)

    job_id = services().job_store.create(
        upload,
        owner=owner(),
        address=security.address_mark(),
        name=name,
        options=options,
        hours=hours,
        also=finish,
    )
    services().jobs.wake()
    return job_id


def _check_jobs(connection: Connection, more: int = 0) -> None:
    address = security.address_mark()
    # Callers without a cookie share the places of their address.
    active = count_active(connection, owner=owner(), address="" if owner() else address)
    of_address = count_active(connection, address=address)
    if active + more > _MAX_ACTIVE or of_address + more > _MAX_ACTIVE_OF_ADDRESS:
        raise ProblemError(
            409, "enough_jobs", f"Expected at most {_MAX_ACTIVE} jobs at once. Wait until one "
            "is done, or cancel one.", retry_after_s=30,
        )  # fmt: skip


def check_space(connection: Connection, more: int = 0) -> None:
    """Refuse what is larger than the space that is left.

    Args:
        connection: in a transaction that is serialized as "room", where what it wrote counts.
        more: bytes that are not written yet.

    Raises:
        ProblemError: the server's space is used up.
    """
    if stored_bytes(connection) + more > services().config.max_stored_mb * MEGABYTE:
        raise storage_full()


def storage_full() -> ProblemError:
    """The error where the server's space is used up."""
    return ProblemError(
        507, "storage_full", "The server's space is used up. Delete results, or "
        "try again when older ones have expired.", retry_after_s=600,
    )  # fmt: skip


def _marked_response(job: dict[str, Any], name: str, entry: dict[str, Any]) -> Response | None:
    """A file of events with the markers; None for others, and where no time is marked."""
    recording = StoredRecording("job", job["id"], job["name"])
    lines = recording.event_file(name) if recording.markers() else None
    return None if lines is None else attachment(lines, name, entry["media_type"])


def _file_response(entry: dict[str, Any]) -> Response:
    if entry["media_type"] == "text/html":
        document = b"".join(services().job_store.read_file(entry["id"]))
        return headers.sandboxed_report(document)
    response = _ranged_response(entry)
    # The server chose the name; it has only letters, digits, dots and dashes.
    disposition = "inline" if entry["media_type"].startswith("video/") else "attachment"
    response.headers["Content-Disposition"] = f'{disposition}; filename="{entry["name"]}"'
    return response


def _ranged_response(entry: dict[str, Any]) -> Response:
    """A file, or the part that a `Range` header asks for, as players do to seek in a video."""
    size, status = entry["size"], 200
    start, stop = 0, size
    asked = request.range
    # Several ranges in one request, and other units, may be answered with the whole file.
    if asked is not None and asked.units == "bytes" and len(asked.ranges) == 1 and size:
        # The last n bytes of a shorter file are all of it.
        first, _ = asked.ranges[0]
        part = (0, size) if first < -size else asked.range_for_length(size)
        if part is None:
            raise RequestedRangeNotSatisfiable(size)
        (start, stop), status = part, 206
    data = services().job_store.read_file(entry["id"], start, stop)
    response = Response(data, status, mimetype=entry["media_type"])
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Length"] = str(stop - start)
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return response


def _visitors_jobs() -> list[dict[str, Any]]:
    return services().job_store.of_owner(owner()) if owner() else []


def _require_job(job_id: str) -> dict[str, Any]:
    """A job that the visitor may see; raises ProblemError 404 if there is none."""
    row = services().job_store.find(job_id, g.visitor.id)
    if row is None:
        raise ProblemError(404, "not_found", "There is no such job, or it was deleted.")
    return row


def _job_document(row: dict[str, Any]) -> dict[str, Any]:
    """A job as the API returns it."""
    return services().job_store.document(row)
