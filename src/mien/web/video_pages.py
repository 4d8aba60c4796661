"""The video page and the pages of its jobs; they work without any script."""

import pydantic
from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from mien.web import api_videos, limits
from mien.web.errors import ProblemError
from mien.web.schemas import VideoForm
from mien.web.security import owner
from mien.web.store import jobs

blueprint = Blueprint("video_pages", __name__)


@blueprint.route("/video", methods=["GET", "POST"])
@limits.limited(limits.UPLOAD, methods=["POST"])
def video() -> ResponseReturnValue:
    """A video in, a job out."""
    problem = None
    if request.method == "POST":
        try:
            return redirect(url_for("video_pages.job", job_id=_submit()), 303)
        except ProblemError as raised:
            problem = raised
    database = current_app.extensions["mien.database"]
    mine = jobs.list_jobs(database, owner()) if owner() else []
    page = render_template(
        "video.html", jobs=[api_videos.shown(row) for row in mine], problem=problem
    )
    return page, problem.status if problem else 200


def _submit() -> str:
    upload = request.files.get("video")
    if upload is None or not upload.filename:
        raise ProblemError(400, "video_missing", "Choose a video first.")
    try:
        form = VideoForm.model_validate(
            {
                "video": upload,
                "every": request.form.get("every", 1, type=int),
                "annotate": "annotate" in request.form,
                "blur_faces": "blur_faces" in request.form,
            }
        )
    except pydantic.ValidationError:
        raise ProblemError(
            422, "invalid", "Expected to analyze every frame up to every 1000th."
        ) from None
    return api_videos.submit(form)


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> str:
    """How far a job is, and its report."""
    document = api_videos.shown(api_videos.require_job(job_id))
    return render_template("job.html", job=document)


@blueprint.post("/jobs/<job_id>")
def change_job(job_id: str) -> ResponseReturnValue:
    """Cancel, keep or delete a job."""
    api_videos.require_job(job_id)
    database = current_app.extensions["mien.database"]
    action = request.form.get("action")
    if action == "delete":
        jobs.delete_job(database, job_id)
        return redirect(url_for("video_pages.video"), 303)
    if action == "cancel":
        jobs.cancel_job(database, job_id)
    elif action == "keep":
        jobs.keep_job(database, job_id, days=current_app.extensions["mien.config"].session_days)
    else:
        raise ProblemError(400, "bad_request", "Expected the action cancel, keep or delete.")
    return redirect(url_for("video_pages.job", job_id=job_id), 303)
