"""Regions: the input squares of landmark networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import geometry
from mien.errors import InputError
from mien.landmarks import Region, box_from_landmarks, roi_from_detection, roi_from_landmarks
from mien.types import Box, Detection, Landmarks


def _eyes(angle_deg: float, center: tuple[float, float] = (50.0, 50.0)) -> Landmarks:
    turn = geometry.similarity(angle_deg=angle_deg, center=center)
    x, y = center
    points = geometry.apply_transform(turn, [(x - 10, y), (x + 10, y)])
    return Landmarks(points.astype(np.float32), "eyes2")


@settings(deadline=None)
@given(st.floats(-179, 179))
def test_region_from_detection_is_rotated_by_the_eyes(angle_deg: float) -> None:
    detection = Detection(Box(30, 20, 70, 80), 0.9, _eyes(angle_deg))
    region = roi_from_detection(detection, scale=1.5)
    assert region.center == (50, 50)
    assert region.side == pytest.approx(90)
    assert region.angle_deg == pytest.approx(angle_deg, abs=0.01)


def test_region_from_detection_without_eyes_is_upright() -> None:
    region = roi_from_detection(Detection(Box(0, 0, 10, 20), 1.0), scale=2.0)
    assert region == Region((5.0, 10.0), 40.0, 0.0)


@settings(deadline=None)
@given(st.floats(-170, 170), st.floats(20, 400))
def test_region_from_landmarks_follows_the_face(angle_deg: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    upright = rng.uniform((-0.4, -0.5), (0.4, 0.5), (468, 2))
    upright[[33, 133, 362, 263]] = [(-0.3, -0.1), (-0.1, -0.1), (0.1, -0.1), (0.3, -0.1)]
    upright[:2] = [(-0.4, -0.5), (0.4, 0.5)]
    place = geometry.similarity(scale, angle_deg, (300.0, 200.0))
    points = geometry.apply_transform(place, upright).astype(np.float32)
    region = roi_from_landmarks(Landmarks(points, "mesh468"))
    assert region.center == pytest.approx((300, 200), abs=scale * 1e-3)
    assert region.side == pytest.approx(1.5 * scale, rel=1e-3)
    assert region.angle_deg == pytest.approx(angle_deg, abs=0.05)


def test_transform_maps_the_region_to_the_crop() -> None:
    region = Region((40.0, 60.0), 20.0, 90.0)
    corner = geometry.apply_transform(region.transform(100), [(50.0, 50.0), (40.0, 60.0)])
    assert corner == pytest.approx(np.array([(0.0, 0.0), (50.0, 50.0)]), abs=1e-9)


def test_distance_between_regions() -> None:
    region = Region((0.0, 0.0), 100.0, 0.0)
    assert region.distance(region) == 0
    assert region.distance(Region((6.0, 8.0), 100.0, 0.0)) == pytest.approx(0.1)
    assert region.distance(Region((0.0, 0.0), 110.0, 0.0)) == pytest.approx(np.log(1.1))
    assert region.distance(Region((0.0, 0.0), 100.0, 9.0)) == pytest.approx(0.1)
    near_turn = Region((0.0, 0.0), 100.0, 179.0)
    assert near_turn.distance(Region((0.0, 0.0), 100.0, -179.0)) == pytest.approx(2 / 90)


def test_box_from_landmarks() -> None:
    points = Landmarks(np.array([(3.0, 9.0), (5.0, 1.0), (4.0, 4.0)], np.float32), "five")
    assert box_from_landmarks(points) == Box(3, 1, 5, 9)


@pytest.mark.parametrize("side", [0.0, -1.0, float("nan"), float("inf")])
def test_rejects_regions_without_a_side(side: float) -> None:
    with pytest.raises(InputError, match="positive side"):
        Region((0.0, 0.0), side)
