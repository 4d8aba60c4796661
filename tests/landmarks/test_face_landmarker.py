"""The Face Landmarker on the sample photographs, beside MediaPipe's own run."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mien.landmarks import FaceMesh, build_blendshapes, build_landmarks, roi_from_landmarks
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.testing import FakeClassifier
from mien.types import BLENDSHAPES, FrameResult, Landmarks


@cache
def _result(name: str) -> FrameResult:
    (path,) = (path for path in sample_paths() if path.stem == name)
    return _pipeline().analyze(read_image(path))


@cache
def _pipeline() -> FacePipeline:
    return FacePipeline(landmarks="face-landmarker", classifier=FakeClassifier())


# Points and blendshapes by MediaPipe 0.10.21 (mediapipe.tasks.vision.FaceLandmarker) with the
# bundle of the same networks, by benchmarks/mediapipe_landmarker.py. It was shown each photograph
# twelve times as a video, so that its region follows from the landmarks.
with np.load(Path(__file__).with_name("mediapipe.npz")) as _FILE:
    _MEDIAPIPE = dict(_FILE)


@pytest.mark.parametrize("name", ["person-a-neutral", "person-a-smiling"])
def test_points_are_those_of_mediapipe(name: str) -> None:
    landmarks, model = _result(name)[0].landmarks, _pipeline().landmarks
    (path,) = (path for path in sample_paths() if path.stem == name)
    assert landmarks is not None
    assert isinstance(model, FaceMesh)
    assert landmarks.scheme == "mesh478"
    assert landmarks.points.shape == (478, 3)
    expected = _MEDIAPIPE[f"{name} points"]
    between_eyes = np.linalg.norm(expected[263] - expected[33])
    for _ in range(3):
        distances = np.linalg.norm(landmarks.points[:, :2] - expected, axis=1) / between_eyes
        assert distances.max() <= 0.01
        landmarks = model.predict_region(read_image(path), roi_from_landmarks(landmarks))


@pytest.mark.parametrize("name", ["person-a-neutral", "person-a-smiling"])
def test_blendshapes_are_those_of_mediapipe(name: str) -> None:
    expected = _MEDIAPIPE[f"{name} blendshapes"]
    model = build_blendshapes("mesh478")
    assert model is not None
    given = model.predict(Landmarks(_MEDIAPIPE[f"{name} points"], "mesh478"))
    assert given is not None
    assert tuple(given) == BLENDSHAPES
    assert [*given.values()] == pytest.approx(expected.tolist(), abs=1e-5)
    # From our own points they differ more: they are sensitive to tenths of a pixel. Those of the
    # region of the detector's box, instead of the landmarks', differ by up to 0.12.
    found = _result(name)[0].blendshapes
    assert found is not None
    differences = np.abs(np.array([*found.values()]) - expected)
    assert differences.mean() <= 0.008
    assert differences.max() <= 0.06


def test_left_is_the_persons_own() -> None:
    # The eye on the left of the image is the person's right one: closing its lids is a right blink.
    (face,) = _result("person-a-neutral")
    assert face.landmarks is not None
    points = face.landmarks.points.copy()
    upper, lower = [246, 161, 160, 159, 158, 157, 173], [7, 163, 144, 145, 153, 154, 155]
    points[upper] = points[lower]
    model = build_blendshapes("mesh478")
    assert model is not None
    values = model.predict(Landmarks(points, "mesh478"))
    assert values is not None
    assert values["eyeBlinkRight"] > 0.5 > values["eyeBlinkLeft"] + 0.3


def test_position_and_size_do_not_matter() -> None:
    (face,) = _result("person-a-smiling")
    model = build_blendshapes("mesh478")
    assert face.landmarks is not None
    assert model is not None
    moved = Landmarks(face.landmarks.points * 0.25 + 1000, "mesh478")
    values = model.predict(moved)
    assert values is not None
    assert dict(values) == pytest.approx(dict(face.blendshapes or {}), abs=1e-3)


def test_other_landmarks_have_no_blendshapes() -> None:
    assert build_blendshapes("mesh468") is None
    model = build_blendshapes("mesh478")
    assert model is not None
    assert model.predict(Landmarks(np.zeros((5, 2), np.float32), "five")) is None


def test_presence_is_low_without_a_face() -> None:
    wall = np.full((200, 200, 3), 120, np.uint8)
    (face,) = _pipeline().analyze(wall, boxes=[(50, 50, 150, 150)])
    assert face.landmarks is not None
    assert face.landmarks.presence is not None
    assert face.landmarks.presence < 0.1


def test_the_default_landmarks_have_no_blendshapes() -> None:
    assert build_landmarks().scheme == "mesh468"
