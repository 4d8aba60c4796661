"""The HTTP API's second part: videos, as jobs."""

import json
from typing import Any

from flask import Response, current_app, g, jsonify, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from mien.web import limits, reports
from mien.web.api import ERRORS, PREFIX
from mien.web.config import MEGABYTE, WebConfig
from mien.web.errors import ProblemError
from mien.web.jobs import RESULT_TYPES, JobRunner
from mien.web.schemas import (
    DeletedDocument,
    ErrorDocument,
    JobDocument,
    JobFilePath,
    JobPath,
    JobsDocument,
    VideoForm,
)
from mien.web.security import owner
from mien.web.store import jobs
from mien.web.store.database import Database

_MAX_ACTIVE = 3
_NOT_FOUND: dict[str | int, Any] = {**ERRORS, "404": ErrorDocument}

blueprint = APIBlueprint(
    "videos", __name__, url_prefix=PREFIX, abp_tags=[Tag(name="videos", description="Video jobs.")]
)


@blueprint.post(
    "/videos",
    summary="Submit a video",
    description="The answer tells the job's id; ask `/api/v1/jobs/{job_id}` until it is done. The "
    "video is deleted when the job ends, its results a day later.",
    responses={**ERRORS, "202": JobDocument, "409": ErrorDocument, "413": ErrorDocument},
)
@limits.limited(limits.UPLOAD)
def submit_video(form: VideoForm) -> tuple[Response, int]:
    job_id = submit(form)
    return jsonify(shown(require_job(job_id))), 202


def submit(form: VideoForm) -> str:
    """Store a video that was uploaded, and wake a worker; gives the job's id.

    Raises:
        ProblemError: it is empty or too large, or the visitor has enough jobs.
    """
    config, database = _config(), _database()
    limits.limit_body(config.max_video_mb)
    upload = form.video
    size = upload.stream.seek(0, 2)
    upload.stream.seek(0)
    if not size:
        raise ProblemError(400, "video_missing", "Expected a video, got an empty file.")
    if size > config.max_video_mb * MEGABYTE:
        raise ProblemError(413, "too_large", f"Expected at most {config.max_video_mb} MB.")
    if owner() and jobs.count_active(database, owner()) >= _MAX_ACTIVE:
        raise ProblemError(
            409, "enough_jobs", f"Expected at most {_MAX_ACTIVE} videos at once. Wait until one "
            "is done, or cancel one.", retry_after_s=30,
        )  # fmt: skip
    job_id = jobs.create_job(
        database,
        upload.stream,
        owner=owner(),
        name=(upload.filename or "video")[-200:],
        options=json.loads(form.model_dump_json(exclude={"video"})),
        hours=config.result_hours,
    )
    _runner().wake()
    return job_id


@blueprint.get("/jobs", summary="The visitor's jobs", responses={**ERRORS, "200": JobsDocument})
def list_jobs() -> Response:
    """For those who keep the cookie; a job that was submitted without is found by its id alone."""
    rows = jobs.list_jobs(_database(), owner()) if owner() else []
    return jsonify({"jobs": [shown(row) for row in rows]})


@blueprint.get(
    "/jobs/<job_id>", summary="How far a job is", responses={**_NOT_FOUND, "200": JobDocument}
)
def job_status(path: JobPath) -> Response:
    return jsonify(shown(require_job(path.job_id)))


@blueprint.post(
    "/jobs/<job_id>/cancel", summary="Cancel a job", responses={**_NOT_FOUND, "200": JobDocument}
)
def cancel_job(path: JobPath) -> Response:
    require_job(path.job_id)
    jobs.cancel_job(_database(), path.job_id)
    return jsonify(shown(require_job(path.job_id)))


@blueprint.delete(
    "/jobs/<job_id>",
    summary="Delete a job and its results",
    responses={**_NOT_FOUND, "200": DeletedDocument},
)
def delete_job(path: JobPath) -> Response:
    require_job(path.job_id)
    jobs.delete_job(_database(), path.job_id)
    return jsonify({"deleted": 1})


@blueprint.get(
    "/jobs/<job_id>/files/<name>",
    summary="A result of a job",
    responses={**_NOT_FOUND, "200": {"content": {kind: {} for kind in sorted(RESULT_TYPES)}}},
)
def job_file(path: JobFilePath) -> Response:
    """`faces.csv`, `faces.jsonl`, `tracks.csv`, `annotated.mp4` or `report.html`."""
    require_job(path.job_id)
    for entry in jobs.find_files(_database(), path.job_id, role="result"):
        if entry["name"] == path.name:
            return _file_response(entry)
    raise ProblemError(404, "not_found", f"This job has no file {path.name}.")


def _file_response(entry: dict[str, Any]) -> Response:
    database = _database()
    if entry["media_type"] == "text/html":
        return reports.sandboxed(b"".join(jobs.read_file(database, entry["id"])))
    response = Response(jobs.read_file(database, entry["id"]), mimetype=entry["media_type"])
    response.headers["Content-Length"] = str(entry["size"])
    # A name that we gave, of letters, digits, dots and dashes.
    disposition = "inline" if entry["media_type"].startswith("video/") else "attachment"
    response.headers["Content-Disposition"] = f'{disposition}; filename="{entry["name"]}"'
    return response


def require_job(job_id: str) -> dict[str, Any]:
    """A job that the visitor may see.

    Raises:
        ProblemError: there is none.
    """
    row = jobs.find_job(_database(), job_id, g.visitor.id)
    if row is None:
        raise ProblemError(404, "not_found", "There is no such job, or it was deleted.")
    return row


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A job as its visitors see it, with the addresses of its results."""
    results = jobs.find_files(_database(), row["id"], role="result")
    document = jobs.job_document(row, results)
    for entry in document["files"]:
        entry["url"] = url_for("videos.job_file", job_id=row["id"], name=entry["name"])
    return document


def _config() -> WebConfig:
    config: WebConfig = current_app.extensions["mien.config"]
    return config


def _database() -> Database:
    database: Database = current_app.extensions["mien.database"]
    return database


def _runner() -> JobRunner:
    runner: JobRunner = current_app.extensions["mien.jobs"]
    return runner
