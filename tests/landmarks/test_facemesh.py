"""FaceMesh on the sample photographs."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mien import geometry, imaging
from mien.detection import FaceDetector, build_detector
from mien.errors import SpecError
from mien.landmarks import FaceMesh, LandmarkPredictor, build_landmarks, schemes
from mien.media.images import read_image
from mien.runtime import catalog
from mien.samples import sample_paths
from mien.types import Box, Detection, FloatArray, Image

PEOPLE = [path.stem for path in sample_paths() if path.stem.startswith("person")]


@pytest.fixture(scope="module")
def mesh() -> LandmarkPredictor:
    return build_landmarks()


@cache
def _photograph(name: str) -> Image:
    (path,) = (path for path in sample_paths() if path.stem == name)
    return read_image(path)


@cache
def _detector() -> FaceDetector:
    return build_detector("blazeface")


@cache
def _face(name: str) -> Detection:
    return _detector().detect(_photograph(name))[0]


def _distance(first: FloatArray, second: FloatArray) -> float:
    """Mean distance of points, in distances between the outer corners of the eyes."""
    eyes = np.linalg.norm(first[33, :2] - first[263, :2])
    return float(np.linalg.norm(first[:, :2] - second[:, :2], axis=1).mean() / eyes)


@pytest.mark.parametrize("name", PEOPLE)
def test_points_of_a_face_are_in_plausible_positions(mesh: LandmarkPredictor, name: str) -> None:
    (face,) = mesh.predict(_photograph(name), [_face(name)])
    assert face.scheme == mesh.scheme == "mesh468"
    assert face.points.shape == (468, 3)
    assert face.presence is not None
    assert face.presence > 0.99
    brow, nose, chin = face.points[[9, 4, 152], 1]
    left, right = face.points[[33, 263], 0]
    assert brow < nose < chin
    assert left < face.points[4, 0] < right
    # The tip of the nose is nearer to the camera than the cheeks at the ears.
    assert face.points[4, 2] < face.points[[234, 454], 2].min()


def test_finds_the_same_points_without_the_detectors_eyes(mesh: LandmarkPredictor) -> None:
    name = "person-a-smiling"
    (with_eyes,) = mesh.predict(_photograph(name), [_face(name)])
    (without,) = mesh.predict(_photograph(name), [replace(_face(name), landmarks=None)])
    assert _distance(with_eyes.points, without.points) < 0.02


@pytest.mark.parametrize("angle_deg", [-60.0, -25.0, 40.0])
def test_rotated_image_has_rotated_points(mesh: LandmarkPredictor, angle_deg: float) -> None:
    image = _photograph("person-b-smiling")
    height, width = image.shape[:2]
    turn = geometry.similarity(angle_deg=angle_deg, center=(width / 2, height / 2))
    turned = imaging.warp(image, turn, (width, height))
    (upright,) = mesh.predict(image, [_face("person-b-smiling")])
    (found,) = mesh.predict(turned, _detector().detect(turned)[:1])
    expected = geometry.apply_transform(turn, upright.points[:, :2]).astype(np.float32)
    assert _distance(expected, found.points) < 0.04


def test_presence_is_low_without_a_face(mesh: LandmarkPredictor) -> None:
    wall = np.full((200, 200, 3), 120, np.uint8)
    (points,) = mesh.predict(wall, [Detection(Box(50, 50, 150, 150), 1.0)])
    assert points.presence is not None
    assert points.presence < 0.1


def test_points_extend_beyond_the_edge_of_the_image(mesh: LandmarkPredictor) -> None:
    name = "person-c-neutral"
    box = _face(name).box
    cut = _photograph(name)[:, round(box.x_min + 0.25 * box.width) :]
    (points,) = mesh.predict(cut, _detector().detect(cut)[:1])
    assert points.points[:, 0].min() < 0


def test_predicts_many_faces_in_order_or_none(mesh: LandmarkPredictor) -> None:
    image = _photograph("group")
    faces = _detector().detect(image)
    found = mesh.predict(image, faces)
    assert len(found) == len(faces) == 4
    for face, points in zip(faces, found, strict=True):
        left, right = schemes.eye_centers(points)
        assert face.box.x_min < left[0] < right[0] < face.box.x_max
    assert mesh.predict(image, []) == []


def test_finds_all_faces_of_a_group(mesh: LandmarkPredictor, shared_data: Path) -> None:
    photograph = shared_data / "media" / "five-people.jpg"
    if not photograph.is_file():
        pytest.skip(f"needs a photograph that does not ship: {photograph}")
    image = read_image(photograph)
    found = mesh.predict(image, _detector().detect(image))
    assert [points.presence is not None and points.presence > 0.9 for points in found] == [True] * 5


def test_rejects_models_for_other_tasks_or_without_parameters() -> None:
    with pytest.raises(SpecError, match="landmark model"):
        build_landmarks("blazeface")
    entry = catalog.find("facemesh")
    without = replace(entry, spec=replace(entry.spec, parameters={"scheme": "mesh468"}))
    with pytest.raises(SpecError, match="roi_scale"):
        FaceMesh(without)
