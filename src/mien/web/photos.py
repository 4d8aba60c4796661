"""Photographs: the page and ``POST /api/v1/analyze``. Pictures are held in memory only."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from PIL import Image as PillowImage

from mien import drawing, imaging
from mien.errors import InputError
from mien.samples import sample_paths
from mien.types import Box, FrameResult, Image
from mien.web import security
from mien.web.api import image_body, noun, returns
from mien.web.errors import ProblemError, sentence
from mien.web.inference import BusyError
from mien.web.schemas import AnalyzeQuery, FrameResultDocument
from mien.web.services import services

_PAGE_IMAGE_PX = 1600

pages, blueprint = noun("photos", "Photographs.")


@blueprint.post(
    "/analyze",
    summary="Analyze a photograph",
    description="Send the photograph as the multipart field `image`, or its bytes as the body. "
    "JPEG, PNG, WebP, GIF (first frame), BMP and TIFF. It is held in memory only.",
    responses=returns(FrameResultDocument, 413, 503),
    openapi_extensions=image_body("image/*", "application/octet-stream", field="image"),
)
@security.limited(security.ANALYZE_LIMIT)
def analyze(query: AnalyzeQuery) -> Response:
    data, name = _image_from_request()
    _, result = analyze_photo(data, name, min_presence=query.min_presence)
    return jsonify(result.to_dict(landmarks=query.landmarks))


@pages.route("/photo", methods=["GET", "POST"])
@security.limited(security.ANALYZE_LIMIT, methods=["POST"])
def photo() -> ResponseReturnValue:
    """The page: a form, and the faces of the photograph that was sent with it."""
    samples = [path.name for path in sample_paths()]
    if request.method == "GET":
        return render_template("photo.html", samples=samples)
    try:
        chosen = request.form.get("sample")
        data, name = _image_from_request() if chosen is None else (_sample(chosen), chosen)
        image, result = analyze_photo(data, name)
    except ProblemError as problem:
        page = render_template("photo.html", samples=samples, problem=problem)
        return page, problem.status
    document = result.to_dict()
    return render_template(
        "photo.html",
        samples=samples,
        result=document,
        document=json.dumps(document, indent=2, ensure_ascii=False),
        thumbnails=[_thumbnail(image, face.box) for face in result.faces],
        picture=_data_url(drawing.annotate(image, result, extend=True), longest_px=_PAGE_IMAGE_PX),
    )


@pages.get("/samples/<name>")
def sample(name: str) -> Response:
    """A sample photograph."""
    response = Response(_sample(name), mimetype="image/jpeg")
    response.headers["Cache-Control"] = "max-age=86400"
    return response


def _sample(name: str) -> bytes:
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
        data, name = request.get_data(cache=False), None
    if not data:
        raise ProblemError(400, "image_missing", "Expected a photograph, got an empty request.")
    return data, name


def analyze_photo(
    data: bytes, name: str | None, *, min_presence: float | None = None
) -> tuple[Image, FrameResult]:
    """Decode and analyze a photograph; raises ProblemError where that is not possible."""
    with image_problems(), services().metrics.analysis("photograph"):
        image, result = services().inference.analyze(data, source=name, min_presence=min_presence)
    services().metrics.faces.inc(len(result.faces))
    return image, result


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
    """The text of an error about an uploaded image, which has no path to name."""
    return sentence(str(error).removeprefix("the given bytes: "))


def encode_jpeg(image: Image, *, quality: int = 85) -> bytes:
    """``(H, W, 3)`` RGB uint8 as JPEG."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _data_url(image: Image, *, longest_px: int) -> str:
    """The image, reduced to a longest side in pixels, as a data URL."""
    scale = longest_px / max(image.shape[:2])
    if scale < 1:
        height, width = image.shape[:2]
        image = imaging.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image)).decode("ascii")


def _thumbnail(image: Image, box: Box, *, side_px: int = 112) -> str:
    """A square crop of a face with some margin, as a data URL."""
    half = 0.65 * max(box.width, box.height)
    x, y = box.center
    square = Box(x - half, y - half, x + half, y + half)
    return _data_url(imaging.crop_box(image, square, (side_px, side_px)).image, longest_px=side_px)
