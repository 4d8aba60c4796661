"""Gaze from made irises in eyes of a known shape."""

import math

import numpy as np
import pytest

from mien.signals import HeadPose, estimate_gaze
from mien.types import Landmarks

STRAIGHT = HeadPose(0.0, 0.0, 0.0)
# Eyes of 30 units: the corners of both, and the center of the iris at rest.
CORNERS = {33: (0.0, 0.0), 133: (30.0, 0.0), 362: (60.0, 0.0), 263: (90.0, 0.0)}
# Irises and lids above the corners of straight eyes, and how far a sine of 1 would move both.
IRIS_ABOVE, IRIS_RADIUS = 0.090 * 30, 9.6
LID_ABOVE = (0.624 - 1.85 * 0.090) / 2.08 * 30
DOWN_BY_SINE = 30 / (1.85 + 2.08)


def eyes(
    right: float = 0.0, down: float = 0.0, roll_deg: float = 0.0, opening: float = 0.3
) -> Landmarks:
    """A mesh whose irises, and down also lids, are moved from their rest, turned as a whole.

    The lower lids are an opening, in widths of an eye, below the upper ones.
    """
    points = np.zeros((478, 3), np.float32)
    for index, place in CORNERS.items():
        points[index, :2] = place
    for iris, x in ((468, 15.0), (473, 75.0)):
        points[iris : iris + 5, :2] = x + right, down - IRIS_ABOVE
    for lid, x in (((158, 159, 160), 15.0), ((385, 386, 387), 75.0)):
        points[list(lid), :2] = x, down - LID_ABOVE
    for lower, x in (((144, 153), 15.0), ((373, 380), 75.0)):
        points[list(lower), :2] = x, down - LID_ABOVE + 30 * opening
    angle = math.radians(roll_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn.T
    return Landmarks(points, "mesh478")


@pytest.mark.parametrize("angle_deg", [-30, -10, 0, 10, 30])
@pytest.mark.parametrize("roll_deg", [0.0, 25.0])
def test_an_iris_that_is_turned_shows_its_angle(angle_deg: float, roll_deg: float) -> None:
    sine = math.sin(math.radians(angle_deg))
    pose = HeadPose(0.0, 0.0, roll_deg)
    to_side = estimate_gaze(eyes(right=IRIS_RADIUS * sine, roll_deg=roll_deg), pose)
    downward = estimate_gaze(eyes(down=DOWN_BY_SINE * sine, roll_deg=roll_deg), pose)
    assert to_side is not None
    assert downward is not None
    assert (to_side.yaw_deg, to_side.pitch_deg) == pytest.approx((angle_deg, 0), abs=0.1)
    assert (downward.yaw_deg, downward.pitch_deg) == pytest.approx((0, -angle_deg), abs=0.1)


def test_a_turned_head_with_straight_eyes_looks_where_it_points() -> None:
    # Eyes straight in a head turned by 20 degrees: the iris leads the corners by 2.4 mm of depth.
    turn = math.radians(20)
    landmarks = eyes()
    points = landmarks.points.copy()
    points[:, 0] *= math.cos(turn)
    points[468:, 0] += (IRIS_RADIUS - 7.2) * math.sin(turn)
    gaze = estimate_gaze(Landmarks(points, "mesh478"), HeadPose(20.0, 0.0, 0.0))
    assert gaze is not None
    assert gaze.yaw_deg == pytest.approx(20, abs=0.1)


def test_closed_and_hidden_eyes_have_no_gaze() -> None:
    assert estimate_gaze(eyes(), STRAIGHT, (0.9, 0.9)) is None
    assert estimate_gaze(eyes(), STRAIGHT, (0.9, 0.0)) is not None
    # The blendshape of closed lids is often below its limit.
    assert estimate_gaze(eyes(opening=0.11), STRAIGHT, (0.5, 0.5)) is None
    assert estimate_gaze(eyes(opening=0.13), STRAIGHT, (0.5, 0.5)) is not None
    assert estimate_gaze(eyes(), HeadPose(70.0, 0.0, 0.0)) is None
    assert estimate_gaze(eyes(), None) is None
    other = Landmarks(np.zeros((468, 3), np.float32), "mesh468")
    assert estimate_gaze(other, STRAIGHT) is None


def test_a_winking_eye_does_not_change_the_gaze() -> None:
    both = estimate_gaze(eyes(), STRAIGHT)
    winking = eyes().points.copy()
    # The lids of the right eye in the image are closed to a half, the upper one is lower.
    winking[[385, 386, 387], 1] += 0.15 * 30
    # Its iris is that of another eye; those of both lie outside the middle of the corners.
    winking[473:, 0] += 5
    winking[468:473, 0] -= 0.12 * IRIS_RADIUS
    found = estimate_gaze(Landmarks(winking, "mesh478"), STRAIGHT)
    assert both is not None
    assert found is not None
    assert (found.yaw_deg, found.pitch_deg) == pytest.approx(
        (both.yaw_deg, both.pitch_deg), abs=1e-3
    )
