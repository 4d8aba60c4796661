import numpy as np
import pytest

from mien.drawing import EXPRESSION_COLORS, annotate, blur_faces
from mien.labels import Expression
from mien.types import Box, Detection, ExpressionScores, Face, FrameResult, Image, Landmarks

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
