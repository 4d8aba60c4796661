"""Drawing results on images."""

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from mien import geometry, imaging
from mien.labels import Expression
from mien.landmarks.schemes import MESH_LINES
from mien.types import Box, ExpressionScores, Face, FrameResult, Image, Landmarks

Color = tuple[int, int, int]
_Spot = tuple[int, int, int, int]
"""x_min, y_min, x_max, y_max in pixels."""

EXPRESSION_COLORS: dict[Expression, Color] = {
    Expression.NEUTRAL: (139, 144, 153),
    Expression.HAPPINESS: (230, 159, 0),
    Expression.SADNESS: (0, 114, 178),
    Expression.SURPRISE: (86, 180, 233),
    Expression.FEAR: (204, 121, 167),
    Expression.DISGUST: (0, 158, 115),
    Expression.ANGER: (213, 94, 0),
    Expression.CONTEMPT: (240, 228, 66),
}
"""The RGB color of each expression, in images, plots and pages.

Seven are from the palette of Okabe and Ito ("Color universal design", 2008), which is
distinguishable with any kind of color blindness; neutral is gray.
"""

_INK: Color = (20, 22, 26)
_PAPER: Color = (255, 255, 255)
# Text height relative to the width of the face.
_LABEL_SHARE = 0.2
# With so few blocks across a face, neither people nor face recognition can identify it.
_BLUR_BLOCKS = 6


def annotate(image: npt.ArrayLike, result: FrameResult, *, landmarks: bool = False) -> Image:
    """Draw the box, label and expression probabilities of each face.

    Uncertain expressions have a question mark and a thinner box.

    Args:
        image: the analyzed image; it is not modified.
        result: the result for this image.
        landmarks: whether to draw landmarks: meshes as lines, others as dots.

    Returns:
        ``(H, W, 3)`` RGB uint8, a new image.
    """
    canvas = imaging.as_rgb(image).copy()
    # One unit is a thin line when the image is shown on a full screen.
    unit = max(1, round(max(canvas.shape[:2]) / 1000))
    for face in result.faces:
        _draw_face(canvas, face, unit, landmarks=landmarks)
    # Labels are drawn last, at positions that do not cover faces or other labels.
    taken = [_spot(face.box) for face in result.faces]
    for face in sorted(result.faces, key=lambda face: face.box.y_max):
        if face.expression is not None:
            taken.append(_draw_label(canvas, face, face.expression, unit, taken))
    return canvas


def blur_faces(image: npt.ArrayLike, result: FrameResult) -> Image:
    """Make every detected face unrecognizable by reducing it to a few smoothed blocks.

    Faces that were not detected are not blurred: check the image before you share it.

    Returns:
        ``(H, W, 3)`` RGB uint8, a new image.
    """
    canvas = imaging.as_rgb(image).copy()
    height, width = canvas.shape[:2]
    for face in result.faces:
        # Boxes cover the facial features only, but hair, ears and chin identify people, too.
        box = _grown(face.box, 0.3)
        x_min, y_min = max(0, int(box.x_min)), max(0, int(box.y_min))
        x_max, y_max = min(width, int(box.x_max) + 1), min(height, int(box.y_max) + 1)
        if x_max <= x_min or y_max <= y_min:
            continue
        part = canvas[y_min:y_max, x_min:x_max]
        blocks = imaging.resize(part, (_BLUR_BLOCKS, _BLUR_BLOCKS))
        blurred = cv2.resize(blocks, part.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        mask = np.zeros(part.shape[:2], np.uint8)
        center = (int(box.center[0]) - x_min, int(box.center[1]) - y_min)
        cv2.ellipse(mask, (center, (box.width, box.height), 0.0), 255, -1)
        part[mask > 0] = blurred[mask > 0]
    return canvas


def cut_out(image: npt.ArrayLike, box: Box, *, margin: float = 0.3) -> Image:
    """The part of an image with a face, as a picture of it; models get aligned crops instead.

    Args:
        image: the analyzed image.
        box: of the face.
        margin: added on each side, as a share of the box's width and height.

    Returns:
        ``(H, W, 3)`` RGB uint8, at least one pixel; smaller where the image ends.
    """
    pixels = imaging.as_rgb(image)
    height, width = pixels.shape[:2]
    grown = _grown(box, margin)
    x_min, y_min = (
        min(max(0, int(grown.x_min)), width - 1),
        min(max(0, int(grown.y_min)), height - 1),
    )
    x_max, y_max = max(x_min + 1, math.ceil(grown.x_max)), max(y_min + 1, math.ceil(grown.y_max))
    return np.ascontiguousarray(pixels[y_min:y_max, x_min:x_max])


def _grown(box: Box, share: float) -> Box:
    pad_x, pad_y = share * box.width, share * box.height
    return Box(box.x_min - pad_x, box.y_min - pad_y, box.x_max + pad_x, box.y_max + pad_y)


def _draw_face(canvas: Image, face: Face, unit: int, *, landmarks: bool) -> None:
    scores = face.expression
    color = EXPRESSION_COLORS[scores.label] if scores else _PAPER
    sure = scores is not None and not scores.uncertain
    if landmarks and face.landmarks is not None:
        _draw_landmarks(canvas, face.landmarks, unit)
    x_min, y_min, x_max, y_max = (round(float(v)) for v in face.box.to_array())
    # A dark line under the colored one keeps the box visible on any background.
    line = 2 * unit if sure else unit
    for line_color, thickness in ((_INK, line + 2), (color, line)):
        cv2.rectangle(canvas, (x_min, y_min), (x_max, y_max), line_color, thickness, cv2.LINE_AA)
    if scores is not None:
        _draw_shares(canvas, face.box, scores, unit)


def _draw_landmarks(canvas: Image, landmarks: Landmarks, unit: int) -> None:
    # OpenCV draws at fractions of a pixel when coordinates come in sixteenths, from its middle.
    points = np.round((landmarks.points[:, :2] - 0.5) * 16).astype(np.int32)
    if landmarks.scheme == "mesh468":
        for line in MESH_LINES.values():
            path = [points[list(line.indices)]]
            cv2.polylines(canvas, path, line.closed, _PAPER, unit, cv2.LINE_AA, shift=4)
        return
    for x, y in points.tolist():
        cv2.circle(canvas, (x, y), 24 * unit, _PAPER, -1, cv2.LINE_AA, shift=4)


def _spot(box: Box) -> _Spot:
    return round(box.x_min), round(box.y_min), round(box.x_max), round(box.y_max)


def _draw_label(
    canvas: Image, face: Face, scores: ExpressionScores, unit: int, taken: list[_Spot]
) -> _Spot:
    """Draw the label and its probability next to the face; returns the position."""
    mark = "?" if scores.uncertain else ""
    text = f"{scores.label.value}{mark} {100 * scores[scores.label]:.0f} %"
    if face.track_id is not None:
        text = f"{face.track_id} · {text}"
    size_px = max(11, min(18 * unit, round(_LABEL_SHARE * face.box.width)))
    chip = _chip(text, EXPRESSION_COLORS[scores.label], size_px)
    spot = _free_spot(canvas, chip, face.box, unit, taken)
    _paste(canvas, chip, *spot[:2])
    return spot


def _free_spot(canvas: Image, chip: Image, box: Box, unit: int, taken: list[_Spot]) -> _Spot:
    """The first of the positions around and inside a box that covers the least."""
    high, wide = chip.shape[:2]
    x_min, y_min, x_max, y_max = _spot(box)
    left, right = x_min - unit, x_max + unit - wide
    above, below = y_min - high, y_max + 8 * unit
    inside = max(0, y_min) + 2 * unit
    places = [(left, above), (right, above), (left, below), (right, below), (left, inside)]
    most_x, most_y = max(0, canvas.shape[1] - wide), max(0, canvas.shape[0] - high)
    spots = [
        (x, y, x + wide, y + high)
        for x, y in ((max(0, min(x, most_x)), max(0, min(y, most_y))) for x, y in places)
    ]
    hidden = geometry.intersection_area(spots, taken).sum(axis=1)
    return spots[int(hidden.argmin())]


def _draw_shares(canvas: Image, box: Box, scores: ExpressionScores, unit: int) -> None:
    """Draw a strip below the box, divided by the probabilities."""
    strip = np.empty((4 * unit, max(8, round(box.width)), 3), np.uint8)
    edges = np.round(np.cumsum([p for _, p in scores.ranked()]) * strip.shape[1])
    start = 0
    for (label, _), edge in zip(scores.ranked(), edges.astype(int), strict=True):
        strip[:, start:edge] = EXPRESSION_COLORS[label]
        start = edge
    strip[:, start:] = strip[:, max(0, start - 1) : max(1, start)]
    _paste(canvas, strip, round(box.x_min), round(box.y_max) + 3 * unit)


@lru_cache(maxsize=256)
def _chip(text: str, color: Color, size_px: int) -> Image:
    """An image of text on a colored background."""
    font = ImageFont.load_default(size_px)
    left, _, right, _ = font.getbbox(text)
    pad = size_px // 3
    width, height = int(right - left) + 2 * pad, int(size_px * 1.25) + pad
    chip = PillowImage.new("RGB", (width, height), color)
    # Dark text on light colors and light text on dark ones, by ITU-R BT.601 luma.
    luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    ink = _INK if luma > 110 else _PAPER
    ImageDraw.Draw(chip).text((pad - left, height / 2), text, fill=ink, font=font, anchor="lm")
    return np.asarray(chip)


def _paste(canvas: Image, patch: Image, x: int, y: int) -> None:
    """Copy a patch into the canvas, moved inside horizontally and clipped vertically."""
    height, width = canvas.shape[:2]
    x = max(0, min(x, width - patch.shape[1]))
    y_end, x_end = min(height, y + patch.shape[0]), min(width, x + patch.shape[1])
    y_start = max(0, y)
    if y_end > y_start and x_end > x:
        canvas[y_start:y_end, x:x_end] = patch[y_start - y : y_end - y, : x_end - x]
