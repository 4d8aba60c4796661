"""The fake stages keep the contracts of the real ones, and no model is loaded for them."""

import math

import numpy as np
import pytest

from mien.detection import FaceDetector
from mien.expression import ExpressionClassifier
from mien.labels import Expression
from mien.landmarks import LandmarkPredictor, Region, box_from_landmarks, roi_from_landmarks
from mien.media.sources import ArraySource
from mien.runtime.session import Session
from mien.signals import estimate_pose, eye_openings, mouth_opening
from mien.testing import (
    FakeClassifier,
    FakeDetector,
    FakeLandmarks,
    FakePipeline,
    draw_face,
    face_frames,
    face_image,
    face_mesh,
)
from mien.types import Box, Landmarks

BOX = Box(40, 30, 140, 130)


def test_stages_satisfy_the_protocols() -> None:
    assert isinstance(FakeDetector(), FaceDetector)
    assert isinstance(FakeLandmarks(), LandmarkPredictor)
    assert isinstance(FakeClassifier(), ExpressionClassifier)


@pytest.mark.parametrize("expression", list(Expression))
def test_pipeline_reports_the_painted_expression(expression: Expression) -> None:
    (face,) = FakePipeline().analyze(face_image([(BOX, expression)]))
    assert face.expression is not None
    assert face.expression.label is expression
    assert face.expression[expression] == pytest.approx(0.86)
    assert not face.expression.uncertain
    assert face.box == BOX
    assert face.quality is not None
    assert face.quality.reasons == ()


def test_pipeline_sorts_faces_from_left_to_right() -> None:
    boxes = [Box(200, 20, 300, 120), Box(10, 20, 90, 100), Box(110, 120, 180, 190)]
    result = FakePipeline().analyze(face_image((box, "anger") for box in boxes))
    assert [face.box for face in result] == sorted(boxes, key=lambda box: box.x_min)


def test_detector_finds_nothing_in_other_images() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    for image in (noise, np.full((1, 1, 3), 128, np.uint8), face_image()):
        assert FakeDetector().detect(image) == []


def test_detector_respects_min_score_and_counts_calls() -> None:
    detector = FakeDetector([BOX], score=0.6)
    assert [found.box for found in detector.detect(face_image())] == [BOX]
    assert detector.detect(face_image(), min_score=0.7) == []
    assert detector.calls == 2


def test_detector_finds_faces_after_lossy_compression() -> None:
    import cv2

    image = face_image([(BOX, "fear"), (Box(180, 60, 260, 140), "neutral")])
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    found = FakeDetector().detect(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))  # type: ignore[arg-type]
    assert len(found) == 2
    assert found[0].box.to_array() == pytest.approx(BOX.to_array(), abs=4)


def test_mesh_fills_its_box_and_has_the_given_measures() -> None:
    mesh = face_mesh(BOX, eye_opening=0.25, mouth_opening=0.4)
    assert mesh.shape == (468, 3)
    landmarks = Landmarks(mesh, "mesh468", 0.99)
    assert box_from_landmarks(landmarks).to_array() == pytest.approx(BOX.to_array(), abs=1.5)
    assert eye_openings(landmarks) == pytest.approx((0.25, 0.25), abs=0.01)
    assert mouth_opening(landmarks) == pytest.approx(0.4, abs=0.01)
    pose = estimate_pose(landmarks)
    assert pose is not None
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx((0, 0, 0), abs=1.0)


@pytest.mark.parametrize("yaw_deg", [-30, 20])
def test_mesh_turns_by_yaw(yaw_deg: float) -> None:
    pose = estimate_pose(Landmarks(face_mesh(BOX, yaw_deg=yaw_deg), "mesh468"))
    assert pose is not None
    assert pose.yaw_deg == pytest.approx(yaw_deg, abs=0.5)


def test_landmarks_follow_a_moved_face_and_lose_a_gone_one() -> None:
    landmarks, moved = FakeLandmarks(), Box(50, 35, 150, 135)
    (before,) = landmarks.predict(face_image(), FakeDetector([BOX]).detect(face_image()))
    region = roi_from_landmarks(before)
    after = landmarks.predict_region(face_image([(moved, "neutral")]), region)
    assert box_from_landmarks(after).to_array() == pytest.approx(moved.to_array(), abs=1.5)
    assert after.presence == 0.99
    assert landmarks.predict_region(face_image(), region).presence == 0.0
    far = Region((300, 200), 30)
    assert landmarks.predict_region(face_image([(moved, "neutral")]), far).presence == 0.0


def test_classifier_accepts_fixed_probabilities_and_rules() -> None:
    crop = np.full((48, 48, 3), 200, np.uint8)
    (fixed,) = FakeClassifier({"sadness": 3, "fear": 1}).classify([crop])
    assert (fixed["sadness"], fixed["fear"], fixed["anger"]) == (0.75, 0.25, 0)

    def by_brightness(crop: np.ndarray) -> dict[str, float]:
        return {"happiness": float(crop.mean()), "neutral": 255 - float(crop.mean())}

    bright, dark = FakeClassifier(by_brightness).classify([crop, crop // 4])
    assert (bright.top, dark.top) == (Expression.HAPPINESS, Expression.NEUTRAL)
    (unsure,) = FakeClassifier({"fear": 4, "anger": 3, "sadness": 3}).classify([crop])
    assert unsure.uncertain


def test_faces_beyond_the_edge_are_cut_off() -> None:
    image = face_image()
    draw_face(image, Box(-50, 200, 50, 300), "disgust")
    (found,) = FakeDetector().detect(image)
    assert found.box == Box(0, 200, 50, 240)


def test_stream_of_frames_is_one_track_with_one_change() -> None:
    pytest.importorskip("lap", reason="tracking needs lapx")
    from mien.streaming import stream

    pipeline = FakePipeline()
    frames = face_frames(50, size_wh=(160, 120))
    results = list(stream(ArraySource(frames), pipeline=pipeline))
    assert [[face.track_id for face in result] for result in results] == [[1]] * 50
    scores = [result.faces[0].expression for result in results]
    labels = [score.label for score in scores if score is not None]
    changes = [n for n in range(1, 50) if labels[n] is not labels[n - 1]]
    assert len(changes) == 1
    assert 25 <= changes[0] <= 37


def test_same_calls_give_the_same_results() -> None:
    first, second = (FakePipeline().analyze(face_image([(BOX, "fear")])) for _ in range(2))
    assert first.to_dict()["faces"] == second.to_dict()["faces"]
    assert math.isclose(face_frames(3)[1][1], 0.04)


def test_no_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Session) -> None:
        raise AssertionError(f"{self.path} was loaded")

    monkeypatch.setattr(Session, "_load", refuse)
    pipeline = FakePipeline()
    pipeline.warm_up()
    assert len(pipeline.analyze(face_image([(BOX, "anger")]))) == 1
