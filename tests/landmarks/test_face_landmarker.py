"""The Face Landmarker on the sample photographs, beside MediaPipe's own run."""

from functools import cache

import numpy as np
import pytest

from mien.landmarks import build_blendshapes, build_landmarks
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.types import BLENDSHAPES, FrameResult, Landmarks


@cache
def _result(name: str) -> FrameResult:
    (path,) = (path for path in sample_paths() if path.stem == name)
    return _pipeline().analyze(read_image(path))


@cache
def _pipeline() -> FacePipeline:
    return FacePipeline(landmarks="face-landmarker")


# Nose tip, outer corners of the eyes, corners of the mouth and middles of the irises by MediaPipe
# 0.10.21 (mediapipe.tasks.vision.FaceLandmarker) with the bundle of the same networks, in pixels.
# Its region comes from another detector, which moves points by up to 2 % of the eyes' distance.
_MEDIAPIPE_POINTS = {
    "person-a-neutral": [
        *((322.6, 356.9), (250.5, 290.6), (405.0, 292.1), (282.3, 405.5), (366.6, 405.6)),
        *((273.3, 289.0), (383.5, 290.0)),
    ],
    "person-a-smiling": [
        *((315.2, 380.2), (242.8, 317.9), (396.2, 319.3), (265.0, 420.3), (371.1, 420.7)),
        *((265.5, 316.2), (375.6, 317.6)),
    ],
}
_MEDIAPIPE_BLENDSHAPES = {
    "person-a-neutral": {"mouthSmileLeft": 0.0, "eyeLookInRight": 0.269, "jawOpen": 0.0},
    "person-a-smiling": {
        "mouthSmileLeft": 0.790,
        "mouthSmileRight": 0.777,
        "mouthUpperUpLeft": 0.789,
        "mouthUpperUpRight": 0.806,
        "eyeLookInRight": 0.254,
    },
}


@pytest.mark.parametrize("name", _MEDIAPIPE_POINTS)
def test_points_are_those_of_mediapipe(name: str) -> None:
    (face,) = _result(name)
    assert face.landmarks is not None
    assert face.landmarks.scheme == "mesh478"
    assert face.landmarks.points.shape == (478, 3)
    given = face.landmarks.points[[1, 33, 263, 61, 291, 468, 473], :2]
    assert given == pytest.approx(np.array(_MEDIAPIPE_POINTS[name]), abs=3.5)


@pytest.mark.parametrize("name", _MEDIAPIPE_BLENDSHAPES)
def test_blendshapes_are_those_of_mediapipe(name: str) -> None:
    (face,) = _result(name)
    assert face.blendshapes is not None
    assert tuple(face.blendshapes) == BLENDSHAPES
    expected = _MEDIAPIPE_BLENDSHAPES[name]
    given = {key: face.blendshapes[key] for key in expected}
    assert given == pytest.approx(expected, abs=0.1)


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
