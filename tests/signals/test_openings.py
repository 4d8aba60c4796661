"""Openings of eyes and mouth."""

import numpy as np
import pytest

from mien.landmarks import schemes
from mien.signals import eye_openings, mouth_opening
from mien.types import Landmarks


def _ibug(left_eye: float, right_eye: float, mouth: float) -> Landmarks:
    """Eyes 20 wide and a mouth 40 wide, opened by these shares of their width."""
    points = np.zeros((68, 2), np.float32)
    for contour, x, opening in (
        (schemes.EYE_CONTOURS["ibug68"][0], 100, left_eye),
        (schemes.EYE_CONTOURS["ibug68"][1], 160, right_eye),
    ):
        half = 10 * opening
        ring = [(0, 0), (6, -half), (14, -half), (20, 0), (14, half), (6, half)]
        points[list(contour)] = np.add(ring, (x, 80))
    lips = schemes.INNER_LIPS["ibug68"]
    points[list(lips.corners)] = [(120, 150), (160, 150)]
    points[list(lips.upper)] = [(130, 150), (140, 150), (150, 150)]
    points[list(lips.lower)] = np.add(points[list(lips.upper)], (0, 40 * mouth))
    return Landmarks(points, "ibug68")


def test_openings_are_heights_divided_by_widths() -> None:
    face = _ibug(left_eye=0.3, right_eye=0.05, mouth=0.6)
    assert eye_openings(face) == pytest.approx((0.3, 0.05))
    assert mouth_opening(face) == pytest.approx(0.6)


def test_openings_are_independent_of_size_and_rotation() -> None:
    face = _ibug(0.25, 0.35, 0.1)
    turn = np.array([[0.0, -3.0], [3.0, 0.0]], np.float32)
    turned = Landmarks(face.points @ turn.T, "ibug68")
    assert eye_openings(turned) == pytest.approx(eye_openings(face))
    assert mouth_opening(turned) == pytest.approx(mouth_opening(face))


def test_returns_none_where_nothing_can_be_measured() -> None:
    few = Landmarks(np.zeros((5, 2), np.float32), "five")
    assert eye_openings(few) is None
    assert mouth_opening(few) is None
    collapsed = Landmarks(np.ones((68, 2), np.float32), "ibug68")
    assert eye_openings(collapsed) is None
    assert mouth_opening(collapsed) is None
