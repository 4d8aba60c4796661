"""Corrected labels of faces, and models that are adapted to them, for each visitor."""

import csv
import io
import zipfile
from collections import Counter

from flask import Response, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from mien.web import security
from mien.web.api import check_form, noun, returns
from mien.web.errors import ProblemError
from mien.web.own_models import ADAPT, MODEL, adaptations
from mien.web.photos import image_problems, stored_face
from mien.web.schemas import (
    CorrectionDocument,
    CorrectionForm,
    CorrectionPath,
    CorrectionsDocument,
    DeletedDocument,
    JobDocument,
)
from mien.web.security import owner
from mien.web.services import services
from mien.web.store import corrections as store
from mien.web.store import jobs
from mien.web.videos import check_room, job_document

_LEAST_OF_LABEL = 3
_MOST_LABELS = 20
_MOST = 600

pages, blueprint = noun("corrections", "Corrected labels, and models for them.", "/corrections")


@pages.get("/corrections")
def page() -> str:
    """The visitor's labeled faces, and the models that were adapted to them."""
    found = store.list_corrections(services().database, owner()) if owner() else []
    counts = Counter(one["label"] for one in found)
    return render_template(
        "corrections.html",
        corrections=found,
        counts=sorted(counts.items()),
        ready=_is_enough(counts),
        least=_LEAST_OF_LABEL,
        jobs=[job_document(row) for row in adaptations()],
    )


@pages.post("/corrections")
def change() -> ResponseReturnValue:
    """Adapt a model, or delete one face or all."""
    action, chosen = request.form.get("action"), request.form.get("id")
    if action == ADAPT:
        return redirect(url_for("videos_pages.job", job_id=_adapt()), 303)
    if action not in {"delete", "delete-all"} or (action == "delete" and not chosen):
        raise ProblemError(400, "bad_request", "Expected the action adapt, delete or delete-all.")
    if owner():
        store.delete_corrections(
            services().database, owner(), chosen if action == "delete" else None
        )
    return redirect(url_for("corrections_pages.page"), 303)


@pages.get("/corrections/<correction_id>.jpg")
def picture(correction_id: str) -> Response:
    """One of the visitor's faces."""
    found = store.find_picture(services().database, owner(), correction_id) if owner() else None
    if found is None:
        raise ProblemError(404, "not_found", "There is no such face, or it was deleted.")
    return Response(found, mimetype="image/jpeg")


@blueprint.post(
    "",
    summary="Label a face",
    description="Keeps the picture of one face with the label that it should have, for clients "
    "that keep the cookie. The picture is stored, and deleted after the time of recorded sessions.",
    responses=returns(CorrectionDocument, 413, 507, status=201),
)
@security.limited(security.ANALYZE_LIMIT)
def add(form: CorrectionForm) -> tuple[Response, int]:
    security.limit_body(services().config.max_image_mb)
    check_form(("label",), ("image",))
    _require_owner()
    with image_problems():
        face = stored_face(form.image.read())
    database, config = services().database, services().config
    if len(store.list_corrections(database, owner())) >= _MOST:
        raise ProblemError(
            413, "too_large", f"Expected at most {_MOST} labeled faces. Delete some first."
        )
    check_room(len(face))
    label = form.label.strip()
    found = store.add_correction(database, owner(), label, face, days=config.session_days)
    return jsonify({"id": found, "label": label}), 201


@blueprint.get("", summary="The visitor's labeled faces", responses=returns(CorrectionsDocument))
def list_all() -> Response:
    found = store.list_corrections(services().database, owner()) if owner() else []
    return jsonify({"corrections": found})


@blueprint.delete(
    "", summary="Delete all of the visitor's labeled faces", responses=returns(DeletedDocument)
)
def delete_all() -> Response:
    count = store.delete_corrections(services().database, owner()) if owner() else 0
    return jsonify({"deleted": count})


@blueprint.delete(
    # Of the length of an id, so that it does not match /adapt.
    "/<string(length=22):correction_id>",
    summary="Delete a labeled face",
    responses=returns(DeletedDocument, 404),
)
def delete(path: CorrectionPath) -> Response:
    database = services().database
    if not owner() or not store.delete_corrections(database, owner(), path.correction_id):
        raise ProblemError(404, "not_found", "There is no such face, or it was deleted.")
    return jsonify({"deleted": 1})


@blueprint.post(
    "/adapt",
    summary="Adapt a model to the visitor's labeled faces",
    description="Starts a job, as `/api/v1/videos` does. If the model is better than before, its "
    f"results have `{MODEL}`; give the job's id as `model` to `/api/v1/analyze` to use it.",
    responses=returns(JobDocument, 409, 507, status=202),
)
@security.limited(security.UPLOAD_LIMIT)
def adapt() -> tuple[Response, int]:
    job = jobs.find_job(services().database, _adapt(), g.visitor.id)
    assert job is not None
    return jsonify(job_document(job)), 202


def _adapt() -> str:
    """Start a job; returns its id."""
    _require_owner()
    config, database = services().config, services().database
    labeled = store.read_pictures(database, owner())
    counts = Counter(label for label, _ in labeled)
    if not _is_enough(counts):
        raise ProblemError(
            409, "too_few_labels", f"Expected 2 to {_MOST_LABELS} labels with {_LEAST_OF_LABEL} "
            "faces each. Label more faces first.",
        )  # fmt: skip
    used = [one for one in labeled if counts[one[0]] >= _LEAST_OF_LABEL]
    archive = _archive(used)
    check_room(archive.getbuffer().nbytes)
    names = ", ".join(sorted({label for label, _ in used}))
    job_id = jobs.create_job(
        database,
        archive,
        owner=owner(),
        address=security.address_mark(),
        name=f"Model: {names}"[:200],
        options={"task": ADAPT, "hours": 24 * config.session_days},
        hours=24 * config.session_days,
    )
    services().jobs.wake()
    return job_id


def _is_enough(counts: Counter[str]) -> bool:
    large = [label for label, count in counts.items() if count >= _LEAST_OF_LABEL]
    return 2 <= len(large) <= _MOST_LABELS


def _archive(labeled: list[tuple[str, bytes]]) -> io.BytesIO:
    """Pictures and the table of their labels, which :func:`mien.adapt` reads."""
    table, buffer = io.StringIO(), io.BytesIO()
    writer = csv.writer(table)
    writer.writerow(["image", "label"])
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, (label, face) in enumerate(labeled, start=1):
            name = f"{number:04}.jpg"
            archive.writestr(name, face)
            writer.writerow([name, label])
        archive.writestr("labels.csv", table.getvalue())
    buffer.seek(0)
    return buffer


def _require_owner() -> None:
    if not owner():
        raise ProblemError(
            400, "cookie_needed", "Expected the cookie of an earlier answer: labeled faces belong "
            "to a visitor. Open a page first, and send its cookies."
        )  # fmt: skip
