"""Corrected labels of faces, and models that are adapted to them, for each visitor."""

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Response, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from mien.errors import DataError
from mien.labels import own_labels
from mien.web import security
from mien.web.api import check_form, noun, returns
from mien.web.errors import ProblemError, sentence
from mien.web.photos import (
    ADAPT,
    MODEL,
    adaptations,
    analyzed_photo,
    image_problems,
    stored_face,
)
from mien.web.schemas import (
    ID,
    CorrectionDocument,
    CorrectionForm,
    CorrectionsDocument,
    DeletedDocument,
    JobDocument,
)
from mien.web.security import owner
from mien.web.services import services
from mien.web.store.database import corrections, iso, new_id, now, serialize
from mien.web.videos import check_space, create_job

_LEAST_OF_LABEL = 3
_MOST_LABELS = 20
_MOST = 600
# Of the largest face: the area of another one that the label could be about.
_ALIKE = 0.5

pages, blueprint = noun("corrections", "Corrected labels, and models for them.", "/corrections")


class _CorrectionPath(BaseModel):
    correction_id: str = Field(pattern=ID)


@pages.get("/corrections")
def _page() -> str:
    """The visitor's labeled faces, and the models that were adapted to them."""
    found = _list()
    counts = Counter(_meanings(one["label"] for one in found))
    return render_template(
        "corrections.html",
        corrections=found,
        counts=sorted(counts.items()),
        ready=_is_enough(counts),
        least=_LEAST_OF_LABEL,
        jobs=[services().job_store.document(row) for row in adaptations()],
    )


@pages.post("/corrections")
def _change() -> ResponseReturnValue:
    """Adapt a model, or delete one face or all."""
    action, chosen = request.form.get("action"), request.form.get("id")
    if action == ADAPT:
        return redirect(url_for("videos_pages.job", job_id=_start_adapting()), 303)
    if action not in {"delete", "delete-all"} or (action == "delete" and not chosen):
        raise ProblemError(400, "bad_request", "Expected the action adapt, delete or delete-all.")
    _remove(chosen if action == "delete" else None)
    return redirect(url_for("corrections_pages.page"), 303)


@pages.get("/corrections/<correction_id>.jpg")
def _picture(correction_id: str) -> Response:
    """One of the visitor's faces."""
    query = sa.select(corrections.c.picture).where(*_own(correction_id))
    for row in services().database.rows(query) if owner() else ():
        return Response(bytes(row["picture"]), mimetype="image/jpeg")
    raise _no_face()


@blueprint.post(
    "",
    summary="Label a face",
    description="Keeps the picture of one face with the label that it should have, for clients "
    "that keep the cookie. The picture is stored, and deleted after the time of recorded sessions.",
    responses=returns(CorrectionDocument, 413, 503, 507, status=201),
)
@security.limited(security.ANALYZE_LIMIT)
def _add(form: CorrectionForm) -> tuple[Response, int]:
    security.limit_body(services().config.max_image_mb)
    check_form(("label",), ("image",))
    _require_owner()
    try:
        own_labels([form.label])
    except DataError as error:
        raise ProblemError(422, "invalid", sentence(str(error))) from None
    with image_problems():
        face = stored_face(form.image.read())
    _check_face(face)
    values = {"id": new_id(), "label": form.label.strip()}
    _store(face, **values)
    return jsonify(values), 201


@blueprint.get("", summary="The visitor's labeled faces", responses=returns(CorrectionsDocument))
def _list_all() -> Response:
    return jsonify({"corrections": _list()})


@blueprint.delete(
    "", summary="Delete all of the visitor's labeled faces", responses=returns(DeletedDocument)
)
def _delete_all() -> Response:
    return jsonify({"deleted": _remove()})


@blueprint.delete(
    # Of the length of an id, so that it does not match /adapt.
    "/<string(length=22):correction_id>",
    summary="Delete a labeled face",
    responses=returns(DeletedDocument, 404),
)
def _delete(path: _CorrectionPath) -> Response:
    if not _remove(path.correction_id):
        raise _no_face()
    return jsonify({"deleted": 1})


@blueprint.post(
    "/adapt",
    summary="Adapt a model to the visitor's labeled faces",
    description="Starts a job, as `/api/v1/videos` does. If the model is better than before, its "
    f"results have `{MODEL}`; give the job's id as `model` to `/api/v1/analyze` to use it.",
    responses=returns(JobDocument, 409, 507, status=202),
)
@security.limited(security.UPLOAD_LIMIT)
def _adapt() -> tuple[Response, int]:
    job = services().job_store.find(_start_adapting(), g.visitor.id)
    assert job is not None
    return jsonify(services().job_store.document(job)), 202


def _own(correction_id: str | None = None) -> tuple[sa.ColumnElement[bool], ...]:
    """Which rows are the visitor's faces, or the one with the id."""
    own = (corrections.c.owner == owner(),)
    return own if correction_id is None else (*own, corrections.c.id == correction_id)


def _list() -> list[dict[str, Any]]:
    """The visitor's labeled faces without their pictures, the newest first."""
    columns = (corrections.c.id, corrections.c.label, corrections.c.created_at)
    query = sa.select(*columns).where(*_own())
    query = query.order_by(corrections.c.created_at.desc(), corrections.c.id)
    rows = services().database.rows(query) if owner() else []
    return [{**row, "created_at": iso(row["created_at"])} for row in rows]


def _check_face(picture: bytes) -> None:
    """Refuse a picture in which the labeled face is not found, or is one of several."""
    with analyzed_photo(picture, None) as (_, result):
        wide, high = result.image_size_wh
        boxes = sorted((face.box for face in result.faces), key=lambda box: -box.area)
    if not boxes:
        raise ProblemError(
            422, "no_face", "Expected a picture with one face, got one without. Choose a larger or "
            "sharper face."
        )  # fmt: skip
    # Others at the edge are common where people stand close.
    others = [
        box
        for box in boxes[1:]
        if box.area >= _ALIKE * boxes[0].area
        and 0 <= box.center[0] <= wide
        and 0 <= box.center[1] <= high
    ]
    if others:
        raise ProblemError(
            422, "several_faces", f"Expected a picture with one face, got one with "
            f"{1 + len(others)}. Cut it around the face."
        )  # fmt: skip


def _store(face: bytes, **values: str) -> None:
    moment = now()
    row = sa.insert(corrections).values(
        **values,
        owner=owner(),
        picture=face,
        size=len(face),
        created_at=moment,
        expires_at=moment + timedelta(days=services().config.session_days),
    )
    count = sa.select(sa.func.count()).where(*_own())
    with services().database.begin() as connection:
        serialize(connection, "room")
        if connection.execute(count).scalar_one() >= _MOST:
            raise ProblemError(
                413, "too_large", f"Expected at most {_MOST} labeled faces. Delete some first."
            )
        connection.execute(row)
        check_space(connection)


def _remove(correction_id: str | None = None) -> int:
    """Delete one of the visitor's faces, or all; returns how many."""
    delete = sa.delete(corrections).where(*_own(correction_id))
    return services().database.execute(delete) if owner() else 0


def _no_face() -> ProblemError:
    return ProblemError(404, "not_found", "There is no such face, or it was deleted.")


def _start_adapting() -> str:
    """Start a job; returns its id."""
    _require_owner()
    config, database = services().config, services().database
    query = sa.select(corrections.c.label, corrections.c.picture).where(*_own())
    rows = database.rows(query.order_by(corrections.c.created_at, corrections.c.id))
    labels = _meanings(row["label"] for row in rows)
    labeled = [(label, bytes(row["picture"])) for label, row in zip(labels, rows, strict=True)]
    counts = Counter(labels)
    if not _is_enough(counts):
        raise ProblemError(
            409, "too_few_labels", f"Expected 2 to {_MOST_LABELS} labels with {_LEAST_OF_LABEL} "
            "faces each. Label more faces first.",
        )  # fmt: skip
    used = [one for one in labeled if counts[one[0]] >= _LEAST_OF_LABEL]
    archive = _archive(used)
    names = ", ".join(sorted({label for label, _ in used}))
    return create_job(
        archive,
        archive.getbuffer().nbytes,
        name=f"Model: {names}"[:200],
        options={"task": ADAPT, "hours": 24 * config.session_days},
        hours=24 * config.session_days,
    )


def _meanings(labels: Iterable[str]) -> list[str]:
    """What a model is adapted to for each: "happiness" for "Happy", one spelling of own labels."""
    meant = [own_labels([label])[label].value for label in labels]
    spelling = {label.casefold(): label for label in sorted(meant, reverse=True)}
    return [spelling[label.casefold()] for label in meant]


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
