from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from mien.drawing import EXPRESSION_COLORS, annotate, blur_faces, cut_out
from mien.errors import InputError
from mien.labels import Expression
from mien.types import (
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    Gaze,
    Image,
    Landmarks,
    Quality,
)

LABELS = (Expression.NEUTRAL, Expression.HAPPINESS)


def _result(box: Box, size_wh: tuple[int, int], *, uncertain: bool = False) -> FrameResult:
    scores = ExpressionScores(LABELS, np.array([0.1, 0.9], np.float32), uncertain=uncertain)
    return FrameResult((Face(Detection(box, 0.9), expression=scores),), size_wh)


def _noise(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_every_expression_has_its_own_color() -> None:
    assert set(EXPRESSION_COLORS) == set(Expression)
    assert len(set(EXPRESSION_COLORS.values())) == len(Expression)


def test_does_not_modify_the_image() -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    drawn = annotate(image, _result(Box(40, 40, 100, 100), (160, 120)))
    assert not image.any()
    assert drawn.any()


def test_box_has_the_color_of_the_expression() -> None:
    drawn = annotate(np.zeros((120, 160, 3), np.uint8), _result(Box(40, 40, 100, 100), (160, 120)))
    assert tuple(drawn[70, 40]) == EXPRESSION_COLORS[Expression.HAPPINESS]


def test_uncertain_expressions_are_drawn_differently() -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    box = Box(40, 40, 100, 100)
    sure = annotate(image, _result(box, (160, 120)))
    unsure = annotate(image, _result(box, (160, 120), uncertain=True))
    assert not np.array_equal(sure, unsure)


def test_boxes_of_unclear_faces_are_dashed() -> None:
    image, box = np.zeros((120, 160, 3), np.uint8), Box(40, 40, 100, 100)
    sure = _result(box, (160, 120))
    quality = Quality(size_px=60, presence=0.1, reasons=("unclear",))
    unclear = FrameResult((replace(sure.faces[0], quality=quality),), (160, 120))
    color = EXPRESSION_COLORS[Expression.HAPPINESS]
    solid, dashed = (annotate(image, result)[41:100, 40] == color for result in (sure, unclear))
    assert solid.all()
    assert 0.2 < dashed.all(axis=1).mean() < 0.8
    # Both ends of a side are drawn, so the corners show where the face is.
    assert dashed[:5].all()
    assert dashed[-5:].all()


@pytest.mark.parametrize(
    "box",
    [Box(-50, -40, 30, 30), Box(150, 110, 400, 300), Box(-9, -9, 170, 130), Box(0, 0, 2, 2)],
)
def test_draws_boxes_beyond_the_image(box: Box) -> None:
    image = _noise(120, 160)
    assert annotate(image, _result(box, (160, 120))).shape == image.shape
    assert blur_faces(image, _result(box, (160, 120))).shape == image.shape


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 500), (3000, 20)])
def test_draws_on_unusual_sizes(size_wh: tuple[int, int]) -> None:
    image = _noise(size_wh[1], size_wh[0])
    assert annotate(image, _result(Box(0, 0, 50, 50), size_wh)).shape == image.shape


def test_blur_removes_detail_only_in_faces() -> None:
    image = _noise(200, 200)
    blurred = blur_faces(image, _result(Box(60, 60, 140, 140), (200, 200)))
    assert blurred[80:120, 80:120].std() < image[80:120, 80:120].std() / 4
    assert np.array_equal(blurred[:20], image[:20])


def test_labels_do_not_cover_neighboring_faces() -> None:
    scores = ExpressionScores(LABELS, np.array([0.1, 0.9], np.float32))
    boxes = [Box(100, 100, 140, 140), Box(145, 100, 185, 140), Box(120, 30, 160, 70)]
    faces = tuple(Face(Detection(box, 0.9), expression=scores) for box in boxes)
    drawn = annotate(np.zeros((300, 400, 3), np.uint8), FrameResult(faces, (400, 300)))
    for box in boxes:
        inner = drawn[int(box.y_min) + 4 : int(box.y_max) - 4, int(box.x_min) + 4 : -4]
        assert not inner[:, : int(box.width) - 8].any()


@pytest.mark.parametrize(("scheme", "count"), [("mesh468", 468), ("eyes2", 2), ("none", 0)])
def test_draws_landmarks_at_their_positions(scheme: str, count: int) -> None:
    points = np.full((count, 2), 70.5, np.float32)
    face = Face(Detection(Box(20, 20, 120, 120), 0.9), landmarks=Landmarks(points, scheme))
    drawn = annotate(
        np.zeros((140, 140, 3), np.uint8), FrameResult((face,), (140, 140)), landmarks=True
    )
    assert drawn[70, 70].any() == bool(count)
    assert not drawn[30:60, 30:60].any()


def _labels_alone(result: FrameResult, size_wh: tuple[int, int], *, extend: bool = False) -> Any:
    """Where labels and strips are: True for pixels that differ from the boxes drawn alone."""
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    bare = FrameResult(tuple(replace(face, expression=None) for face in result.faces), size_wh)
    drawn = annotate(image, result, extend=extend)
    boxes = np.zeros_like(drawn)
    boxes[: size_wh[1], : size_wh[0]] = annotate(image, bare)
    return (drawn != boxes).any(axis=2)


def _faces(boxes: Sequence[Box], size_wh: tuple[int, int]) -> FrameResult:
    scores = ExpressionScores(LABELS, np.array([0.1, 0.9], np.float32))
    faces = tuple(Face(Detection(box, 0.9), expression=scores) for box in boxes)
    return FrameResult(faces, size_wh)


def _has_label(pixels: Any, box: Box) -> bool:
    outside = pixels.copy()
    outside[int(box.y_min) - 4 : int(box.y_max) + 5, int(box.x_min) - 4 : int(box.x_max) + 5] = (
        False
    )
    return int(outside.sum()) > 300


@pytest.mark.parametrize(
    "box",
    [
        Box(30, 30, 120, 120),
        Box(20, 5, 130, 125),
        Box(45.4, 40.7, 105.2, 108.9),
        Box(0, 0, 100, 150),
        Box(50, 0, 150, 150),
        Box(-20, -20, 100, 120),
        Box(0, 22, 150, 150),
    ],
)
def test_labels_are_beside_the_face_in_small_images(box: Box) -> None:
    pixels = _labels_alone(_result(box, (150, 150)), (150, 150))
    assert pixels.shape == (150, 150)
    inner = pixels[max(0, int(box.y_min) + 4) : int(box.y_max) - 3]
    assert not inner[:, max(0, int(box.x_min) + 4) : int(box.x_max) - 3].any()
    assert _has_label(pixels, box)


@pytest.mark.parametrize("size", [24, 48, 150])
def test_labels_are_below_an_image_that_a_face_fills(size: int) -> None:
    box = Box(0, 0, size, size)
    result = _result(box, (size, size))
    assert not _labels_alone(result, (size, size))[4:-4, 4:-4].any()
    pixels = _labels_alone(result, (size, size), extend=True)
    assert not pixels[4 : size - 4, 4 : size - 4].any()
    assert pixels[size:].sum() > 300


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size_wh", [(150, 150), (320, 240), (1600, 1200)])
def test_labels_never_cover_a_face_among_many(seed: int, size_wh: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    boxes = []
    for _ in range(30):
        side = random.uniform(0.06, 0.3) * size_wh[0]
        x, y = random.uniform(-0.1, 1, 2) * size_wh
        boxes.append(Box(x, y, x + side, y + side))
    result = _faces(boxes, size_wh)
    # Boxes are lines in both, at most three pixels on each side of an edge.
    for extend in (False, True):
        pixels = _labels_alone(result, size_wh, extend=extend)
        edges = np.zeros(pixels.shape, bool)
        for box in boxes:
            x_min, y_min, x_max, y_max = (round(v) for v in box.to_array().tolist())
            for x in (x_min, x_max):
                edges[max(0, y_min - 4) : max(0, y_max + 5), max(0, x - 4) : max(0, x + 5)] = True
            for y in (y_min, y_max):
                edges[max(0, y - 4) : max(0, y + 5), max(0, x_min - 4) : max(0, x_max + 5)] = True
        for box in boxes:
            x_min, y_min, x_max, y_max = (max(0, round(v)) for v in box.to_array().tolist())
            part = (pixels & ~edges)[y_min : min(y_max, size_wh[1]), x_min : min(x_max, size_wh[0])]
            assert not part.any()


def test_cuts_out_a_face_with_a_margin() -> None:
    image = _noise(100, 100)
    assert np.array_equal(cut_out(image, Box(40, 40, 60, 60)), image[34:66, 34:66])
    assert np.array_equal(cut_out(image, Box(-10, 80, 10, 120), margin=0), image[80:, :10])
    assert cut_out(image, Box(200, 200, 220, 220)).shape == (1, 1, 3)


def test_draws_the_gaze_from_the_irises() -> None:
    points = np.full((478, 3), 40, np.float32)
    points[[468, 473], :2] = (50, 60), (90, 60)
    face = Face(
        Detection(Box(20, 20, 120, 120), 0.9),
        landmarks=Landmarks(points, "mesh478"),
        gaze=Gaze(yaw_deg=30.0, pitch_deg=0.0),
    )
    image = np.zeros((140, 140, 3), np.uint8)
    drawn = annotate(image, FrameResult((face,), (140, 140)), landmarks=True)
    # 40 pixels apart: half of it to the right at 30 degrees.
    assert (drawn[60, 52:68] == (255, 221, 0)).all()
    assert (drawn[60, 78] == 0).all()


def test_draws_the_layers_that_are_named_and_no_others() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    points = np.random.default_rng(0).uniform(40, 100, (478, 3)).astype(np.float32)
    face = Face(
        Detection(Box(20, 20, 120, 120), 0.9),
        landmarks=Landmarks(points, "mesh478"),
        gaze=Gaze(yaw_deg=60.0, pitch_deg=0.0),
        action_units={"AU12": 1.0, "AU6": 0.5, "AU4": 0.05},
    )
    result = FrameResult((face,), (400, 200))
    bare = annotate(image, result)
    for layer, color in (("mesh", (255, 255, 255)), ("aus", (255, 221, 0))):
        drawn = annotate(image, result, draw=[layer])
        changed = (drawn != bare).any(axis=2)
        assert (drawn[changed] == color).all(axis=1).any()
    outside = np.ones(image.shape[:2], bool)
    outside[20:121, 20:121] = False
    bars = (annotate(image, result, draw=["aus"]) == (255, 221, 0)).all(axis=2) & outside
    lengths = bars.sum(axis=1)
    # Two bars, one twice as long as the other; a unit below a tenth has none.
    assert set(lengths[lengths > 0].tolist()) == {lengths.max(), (lengths.max() + 1) // 2}
    with pytest.raises(InputError, match="expected draw of mesh, gaze, aus, got nose"):
        annotate(image, result, draw=["nose"])
    assert np.array_equal(
        annotate(image, result, draw="aus"), annotate(image, result, draw=["aus"])
    )
    with pytest.raises(InputError, match="result of the image as FrameResult, got NoneType"):
        annotate(image, cast("Any", None))
