"""Gaze from made irises in eyes of a known shape."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mien.landmarks import FaceMesh, Region
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.samples import sample_paths
from mien.signals import HeadPose, estimate_gaze, with_sure_gaze
from mien.signals.gaze import mirrored_gaze
from mien.streaming.gaze import GazeCheck
from mien.testing import FakeClassifier
from mien.types import Face, Image, Landmarks

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


class Reflections(FaceMesh):
    """Sees irises in the mirror image that are moved to the right, by widths of an eye."""

    moved = 0.0

    def predict_mirrored(self, image: Image, region: Region) -> Landmarks:
        found = super().predict_mirrored(image, region)
        points = found.points.copy()
        points[468:, 0] += self.moved * np.linalg.norm(points[263] - points[362])
        return replace(found, points=points)


@pytest.fixture(scope="module")
def model() -> Reflections:
    return Reflections(catalog.find("face-landmarker"))


@pytest.fixture(scope="module")
def photograph() -> tuple[Image, Face]:
    (path,) = (path for path in sample_paths() if path.stem == "person-a-neutral")
    image = read_image(path)
    (face,) = _pipeline().analyze(image)
    assert face.gaze is not None
    return image, face


def _pipeline() -> FacePipeline:
    return FacePipeline(landmarks="face-landmarker", classifier=FakeClassifier())


def test_a_mirror_image_has_the_mirrored_gaze(photograph: tuple[Image, Face]) -> None:
    image, face = photograph
    (other,) = _pipeline().analyze(np.ascontiguousarray(image[:, ::-1]))
    assert face.gaze is not None
    assert other.gaze is not None
    assert (-other.gaze.yaw_deg, other.gaze.pitch_deg) == pytest.approx(
        (face.gaze.yaw_deg, face.gaze.pitch_deg), abs=1
    )


def test_a_gaze_that_the_mirror_image_denies_is_unknown(
    model: Reflections, photograph: tuple[Image, Face]
) -> None:
    image, face = photograph
    # An iris is a third of the eye wide: by a tenth of the eye, the gaze turns by 18 degrees.
    for model.moved, is_sure in ((0.0, True), (0.05, True), (0.12, False)):
        assert (with_sure_gaze(image, face, model).gaze is not None) == is_sure


def test_the_gaze_of_a_track_is_compared_every_two_seconds(
    model: Reflections, photograph: tuple[Image, Face]
) -> None:
    image, face = photograph
    assert face.gaze is not None
    model.moved = 0.0
    by_mirror = mirrored_gaze(image, face, model)
    assert by_mirror is not None
    check = GazeCheck()
    for second in range(0, 16, 2):
        found = check.apply(image, face, model, float(second)).gaze
    # Half of a lasting difference is added.
    assert found is not None
    assert found.yaw_deg == pytest.approx((face.gaze.yaw_deg + by_mirror.yaw_deg) / 2, abs=0.1)
    model.moved = 0.12
    assert check.apply(image, face, model, 15.5).gaze is not None
    hidden = [check.apply(image, face, model, 16.0 + second).gaze for second in range(0, 8, 2)]
    assert hidden[-1] is None
    model.moved = 0.0
    shown = [check.apply(image, face, model, 24.0 + second).gaze for second in range(0, 12, 2)]
    assert shown[-1] is not None
