"""Boxes and similarity transforms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import geometry
from mien.errors import InputError

ANGLES = st.floats(-180, 180)
SCALES = st.floats(0.05, 20)
OFFSETS = st.floats(-500, 500)

POINTS = np.array([[0.0, 0.0], [10.0, 2.0], [3.0, 8.0], [-4.0, 5.0]])


def test_iou_of_equal_touching_and_half_covered_boxes() -> None:
    box = (0, 0, 10, 10)
    others = [(0, 0, 10, 10), (10, 0, 20, 10), (5, 0, 15, 10), (2, 2, 4, 4)]
    iou = geometry.box_iou([box], others)
    assert iou == pytest.approx(np.array([[1.0, 0.0, 1 / 3, 0.04]]))


def test_iou_of_no_boxes_and_of_empty_boxes() -> None:
    assert geometry.box_iou([], [(0, 0, 1, 1)]).shape == (0, 1)
    assert geometry.box_iou([(3, 3, 3, 3)], [(3, 3, 3, 3)]) == pytest.approx(np.zeros((1, 1)))


@settings(deadline=None)
@given(SCALES, ANGLES, OFFSETS, OFFSETS)
def test_estimates_a_known_similarity(scale: float, angle_deg: float, x: float, y: float) -> None:
    transform = geometry.similarity(scale, angle_deg, (x, y), (1.0, 2.0))
    found = geometry.estimate_similarity(POINTS, geometry.apply_transform(transform, POINTS))
    assert found == pytest.approx(transform, abs=1e-6 * max(1, scale) * 500)


def test_estimated_similarity_minimizes_the_error() -> None:
    rng = np.random.default_rng(0)
    target = geometry.apply_transform(geometry.similarity(2.0, 30.0), POINTS)
    target += rng.normal(0, 0.5, target.shape)
    found = geometry.estimate_similarity(POINTS, target)

    def error(transform: geometry.Array) -> float:
        return float(((geometry.apply_transform(transform, POINTS) - target) ** 2).sum())

    least = error(found)
    for change in (
        geometry.similarity(1.01),
        geometry.similarity(0.99),
        geometry.similarity(angle_deg=0.5),
        geometry.similarity(angle_deg=-0.5),
        geometry.similarity(translation=(0.1, 0.0)),
        geometry.similarity(translation=(0.0, -0.1)),
    ):
        assert error(geometry.compose(change, found)) > least


def test_estimated_similarity_never_mirrors() -> None:
    mirrored = POINTS * (-1, 1)
    found = geometry.estimate_similarity(POINTS, mirrored)
    assert np.linalg.det(found[:, :2]) >= 0


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ([(0, 0)], [(1, 1)]),
        ([(0, 0), (1, 1)], [(0, 0)]),
        ([(0, 0, 0), (1, 1, 1)], [(0, 0, 0), (1, 1, 1)]),
        ([(2, 2), (2, 2)], [(0, 0), (1, 1)]),
    ],
)
def test_estimate_similarity_rejects_degenerate_points(
    source: list[tuple[float, ...]], target: list[tuple[float, ...]]
) -> None:
    with pytest.raises(InputError, match="expected"):
        geometry.estimate_similarity(source, target)


def test_positive_angles_are_clockwise() -> None:
    right = geometry.apply_transform(geometry.similarity(angle_deg=90), [(1.0, 0.0)])
    assert right == pytest.approx(np.array([[0.0, 1.0]]))  # y points down


@settings(deadline=None)
@given(SCALES, ANGLES, OFFSETS, OFFSETS)
def test_invert_is_the_inverse(scale: float, angle_deg: float, x: float, y: float) -> None:
    transform = geometry.similarity(scale, angle_deg, (x, y))
    identity = geometry.compose(geometry.invert(transform), transform)
    assert identity == pytest.approx(np.array([[1.0, 0, 0], [0, 1, 0]]), abs=1e-6)


def test_invert_rejects_singular_transforms() -> None:
    with pytest.raises(InputError, match="singular"):
        geometry.invert(np.zeros((2, 3)))


def test_compose_applies_the_inner_transform_first() -> None:
    move = geometry.similarity(translation=(10, 0))
    grow = geometry.similarity(2.0)
    point = [(1.0, 1.0)]
    assert geometry.apply_transform(geometry.compose(grow, move), point).tolist() == [[22.0, 2.0]]
    assert geometry.apply_transform(geometry.compose(move, grow), point).tolist() == [[12.0, 2.0]]


def test_apply_transform_scales_depth() -> None:
    moved = geometry.apply_transform(geometry.similarity(3.0, 90.0), [(1.0, 0.0, 2.0)])
    assert moved == pytest.approx(np.array([[0.0, 3.0, 6.0]]))


def test_square_to_frame_makes_a_rotated_square_upright() -> None:
    transform = geometry.square_to_frame((100.0, 50.0), 40.0, 30.0, 80)
    half = 20.0
    upright = np.array([(-half, -half), (half, -half), (half, half), (-half, half)])
    turned = geometry.apply_transform(geometry.similarity(angle_deg=30.0), upright)
    corners = geometry.apply_transform(transform, np.add(turned, (100.0, 50.0)))
    assert corners == pytest.approx(np.array([(0, 0), (80, 0), (80, 80), (0, 80)]), abs=1e-9)
