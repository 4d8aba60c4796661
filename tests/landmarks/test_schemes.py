"""Landmark schemes and conversions between them."""

import numpy as np
import pytest

from mien.errors import InputError
from mien.landmarks import schemes
from mien.types import Landmarks

MESH = Landmarks(np.arange(468 * 3, dtype=np.float32).reshape(468, 3), "mesh468", 0.9)


def test_ibug68_points_are_distinct_mesh_points() -> None:
    indices = schemes.IBUG68_FROM_MESH
    assert len(set(indices)) == 68
    points = schemes.to_ibug68(MESH)
    assert points.scheme == "ibug68"
    assert points.presence == MESH.presence
    assert (points.points == MESH.points[list(indices)]).all()


def test_schemes_agree_on_eyes_and_lips() -> None:
    ibug = schemes.to_ibug68(MESH)
    for mesh_eye, ibug_eye in zip(
        schemes.EYE_CONTOURS["mesh468"], schemes.EYE_CONTOURS["ibug68"], strict=True
    ):
        assert (MESH.points[list(mesh_eye)] == ibug.points[list(ibug_eye)]).all()
    mesh_lips, ibug_lips = schemes.INNER_LIPS["mesh468"], schemes.INNER_LIPS["ibug68"]
    for part in ("corners", "upper", "lower"):
        a, b = list(getattr(mesh_lips, part)), list(getattr(ibug_lips, part))
        assert (MESH.points[a] == ibug.points[b]).all()
    assert schemes.eye_centers(MESH) == pytest.approx(schemes.eye_centers(ibug))


def test_converts_a_mesh_to_five_points() -> None:
    five = schemes.to_five(MESH)
    assert five.points.shape == (5, 2)
    assert five.points[:2] == pytest.approx(schemes.eye_centers(MESH))
    assert five.points[2:] == pytest.approx(MESH.points[[4, 61, 291], :2])


def test_mesh_lines_use_distinct_points() -> None:
    for line in schemes.MESH_LINES.values():
        assert len(set(line.indices)) == len(line.indices)
        assert set(line.indices) <= set(range(468))
    assert len(schemes.MESH_LINES["face_oval"].indices) == 36
    inner = set(schemes.MESH_LINES["inner_lips"].indices)
    lips = schemes.INNER_LIPS["mesh468"]
    assert inner >= {*lips.upper, *lips.lower}


@pytest.mark.parametrize("convert", [schemes.to_ibug68, schemes.to_five])
def test_rejects_conversion_of_other_schemes(convert: object) -> None:
    assert callable(convert)
    with pytest.raises(InputError, match="mesh478, got 'five'"):
        convert(Landmarks(np.zeros((5, 2), np.float32), "five"))


def test_rejects_unknown_schemes() -> None:
    with pytest.raises(InputError, match="got 'dots'"):
        schemes.eye_centers(Landmarks(np.zeros((3, 2), np.float32), "dots"))


def test_eye_line_angle_is_clockwise() -> None:
    falling = Landmarks(np.array([(0.0, 0.0), (10.0, 10.0)], np.float32), "eyes2")
    assert schemes.eye_line_angle_deg(falling) == pytest.approx(45)
