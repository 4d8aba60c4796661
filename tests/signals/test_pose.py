"""Head pose of the canonical face, rotated by known angles."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags
from PIL import Image as PillowImage

import mien
from mien.runtime import catalog
from mien.signals import estimate_pose, facing
from mien.signals.pose import RIGID_FACE, HeadPose
from mien.types import Landmarks

SAMPLES = catalog.shipped_folder().parent / "samples"


def _turned(yaw_deg: float, pitch_deg: float, roll_deg: float, noise: float = 0.0) -> Landmarks:
    """The canonical face as a mesh, pitched, then yawed, then rolled by the documented signs."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    # x to the right, y down, z away: up is -y, and a face looks along -z.
    look_up = _matrix("x", -pitch)
    look_right = _matrix("y", -yaw)
    clockwise = _matrix("z", roll)
    rotation = clockwise @ look_right @ look_up
    mesh = np.random.default_rng(3).normal(0, 1, (468, 3))
    for index, point in RIGID_FACE.items():
        mesh[index] = point
    mesh = mesh @ rotation.T * 57.0 + (300.0, 200.0, -10.0)
    mesh += np.random.default_rng(4).normal(0, noise, mesh.shape)
    return Landmarks(mesh.astype(np.float32), "mesh468")


def _matrix(axis: str, angle: float) -> npt.NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    if axis == "x":
        return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    if axis == "y":
        return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _pose(landmarks: Landmarks) -> HeadPose:
    pose = estimate_pose(landmarks)
    assert pose is not None
    return pose


def test_signs_of_the_angles() -> None:
    nose = 4
    for angles, moved in (
        ((30, 0, 0), (1, 0)),  # yaw: the nose goes to the right of the image
        ((0, 30, 0), (0, -1)),  # pitch: the nose goes up
    ):
        before, after = _turned(0, 0, 0).points[nose], _turned(*angles).points[nose]
        change = (after - before)[:2]
        assert change @ np.array(moved) > 10
    left, right = _turned(0, 0, 30).points[[33, 263], :2]
    assert right[1] > left[1]  # roll: clockwise


@settings(deadline=None)
@given(st.floats(-85, 85), st.floats(-80, 80), st.floats(-175, 175))
def test_measures_known_angles(yaw_deg: float, pitch_deg: float, roll_deg: float) -> None:
    pose = _pose(_turned(yaw_deg, pitch_deg, roll_deg))
    assert pose.yaw_deg == pytest.approx(yaw_deg, abs=0.1)
    assert pose.pitch_deg == pytest.approx(pitch_deg, abs=0.1)
    assert pose.roll_deg == pytest.approx(roll_deg, abs=0.1)


def test_noise_changes_the_angles_little() -> None:
    pose = _pose(_turned(20, -10, 5, noise=2.0))
    assert pose.yaw_deg == pytest.approx(20, abs=2)
    assert pose.pitch_deg == pytest.approx(-10, abs=2)
    assert pose.roll_deg == pytest.approx(5, abs=2)


def test_returns_none_without_depth() -> None:
    assert estimate_pose(Landmarks(np.zeros((5, 2), np.float32), "five")) is None
    assert estimate_pose(Landmarks(_turned(0, 0, 0).points[:, :2], "mesh468")) is None


@pytest.mark.parametrize(
    ("yaw_deg", "pitch_deg", "expected"),
    [(0, 0, 1.0), (90, 0, 0.0), (-90, 0, 0.0), (0, 60, 0.5), (60, -60, 0.25), (180, 0, -1.0)],
)
def test_facing_is_the_cosine_to_the_camera(
    yaw_deg: float, pitch_deg: float, expected: float
) -> None:
    assert facing(HeadPose(yaw_deg, pitch_deg, 33.0)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("film_mm", "setting", "expected"),
    [(72, None, 2.0), (28, None, 28 / 36), (None, None, 0.8), (0, None, 0.8), (72, 1.0, 1.0)],
)
def test_distance_follows_the_focal_length_of_the_photograph(
    tmp_path: Path, film_mm: int | None, setting: float | None, expected: float
) -> None:
    """A portrait lens of 72 mm on 36 mm film shows a head as large from 2.5 times the distance."""
    path = tmp_path / "photo.jpg"
    exif = PillowImage.Exif()
    if film_mm is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = film_mm
    with PillowImage.open(SAMPLES / "person-a-neutral.jpg") as sample:
        sample.save(path, exif=exif, quality=95)
    (usual,) = mien.analyze(path, focal_length=0.8)
    (face,) = mien.analyze(path) if setting is None else mien.analyze(path, focal_length=setting)
    assert usual.signals is not None
    assert face.signals is not None
    assert usual.signals.head_z_cm is not None
    assert face.signals.head_z_cm == pytest.approx(usual.signals.head_z_cm * expected / 0.8)
    assert face.signals.head_x_cm == usual.signals.head_x_cm
