"""One run of a detector over a view of an image, as :mod:`mien.detection.search` needs it."""

from collections.abc import Iterator, Mapping

import numpy as np

from mien import geometry, imaging
from mien.detection.base import FaceDetector
from mien.detection.blazeface import BlazeFace
from mien.detection.views import View, around, overlaps, pixels_of, turned_back
from mien.imaging import LargeImage
from mien.types import Box, Detection, Image

SAME_IOU = 0.2
"""Boxes that overlap more than this are of the same face."""
# Sides in pixels: of a view beyond the image, of one that is turned, and of one of four copies.
_PADDED_SIZE, _TURNED_SIDE, _COPY_SIZE = 384, 1024, 192
# In a group photograph with 24 pixels a face, a tile of 512 pixels has fewer faces.
_MAX_OF_VIEW = 150


def detect_again(
    image: Image | LargeImage,
    detector: FaceDetector,
    box: Box,
    scale: float,
    min_score: float,
    *,
    closer: bool = False,
    weak_score: float | None = None,
) -> Detection | None:
    """The face at a box, detected in a view of ``scale`` times the box's size.

    The options are those of :meth:`BlazeFace.detect`, where it is the detector.
    """
    view = around(View.of(box), scale)
    weak = None if weak_score is None else {"weak_score": weak_score}
    found = list(detect_in(image, view, detector, min_score, closer=closer, weak=weak))
    if not found:
        return None
    shared = geometry.box_iou([box.to_array()], [other.box.to_array() for other in found])[0]
    nearest = int(shared.argmax())
    return found[nearest] if shared[nearest] > SAME_IOU else None


def detect_in_copies(
    image: Image | LargeImage, detector: FaceDetector, view: View, min_score: float
) -> list[tuple[int, Detection]]:
    """Faces in a square view, shown upright and turned by quarters in one picture.

    Returns:
        The number of quarters by which the copy is turned counterclockwise, and the face in
        pixels of the image.
    """
    if isinstance(image, LargeImage):
        pixels, local, shown, factor = pixels_of(image, view)
        return [
            (turn, found.moved(shown.left, shown.top, factor))
            for turn, found in detect_in_copies(pixels, detector, local, min_score)
        ]
    size, scale = _COPY_SIZE, _COPY_SIZE / view.side
    to_copy = geometry.similarity(scale, 0.0, (-view.left * scale, -view.top * scale))
    copy = imaging.warp(image, to_copy, (size, size), replicate_border=False)
    copies = np.empty((2 * size, 2 * size, 3), np.uint8)
    for turn in range(4):
        row, column = divmod(turn, 2)
        part = copies[row * size : (row + 1) * size, column * size : (column + 1) * size]
        part[...] = np.rot90(copy, turn)
    found = []
    for detection in detector.detect(copies, min_score=min_score)[:_MAX_OF_VIEW]:
        column, row = (int(middle >= size) for middle in detection.box.center)
        turn = 2 * row + column
        upright = turned_back(detection.moved(-column * size, -row * size, 1), turn, size, size)
        moved = upright.moved(view.left, view.top, 1 / scale)
        if overlaps(moved.box, image.shape[1], image.shape[0]):
            found.append((turn, moved))
    return found


def detect_in(
    image: Image | LargeImage,
    view: View,
    detector: FaceDetector,
    min_score: float,
    *,
    turn: int = 0,
    closer: bool = False,
    weak: Mapping[str, float] | None = None,
) -> Iterator[Detection]:
    """Faces in a part of the image, in pixels of the image.

    Args:
        turn: number of quarters by which the part is turned counterclockwise before.
        closer, weak: the options of :meth:`BlazeFace.detect`, where it is the detector.
    """
    if isinstance(image, LargeImage):
        pixels, local, shown, factor = pixels_of(image, view)
        for detection in detect_in(
            pixels, local, detector, min_score, turn=turn, closer=closer, weak=weak
        ):
            moved = detection.moved(shown.left, shown.top, factor)
            if view.shows(moved.box, image.shape[1], image.shape[0]):
                yield moved
        return
    height, width = image.shape[:2]
    scale = 1.0
    if view.left >= 0 and view.top >= 0 and view.right <= width and view.bottom <= height:
        part = image[view.top : view.bottom, view.left : view.right]
        if turn and view.side > _TURNED_SIDE:
            scale = _TURNED_SIDE / view.side
            size_wh = max(1, round(view.width * scale)), max(1, round(view.height * scale))
            part = imaging.resize(part, size_wh)
    else:
        size = _PADDED_SIZE // 2 if closer else _PADDED_SIZE
        scale = size / view.side
        to_part = geometry.similarity(scale, 0.0, (-view.left * scale, -view.top * scale))
        part = imaging.warp(image, to_part, (size, size), replicate_border=False)
    turned = np.ascontiguousarray(np.rot90(part, turn)) if turn else part
    if isinstance(detector, BlazeFace):
        found = detector.detect(turned, min_score=min_score, closer=closer, **(weak or {}))
    else:
        found = detector.detect(turned, min_score=min_score)
    for detection in found[:_MAX_OF_VIEW]:
        upright = turned_back(detection, turn, part.shape[1], part.shape[0])
        moved = upright.moved(view.left, view.top, 1 / scale)
        if view.shows(moved.box, image.shape[1], image.shape[0]):
            yield moved
