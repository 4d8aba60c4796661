"""Photographs: the page and ``POST /api/v1/analyze``. Pictures are held in memory only."""

import base64
import io
import json
import logging
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flask import Response, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from PIL import Image as PillowImage
from werkzeug.datastructures import FileStorage

from mien import drawing, imaging
from mien.errors import InputError
from mien.expression import ExpressionClassifier, build_classifier
from mien.expression.neural import NeuralClassifier
from mien.imaging import LargeImage
from mien.media.images import read_image
from mien.samples import sample_paths
from mien.signals.gaze import gaze_arrows
from mien.tables import face_lines
from mien.types import Box, Face, FrameResult, Image
from mien.web import security
from mien.web.api import check_form, image_body, noun, returns
from mien.web.config import MEGABYTE
from mien.web.error_words import WORDS
from mien.web.errors import ProblemError, sentence
from mien.web.inference import BusyError
from mien.web.schemas import FrameResultDocument, PhotoQuery
from mien.web.security import owner
from mien.web.services import services

log = logging.getLogger("mien.web")

_PAGE_IMAGE_PX = 1600
_GALLERY_IMAGE_PX = 480
_FACE_PX, _FACE_MEGAPIXELS = 320, 16

pages, blueprint = noun("photos", "Photographs.")


@blueprint.post(
    "/analyze",
    summary="Analyze a photograph",
    description="Send the photograph as the multipart field `image`, or its bytes as the body. "
    "JPEG, PNG, WebP, GIF (first frame), BMP and TIFF. It is held in memory only.",
    responses=returns(FrameResultDocument, 404, 413, 503),
    openapi_extensions=image_body("image/*", "application/octet-stream", field="image"),
)
@security.limited(security.ANALYZE_LIMIT)
def _analyze(query: PhotoQuery) -> Response:
    data, name = _image_from_request()
    check_form((), ("image",))
    analyzed = analyzed_photo(data, name, min_presence=query.min_presence, model=query.model)
    with analyzed as (_, result):
        return jsonify(result.to_dict(landmarks=query.landmarks))


@pages.route("/photo", methods=["GET", "POST"])
@security.limited(security.ANALYZE_LIMIT, methods=["POST"])
def _photo() -> ResponseReturnValue:
    """The page: a form, and the faces of the photographs that were sent with it."""
    samples = [path.name for path in sample_paths()]
    page = partial(
        render_template,
        "photo.html",
        samples=samples,
        models=_own_models(),
    )
    if request.method == "GET":
        return page()
    try:
        uploads = request.files.getlist("image")
        if len(uploads) > 1:
            security.check_image_count(len(uploads))
            return page(**_gallery(uploads))
        chosen = request.form.get("sample")
        data, name = _image_from_request() if chosen is None else (_sample_bytes(chosen), chosen)
        shown = _shown(data, name, detail=_PAGE_IMAGE_PX)
    except ProblemError as problem:
        return page(problem=problem), problem.status
    return page(shown=shown)


def _shown(data: bytes, name: str | None, *, detail: int) -> dict[str, Any]:
    """What the page shows of a photograph: its result and its pictures."""
    model = request.form.get("model") or None
    with analyzed_photo(data, name, model=model) as (image, result):
        small = _page_image(image, detail)
        document = result.to_dict()
        return {
            "name": name or "photo",
            "result": document,
            "document": json.dumps(document, indent=2, ensure_ascii=False),
            "frequencies": _frequencies(model),
            "meshes": [_mesh(face) for face in result.faces],
            "gazes": [_gaze(face) for face in result.faces],
            "picture": _data_url(small, longest_px=detail),
            "annotated": _data_url(_annotated(small, result), longest_px=detail),
            "thumbnails": [_thumbnail(image, face.box) for face in result.faces],
        }


def _frequencies(model: str | None) -> dict[str, Any] | None:
    """What the page needs to show the probabilities under another prior.

    None where that is not possible, as the frequencies in training are not known.
    """
    classifier = _own_classifier(model) if model else services().inference.pipeline.classifier
    spec = classifier.spec
    if not spec.training_prior:
        return None
    return {
        "name": spec.name,
        "labels": [label.value for label in spec.labels],
        "training_prior": spec.training_prior,
        "prior": spec.prior,
        "uncertain_below": spec.uncertain_below,
    }


def _gallery(uploads: Sequence[FileStorage]) -> dict[str, Any]:
    """Several photographs: each with its picture, or why there is none, and one table of all."""
    security.limit_body(services().config.max_image_mb)
    gallery: list[dict[str, Any]] = []
    for number, upload in enumerate(uploads, start=1):
        name = upload.filename or f"photo {number}"
        try:
            gallery.append(_shown(upload.read(), name, detail=_GALLERY_IMAGE_PX))
        except ProblemError as problem:
            gallery.append({"name": name, "problem": problem})
    documents = [shown["result"] for shown in gallery if "result" in shown]
    table = "".join(face_lines(documents)).encode()
    return {
        "gallery": gallery,
        "table": "data:text/csv;base64," + base64.b64encode(table).decode("ascii"),
    }


@pages.get("/samples/<name>")
def _sample(name: str) -> Response:
    """A sample photograph."""
    response = Response(_sample_bytes(name), mimetype="image/jpeg")
    response.headers["Cache-Control"] = "max-age=86400"
    return response


def _sample_bytes(name: str) -> bytes:
    for path in sample_paths():
        if path.name == name:
            return path.read_bytes()
    raise ProblemError(404, "not_found", "There is no such sample photograph.")


def _image_from_request() -> tuple[bytes, str | None]:
    """The bytes and the name of the photograph in the request."""
    security.limit_body(services().config.max_image_mb)
    if request.mimetype == "multipart/form-data":
        upload = request.files.get("image")
        if upload is None:
            raise ProblemError(
                400, "image_missing", "Expected a multipart field `image` with the photograph, "
                f"got {', '.join(sorted(request.files)) or 'no file'}."
            )  # fmt: skip
        data, name = upload.read(), upload.filename or None
    else:
        data, name = read_body(services().config.max_image_mb), None
    if not data:
        raise ProblemError(400, "image_missing", "Expected a photograph, got an empty request.")
    return data, name


def read_body(megabytes: int) -> bytes:
    """The body of the request; one that is too large is refused, also where no length was given.

    Raises:
        ProblemError: the body is larger.
    """
    security.limit_body(megabytes)
    # Of a body in chunks, whose length is not known before, it has no more than the limit.
    data = request.get_data(cache=False)
    if len(data) < (request.content_length or 0):
        raise ProblemError(408, "timeout", WORDS["timeout"])
    if len(data) > megabytes * MEGABYTE:
        raise ProblemError(413, "too_large", f"Expected at most {megabytes} MB.")
    return data


@contextmanager
def analyzed_photo(
    data: bytes, name: str | None, *, min_presence: float | None = None, model: str | None = None
) -> Iterator[tuple[Image | LargeImage, FrameResult]]:
    """Decode and analyze a photograph; raises ProblemError where that is not possible.

    Until the end of the context no other large photograph is in memory.

    Args:
        model: the job that adapted the visitor's own model to use.
    """
    engine = services().inference
    classifier = _own_classifier(model) if model else None
    with (
        image_problems(),
        services().metrics.analysis("photograph"),
        engine.analyzed(data, source=name, min_presence=min_presence, classifier=classifier) as (
            image,
            result,
        ),
    ):
        services().metrics.faces.inc(len(result.faces))
        yield image, result


@contextmanager
def image_problems() -> Iterator[None]:
    """Make the errors of an analysis the response: status 503 or 400."""
    try:
        yield
    except BusyError as busy:
        raise ProblemError(
            503,
            "busy",
            "The server is busy. Try again in a moment.",
            details=[{"retry_after_ms": busy.retry_after_ms}],
            retry_after_s=max(1, round(busy.retry_after_ms / 1000)),
        ) from None
    except InputError as error:
        raise ProblemError(400, "image_unreadable", image_error_text(error)) from None


def image_error_text(error: InputError) -> str:
    """The text of an error about an uploaded image, which has no path to name.

    What the administrator could install is for the log.
    """
    if "pip install" in str(error):
        log.warning("%s", error)
        return "This server cannot read pictures of this kind. Choose a JPEG or PNG file."
    return sentence(str(error).removeprefix("the given bytes: "))


def encode_jpeg(image: Image, *, quality: int = 85) -> bytes:
    """``(H, W, 3)`` RGB uint8 as JPEG."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def stored_face(data: bytes) -> bytes:
    """An uploaded picture of a face as small JPEG, without what its file knows besides."""
    image = read_image(data, max_megapixels=_FACE_MEGAPIXELS)
    return encode_jpeg(_reduced(image, _FACE_PX), quality=90)


def _page_image(image: Image | LargeImage, longest_px: int) -> Image:
    """The whole image in the size of the page."""
    height, width = image.shape[:2]
    pixels, _, _ = imaging.around_box(image, Box(0, 0, width, height), 1.0, detail=longest_px)
    return _reduced(pixels, longest_px)


def _annotated(small: Image, result: FrameResult) -> Image:
    """A reduced image with the boxes and labels of the result."""
    scale = max(small.shape[:2]) / max(result.image_size_wh)
    faces = tuple(face.moved(0, 0, min(1.0, scale)) for face in result.faces)
    return drawing.annotate(small, replace(result, faces=faces), extend=True)


def _mesh(face: Face) -> str:
    """The landmarks as an SVG path of points."""
    if face.landmarks is None or face.landmarks.points is None:
        return ""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y, *_ in face.landmarks.points)


def _gaze(face: Face) -> list[str]:
    """The gaze as an SVG path of a line from each iris; none where it is unknown."""
    return [f"M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" for (x, y), (to_x, to_y) in gaze_arrows(face)]


def _reduced(image: Image, longest_px: int) -> Image:
    height, width = image.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return image
    return imaging.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))


def _data_url(image: Image, *, longest_px: int) -> str:
    """The image, reduced to a longest side in pixels, as a data URL."""
    return "data:image/jpeg;base64," + base64.b64encode(
        encode_jpeg(_reduced(image, longest_px))
    ).decode("ascii")


def _thumbnail(image: Image | LargeImage, box: Box, *, side_px: int = 112) -> str:
    """A square crop of a face with some margin, as a data URL."""
    half = 0.65 * max(box.width, box.height)
    x, y = box.center
    square = Box(x - half, y - half, x + half, y + half)
    part, (left, top), factor = imaging.around_box(image, square, 1.2, detail=2 * side_px)
    square = square.moved(-left / factor, -top / factor, 1 / factor)
    return _data_url(imaging.crop_box(part, square, (side_px, side_px)).image, longest_px=side_px)


ADAPT = "adapt"
"""The task of jobs that adapt a model."""

MODEL = "model.onnx"
"""The file of such a job that is the model."""

_KEPT = 2
_models: dict[str, ExpressionClassifier] = {}
_models_lock = threading.Lock()


def _own_models() -> list[dict[str, Any]]:
    """The jobs of the visitor whose results have a model."""
    found = [services().job_store.document(row) for row in adaptations()]
    return [job for job in found if any(entry["name"] == MODEL for entry in job["files"])]


def _own_classifier(job_id: str) -> ExpressionClassifier:
    """The adapted model of a job that the visitor may see; ProblemError 404 if there is none."""
    store = services().job_store
    job = store.find(job_id, g.visitor.id)
    found = store.files(job_id, role="result") if job else []
    entry = next((one for one in found if one["name"] == MODEL), None)
    if entry is None:
        raise ProblemError(404, "not_found", "There is no such model, or it was deleted.")
    with _models_lock:
        classifier = _models.pop(entry["id"], None) or _load(entry["id"])
        # The last used one is the last to go.
        _models[entry["id"]] = classifier
        for old in list(_models)[:-_KEPT]:
            del _models[old]
    return classifier


def _load(file_id: str) -> ExpressionClassifier:
    settings = services().inference.pipeline.settings
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        path = Path(folder) / MODEL
        services().job_store.copy_file(file_id, path)
        classifier = build_classifier(path, threads=settings.threads, provider=settings.provider)
        assert isinstance(classifier, NeuralClassifier)
        classifier.warm_up()  # while the file is there
    return classifier


def adaptations() -> list[dict[str, Any]]:
    rows = services().job_store.of_owner(owner()) if owner() else []
    return [row for row in rows if row["options"].get("task") == ADAPT]
