"""The verifier: faces, objects, and what hides a mouth or eyes."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from mien.detection import build_detector, build_verifier
from mien.detection.verifier import FaceVerifier, Looks, evidence, region
from mien.errors import SpecError
from mien.landmarks import build_landmarks
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.samples import sample_paths
from mien.testing import FakeClassifier
from mien.types import Box, Detection, Image, Landmarks

PEOPLE = [path.stem for path in sample_paths() if path.stem.startswith("person")]
JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)


@cache
def _pipeline() -> FacePipeline:
    return FacePipeline(classifier=FakeClassifier())


@cache
def _found(name: str) -> tuple[Image, Detection, Landmarks]:
    (path,) = (path for path in sample_paths() if path.stem == name)
    image = read_image(path)
    (detection,) = build_detector().detect(image)
    (landmarks,) = build_landmarks().predict(image, [detection])
    return image, detection, landmarks


def _masked(name: str) -> Image:
    """With a surgical mask over mouth and nose."""
    image, _, landmarks = _found(name)
    points = landmarks.points[:, :2]
    shape = np.vstack([points[[227]], points[list(JAW)], points[[447, 195]]])
    masked = image.copy()
    cv2.fillPoly(masked, [shape.round().astype(np.int32)], (120, 165, 205))
    return masked


def _with_sunglasses(name: str) -> Image:
    image, _, landmarks = _found(name)
    points = landmarks.points[:, :2]
    unit = float(np.linalg.norm(points[33] - points[263]))
    shaded = image.copy()
    color = (20, 20, 24)
    for inner, outer in ((133, 33), (362, 263)):
        x, y = ((points[inner] + points[outer]) / 2).round().astype(int).tolist()
        axes = round(0.28 * unit), round(0.23 * unit)
        cv2.ellipse(shaded, (x, y), axes, 0, 0, 360, color, -1)
    ends = points[[127, 356]].round().astype(int).tolist()
    cv2.line(shaded, ends[0], ends[1], color, round(0.06 * unit))
    return shaded


def _reasons(image: Image) -> tuple[set[str], bool]:
    """Reasons of the one face, and whether its expression is uncertain."""
    (face,) = _pipeline().analyze(image)
    assert face.quality is not None
    assert face.expression is not None
    return set(face.quality.reasons), face.expression.uncertain


@pytest.mark.parametrize("name", PEOPLE)
def test_a_clear_face_is_a_face_and_not_covered(name: str) -> None:
    image, detection, landmarks = _found(name)
    (verdict,) = build_verifier().verify(image, [detection], [landmarks])
    assert (verdict.presence or 0) > 0.9
    assert verdict.covered == ()


@pytest.mark.parametrize("name", PEOPLE)
def test_a_mask_covers_the_mouth_and_makes_the_expression_uncertain(name: str) -> None:
    reasons, uncertain = _reasons(_masked(name))
    assert {"covered", "mouth covered"} <= reasons
    assert "eyes covered" not in reasons
    assert uncertain


@pytest.mark.parametrize("name", ["person-b-smiling", "person-c-smiling", "person-d-smiling"])
def test_a_blurred_face_is_blurred_and_not_covered(name: str) -> None:
    _, _, landmarks = _found(name)
    sigma = 0.07 * float(np.linalg.norm(landmarks.points[33, :2] - landmarks.points[263, :2]))
    reasons, _ = _reasons(cv2.GaussianBlur(_found(name)[0], (0, 0), sigma))  # type: ignore[arg-type]
    assert reasons == {"blurred"}
    reasons, _ = _reasons(cv2.GaussianBlur(_masked(name), (0, 0), 0.6 * sigma))  # type: ignore[arg-type]
    assert {"covered", "mouth covered"} <= reasons


@pytest.mark.parametrize("name", PEOPLE)
def test_sunglasses_cover_the_eyes(name: str) -> None:
    reasons, uncertain = _reasons(_with_sunglasses(name))
    assert {"covered", "eyes covered"} <= reasons
    assert "mouth covered" not in reasons
    assert uncertain


def test_known_boxes_are_looked_at_and_never_left_out() -> None:
    _, detection, _ = _found(PEOPLE[0])
    boxes = np.array([detection.box.to_array(), (10, 10, 110, 110)])
    faces = _pipeline().analyze(_masked(PEOPLE[0]), boxes=boxes).faces
    assert len(faces) == 2
    assert faces[0].quality is not None
    assert faces[1].quality is not None
    assert "covered" in faces[0].quality.reasons
    assert (faces[1].quality.presence or 0) < 0.05
    assert "unclear" in faces[1].quality.reasons


def test_streams_do_not_use_it() -> None:
    image, detection, landmarks = _found(PEOPLE[0])
    (face,) = _pipeline().describe(image, [detection], landmarks=[landmarks])
    assert face.quality is not None
    assert face.quality.presence == landmarks.presence


def test_several_at_once_are_as_each_alone() -> None:
    (path,) = (path for path in sample_paths() if path.stem == "group")
    image = read_image(path)
    detections = build_detector().detect(image)
    landmarks = build_landmarks().predict(image, detections)
    verifier = build_verifier()
    together = [found.presence for found in verifier.verify(image, detections, landmarks)]
    alone = [
        verifier.verify(image, [detection], [points])[0].presence
        for detection, points in zip(detections, landmarks, strict=True)
    ]
    assert len(together) == 4
    assert together == pytest.approx(alone, abs=1e-4)
    assert verifier.verify(image, [], []) == []


def test_looks_judge_what_the_detector_is_not_sure_of() -> None:
    image, detection, _ = _found(PEOPLE[0])
    nothing = Detection(Box(5, 5, 45, 45), 0.4, detection.landmarks)
    looks = Looks(image, build_landmarks(), build_verifier(), 0.05)
    assert looks.are_upright([detection, nothing]) == [True, False]
    assert looks.may_be_faces([detection, nothing], likely=True) == [True, False]
    assert looks.may_be_faces([nothing, detection]) == [True, True]
    upside_down = np.ascontiguousarray(image[::-1, ::-1])
    other = Looks(upside_down, build_landmarks(), build_verifier(), 0.05)
    assert other.are_upright([detection]) == [False]
    assert looks.at([detection])[0] is looks.at([detection])[0]
    everything = Looks(image, build_landmarks(), build_verifier(), 0.0)
    assert everything.may_be_faces([nothing]) == [True]
    unverified = Looks(image, build_landmarks(), None, 0.05)
    assert unverified.are_upright([detection]) == [False]
    assert unverified.may_be_faces([nothing]) == [True]


def test_evidence_is_the_logits_of_score_and_presence() -> None:
    box = Box(0, 0, 10, 10)
    points = Landmarks(np.zeros((468, 3), np.float32), "mesh468", 0.5)
    assert evidence(Detection(box, 0.75), points).tolist() == pytest.approx([np.log(3), 0])
    assert evidence(Detection(box, 1.0), replace(points, presence=None)).tolist() == [8, -8]


def test_the_region_follows_the_landmarks_only_where_they_are_trusted() -> None:
    _, detection, landmarks = _found(PEOPLE[0])
    moved = replace(detection, box=Box(0, 0, 40, 60), landmarks=None)
    assert region(moved, replace(landmarks, presence=0.2), 1.5).side == 90
    assert region(moved, landmarks, 1.5).side > 90


def test_a_model_without_its_parameters_is_refused() -> None:
    with pytest.raises(SpecError, match="evidence_weights"):
        FaceVerifier(catalog.find("blazeface"))
