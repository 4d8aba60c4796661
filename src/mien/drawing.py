"""Drawing results on images, and the areas of faces: blurred, or as pictures of their own."""

import math
import zlib
from collections.abc import Collection
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from mien import geometry, imaging
from mien.errors import InputError
from mien.labels import Expression
from mien.landmarks.schemes import MESH_LINES, is_mesh
from mien.signals.gaze import gaze_arrows
from mien.types import Box, ExpressionScores, Face, FrameResult, Image, Landmarks
from mien.types.contract import check_kind

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

OWN_COLORS: tuple[Color, ...] = (
    *((136, 34, 85), (17, 119, 51), (51, 34, 136)),
    *((153, 153, 51), (170, 68, 153), (68, 170, 153)),
)
"""Of labels beyond the eight; from the muted palette of Paul Tol (SRON note 09-002, 2021)."""


def expression_color(label: Expression) -> Color:
    """The color of an expression; of a model's own label, one that its text decides."""
    return EXPRESSION_COLORS.get(label, OWN_COLORS[own_color(label.value)])


def own_color(label: str) -> int:
    """The index in `OWN_COLORS` of a label beyond the eight."""
    return zlib.crc32(label.encode()) % len(OWN_COLORS)


LAYERS = ("mesh", "gaze", "aus")
"""What :func:`annotate` draws beside boxes and labels where it is wanted."""

_INK: Color = (20, 22, 26)
_PAPER: Color = (255, 255, 255)
_GAZE: Color = (255, 221, 0)
# Relative to the width of the face.
_LABEL_SHARE = 0.2
_SMALLEST_TEXT_PX = 9


def annotate(
    image: npt.ArrayLike,
    result: FrameResult,
    *,
    draw: str | Collection[str] = (),
    landmarks: bool = False,
    extend: bool = False,
) -> Image:
    """Draw the box, label and expression probabilities of each face.

    Uncertain expressions have a question mark and a thinner box, faces of which little can be seen
    (the reason "unclear") a dashed one. Labels never cover a face: they are above, below or beside
    it, smaller where there is less room, and left out where there is none.

    Args:
        image: the analyzed image; it is not modified.
        result: the result for this image.
        draw: what else to draw, one or more of :data:`LAYERS`: ``"mesh"``, landmarks as lines or
            dots; ``"gaze"``, arrows, longer farther from the camera; ``"aus"``, bars for the
            strongest action units, where there is room.
        landmarks: short for ``draw=("mesh", "gaze")``.
        extend: whether to add rows below for labels that would be left out; coordinates stay valid.

    Returns:
        ``(H, W, 3)`` RGB uint8, a new image; larger than the given one only with `extend`.

    Raises:
        InputError: `draw` has another name, or `result` is not a FrameResult.

    Examples:
        >>> import mien
        >>> image = mien.read_image("photo.jpg")
        >>> drawn = mien.annotate(image, mien.analyze(image))
        >>> drawn.shape == image.shape
        True
    """
    check_kind(result, FrameResult, "the result of the image")
    layers = {draw} if isinstance(draw, str) else {*(draw or ())}
    if unknown := sorted(map(str, layers - {*LAYERS})):
        raise InputError(f"expected draw of {', '.join(LAYERS)}, got {', '.join(unknown)}")
    layers |= {"mesh", "gaze"} if landmarks else set()
    canvas = imaging.as_rgb(image).copy()
    # One unit is a thin line when the image is shown on a full screen.
    unit = max(1, round(max(canvas.shape[:2]) / 1000))
    occupied = [_spot(face.box) for face in result.faces]
    for face in result.faces:
        _draw_face(canvas, face, unit, occupied, layers)
    # Labels are drawn last, at positions that do not cover faces or other labels.
    labels, left_out = list[_Spot](), list[tuple[int, Image]]()
    ordered = sorted(result.faces, key=lambda face: face.box.y_max)
    wanted = [(face, _chips(face, face.expression, unit)) for face in ordered if face.expression]
    named = len(wanted)
    if "aus" in layers:
        wanted += [(face, chips) for face in ordered if (chips := _unit_chips(face, unit))]
    for index, (face, chips) in enumerate(wanted):
        hidden = [*occupied, *labels] if index >= named else occupied  # units cover no label
        found = _free_spot(canvas, chips, face.box, unit, occupied=hidden, labels=labels)
        if found is None:
            left_out.append((round(face.box.x_min), chips[0]))
        else:
            chip, spot = found
            canvas[spot[1] : spot[3], spot[0] : spot[2]] = chip
            labels.append(spot)
    return _extended(canvas, left_out) if extend and left_out else canvas


def _draw_face(canvas: Image, face: Face, unit: int, taken: list[_Spot], layers: set[str]) -> None:
    scores = face.expression
    color = expression_color(scores.label) if scores else _PAPER
    sure = scores is not None and not (scores.uncertain or _is_unclear(face))
    points = face.landmarks
    if "mesh" in layers and points is not None:
        _draw_landmarks(canvas, points, unit)
    if "gaze" in layers:
        _draw_gaze(canvas, face, unit)
    x_min, y_min, x_max, y_max = (round(float(v)) for v in face.box.to_array())
    # A dark line under the colored one keeps the box visible on any background.
    line = 2 * unit if sure else unit
    for line_color, thickness in ((_INK, line + 2), (color, line)):
        if _is_unclear(face):
            _draw_dashed(canvas, (x_min, y_min, x_max, y_max), line_color, thickness)
            continue
        cv2.rectangle(canvas, (x_min, y_min), (x_max, y_max), line_color, thickness, cv2.LINE_AA)
    if scores is not None:
        _draw_shares(canvas, face.box, scores, unit, taken)


def _is_unclear(face: Face) -> bool:
    return face.quality is not None and "unclear" in face.quality.reasons


def _draw_dashed(canvas: Image, spot: _Spot, color: Color, thickness: int) -> None:
    """The corners of a box and, where there is room, dashes between them."""
    x_min, y_min, x_max, y_max = spot
    for start, end, low, high in (
        ((x_min, y_min), (x_max, y_min), x_min, x_max),
        ((x_min, y_max), (x_max, y_max), x_min, x_max),
        ((x_min, y_min), (x_min, y_max), y_min, y_max),
        ((x_max, y_min), (x_max, y_max), y_min, y_max),
    ):
        # An odd number of parts, so that there is a dash at both ends.
        parts = max(3, 2 * ((high - low) // (16 * max(1, thickness - 2))) + 1)
        points = np.linspace(start, end, min(parts, 25) + 1).round().astype(int).tolist()
        for first, second in zip(points[::2], points[1::2], strict=True):
            cv2.line(canvas, first, second, color, thickness)


def _draw_landmarks(canvas: Image, landmarks: Landmarks, unit: int) -> None:
    # OpenCV draws at fractions of a pixel when coordinates come in sixteenths, from its middle.
    points = np.round((landmarks.points[:, :2] - 0.5) * 16).astype(np.int32)
    if is_mesh(landmarks):
        for line in MESH_LINES.values():
            path = [points[list(line.indices)]]
            cv2.polylines(canvas, path, line.closed, _PAPER, unit, cv2.LINE_AA, shift=4)
        return
    for x, y in points.tolist():
        cv2.circle(canvas, (x, y), 24 * unit, _PAPER, -1, cv2.LINE_AA, shift=4)


def _draw_gaze(canvas: Image, face: Face, unit: int) -> None:
    for low, high in np.round(gaze_arrows(face)).astype(int).tolist():
        for color, thickness in ((_INK, 2 * unit + 2), (_GAZE, 2 * unit)):
            cv2.arrowedLine(canvas, low, high, color, thickness, cv2.LINE_AA, tipLength=0.25)


def _spot(box: Box) -> _Spot:
    """All pixels that a box touches."""
    x_min, y_min = math.floor(box.x_min), math.floor(box.y_min)
    return x_min, y_min, math.ceil(box.x_max), math.ceil(box.y_max)


def _chips(face: Face, scores: ExpressionScores, unit: int) -> list[Image]:
    """Images of the label and its probability: on one line and on two, usual and small."""
    mark = "?" if scores.uncertain or _is_unclear(face) else ""
    words, number = f"{scores.label.value}{mark}", f"{100 * scores[scores.label]:.0f} %"
    if face.track_id is not None:
        words = f"{face.track_id} · {words}"
    color = expression_color(scores.label)
    usual = max(11, min(18 * unit, round(_LABEL_SHARE * face.box.width)))
    return [
        _chip(text, color, size_px)
        for size_px in dict.fromkeys((usual, 11, _SMALLEST_TEXT_PX))
        for text in (f"{words} {number}", f"{words}\n{number}")
    ]


def _unit_chips(face: Face, unit: int) -> list[Image]:
    """Images of the strongest action units with their bars, usual and small; none at rest."""
    units = [item for item in (face.action_units or {}).items() if item[1] >= 0.1]
    ranked = tuple(sorted(units, key=lambda item: -item[1]))
    usual = max(11, min(18 * unit, round(_LABEL_SHARE * face.box.width)))
    sizes = [(usual, 6), (max(11, usual // 2), 6), (11, 3), (_SMALLEST_TEXT_PX, 2)]
    return [_bars(ranked[:most], size_px) for size_px, most in sizes if ranked]


def _bars(units: tuple[tuple[str, float], ...], size_px: int) -> Image:
    step, words = int(size_px * 1.25), round(3.3 * size_px)
    panel = PillowImage.new("RGB", (words + 5 * size_px, step * len(units)), _INK)
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(size_px)
    for index, (name, value) in enumerate(units):
        top, end = index * step, words + max(1, round(4.6 * size_px * value))
        draw.text((size_px // 3, top + step / 2), name, fill=_PAPER, font=font, anchor="lm")
        draw.rectangle((words, top + step // 4, end, top + 3 * step // 4), fill=_GAZE)
    return np.asarray(panel)


def _free_spot(
    canvas: Image,
    chips: list[Image],
    box: Box,
    unit: int,
    *,
    occupied: list[_Spot],
    labels: list[_Spot],
) -> tuple[Image, _Spot] | None:
    """The first label and position around a box that cover no face and no label.

    Where every position covers a label, it is the one that covers the least, up to a third.
    """
    x_min, y_min, x_max, y_max = _spot(box)
    best, least = None, 1 / 3
    for chip in chips:
        high, wide = chip.shape[:2]
        left, right = x_min - unit, x_max + unit - wide
        above, below = y_min - high, y_max + 8 * unit
        places = [(left, above), (right, above), (left, below), (right, below)]
        places += [
            (x, y) for x in (x_max + unit, x_min - unit - wide) for y in (y_min, y_max - high)
        ]
        places += [(left, y_max + unit)]
        spots = [spot for x, y in places if (spot := _inside(canvas, chip, x, y)) is not None]
        if not spots:
            continue
        free = geometry.intersection_area(spots, occupied).sum(axis=1) == 0
        hidden = geometry.intersection_area(spots, labels).sum(axis=1) / (high * wide)
        for spot, is_free, share in zip(spots, free, hidden, strict=True):
            if is_free and share < least:
                best, least = (chip, spot), float(share)
            if least == 0:
                return best
    return best


def _inside(canvas: Image, patch: Image, x: int, y: int) -> _Spot | None:
    """The position of a patch, moved into the canvas; None if it is larger."""
    (height, width), (high, wide) = canvas.shape[:2], patch.shape[:2]
    if high > height or wide > width:
        return None
    x, y = max(0, min(x, width - wide)), max(0, min(y, height - high))
    return x, y, x + wide, y + high


def _extended(canvas: Image, chips: list[tuple[int, Image]]) -> Image:
    """The canvas with rows below it for labels, which come with the left edges of their faces."""
    width = max(canvas.shape[1], *(chip.shape[1] for _, chip in chips))
    spots: list[_Spot] = []
    for x, chip in sorted(chips, key=lambda item: item[0]):
        high, wide = chip.shape[:2]
        x_min, y_min = max(0, min(x, width - wide)), canvas.shape[0]
        spot = x_min, y_min, x_min + wide, y_min + high
        while geometry.intersection_area([spot], spots).any():
            spot = spot[0], spot[1] + 1, spot[2], spot[3] + 1
        spots.append(spot)
    larger = np.full((max(spot[3] for spot in spots), width, 3), _PAPER, np.uint8)
    larger[: canvas.shape[0], : canvas.shape[1]] = canvas
    for (_, chip), spot in zip(sorted(chips, key=lambda item: item[0]), spots, strict=True):
        larger[spot[1] : spot[3], spot[0] : spot[2]] = chip
    return larger


def _draw_shares(
    canvas: Image, box: Box, scores: ExpressionScores, unit: int, occupied: list[_Spot]
) -> None:
    """Draw a strip divided by the probabilities, below or above the box, and over no face."""
    wide = min(canvas.shape[1], max(8, round(box.width)))
    strip = np.empty((4 * unit, wide, 3), np.uint8)
    edges = np.round(np.cumsum([p for _, p in scores.ranked()]) * strip.shape[1])
    start = 0
    for (label, _), edge in zip(scores.ranked(), edges.astype(int), strict=True):
        strip[:, start:edge] = expression_color(label)
        start = edge
    strip[:, start:] = strip[:, max(0, start - 1) : max(1, start)]
    for y in (round(box.y_max) + 3 * unit, round(box.y_min) - 7 * unit):
        spot = _inside(canvas, strip, round(box.x_min), y)
        if spot is not None and not geometry.intersection_area([spot], occupied).any():
            canvas[spot[1] : spot[3], spot[0] : spot[2]] = strip
            return


@lru_cache(maxsize=256)
def _chip(text: str, color: Color, size_px: int) -> Image:
    """An image of text on a colored background."""
    font = ImageFont.load_default(size_px)
    lines = text.split("\n")
    pad, step = size_px // 3, int(size_px * 1.25)
    width = max(int(font.getlength(line)) + 1 for line in lines) + 2 * pad
    chip = PillowImage.new("RGB", (width, step * len(lines) + pad), color)
    # Dark text on light colors and light text on dark ones, by ITU-R BT.601 luma.
    luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    ink = _INK if luma > 110 else _PAPER
    draw = ImageDraw.Draw(chip)
    for index, line in enumerate(lines):
        center = (pad + step) / 2 + index * step
        draw.text((pad, center), line, fill=ink, font=font, anchor="lm")
    return np.asarray(chip)


# So few blocks across a face identify no one, to people or to face recognition.
_BLUR_BLOCKS = 6


def blur_faces(image: npt.ArrayLike, result: FrameResult) -> Image:
    """Make every detected face unrecognizable by reducing it to a few smoothed blocks.

    Faces that were not detected are not blurred: check the image before you share it.

    Args:
        image: ``(H, W, 3)`` RGB uint8, or what :func:`mien.imaging.as_rgb` accepts.
        result: of the same image.

    Returns:
        ``(H, W, 3)`` RGB uint8, a new image.

    Examples:
        >>> import mien
        >>> image = mien.read_image("photo.jpg")
        >>> blurred = mien.blur_faces(image, mien.analyze(image))
        >>> blurred.shape == image.shape
        True
    """
    check_kind(result, FrameResult, "the result of the image")
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

    `margin` is added on each side, as a share of the box's width and height.

    Returns:
        ``(H, W, 3)`` RGB uint8, at least one pixel; smaller where the image ends.
    """
    pixels = imaging.as_rgb(image)
    height, width = pixels.shape[:2]
    grown = _grown(box, margin)
    x_min = min(max(0, int(grown.x_min)), width - 1)
    y_min = min(max(0, int(grown.y_min)), height - 1)
    x_max, y_max = max(x_min + 1, math.ceil(grown.x_max)), max(y_min + 1, math.ceil(grown.y_max))
    return np.ascontiguousarray(pixels[y_min:y_max, x_min:x_max])


def _grown(box: Box, share: float) -> Box:
    pad_x, pad_y = share * box.width, share * box.height
    return Box(box.x_min - pad_x, box.y_min - pad_y, box.x_max + pad_x, box.y_max + pad_y)
