"""Photographs: the page and ``POST /api/v1/analyze``. Pictures are held in memory only."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from PIL import Image as PillowImage

from mien import drawing, imaging
from mien.errors import InputError
from mien.imaging import LargeImage
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
    with analyzed_photo(data, name, min_presence=query.min_presence) as (_, result):
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
        with analyzed_photo(data, name) as (image, result):
            picture = _picture(image, result)
            thumbnails = [_thumbnail(image, face.box) for face in result.faces]
    except ProblemError as problem:
        page = render_template("photo.html", samples=samples, problem=problem)
        return page, problem.status
    document = result.to_dict()
    return render_template(
        "photo.html",
        samples=samples,
        result=document,
        document=json.dumps(document, indent=2, ensure_ascii=False),
        thumbnails=thumbnails,
        picture=picture,
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


@contextmanager
def analyzed_photo(
    data: bytes, name: str | None, *, min_presence: float | None = None
) -> Iterator[tuple[Image | LargeImage, FrameResult]]:
    """Decode and analyze a photograph; raises ProblemError where that is not possible.

    Until the end of the context no other large photograph is in memory.
    """
    engine = services().inference
    with (
        image_problems(),
        services().metrics.analysis("photograph"),
        engine.analyzed(data, source=name, min_presence=min_presence) as (image, result),
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
    """The text of an error about an uploaded image, which has no path to name."""
    return sentence(str(error).removeprefix("the given bytes: "))


def encode_jpeg(image: Image, *, quality: int = 85) -> bytes:
    """``(H, W, 3)`` RGB uint8 as JPEG."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _picture(image: Image | LargeImage, result: FrameResult) -> str:
    """The annotated image in the size of the page, as a data URL."""
    width, height = result.image_size_wh
    whole = Box(0, 0, width, height)
    pixels, _, _ = imaging.around_box(image, whole, 1.0, detail=_PAGE_IMAGE_PX)
    scale = min(1.0, _PAGE_IMAGE_PX / max(width, height))
    small = _reduced(pixels, _PAGE_IMAGE_PX)
    faces = tuple(face.moved(0, 0, scale) for face in result.faces)
    annotated = drawing.annotate(small, replace(result, faces=faces), extend=True)
    return _data_url(annotated, longest_px=_PAGE_IMAGE_PX)


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
