"""Quality of a face in a photograph that is degraded step by step."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien import geometry, imaging
from mien.detection import build_detector
from mien.landmarks import build_landmarks
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.signals import LIMITS, estimate_pose, measure, measure_face
from mien.types import Box, Detection, Face, Image, Landmarks, Quality


@cache
def _photograph() -> Image:
    (path,) = (path for path in sample_paths() if path.stem == "person-a-neutral")
    return read_image(path)


@cache
def _found() -> tuple[Detection, Landmarks]:
    (detection,) = build_detector("blazeface").detect(_photograph())
    (landmarks,) = build_landmarks().predict(_photograph(), [detection])
    return detection, landmarks


def _quality(image: Image) -> Quality:
    detection, landmarks = _found()
    return measure(image, detection, landmarks, estimate_pose(landmarks))


def test_good_portrait_has_no_reasons() -> None:
    quality = _quality(_photograph())
    assert quality.reasons == ()
    box = _found()[0].box
    assert quality.size_px == pytest.approx(np.sqrt(box.width * box.height))
    # The people of the London set look into the camera.
    assert abs(quality.yaw_deg or 99) < 10
    assert abs(quality.pitch_deg or 99) < 15
    assert abs(quality.roll_deg or 99) < 10
    assert quality.presence is not None
    assert quality.presence > 0.99


@pytest.mark.parametrize(("sigma", "uncertain"), [(8, False), (16, True)])
def test_blurred_faces_of_stills_are_uncertain_however_sure_the_network_is(
    samples: dict[str, Path], sigma: int, uncertain: bool
) -> None:
    image = cv2.GaussianBlur(read_image(samples["person-a-smiling"]), (0, 0), sigma)
    (face,) = FacePipeline().analyze(image)
    assert face.expression is not None
    assert face.quality is not None
    assert max(face.expression.probabilities) > 0.8
    assert ("blurred" in face.quality.reasons, face.expression.uncertain) == (uncertain, uncertain)


def test_blur_lowers_sharpness_until_it_is_a_reason() -> None:
    image = _photograph()
    blurred = [image]
    blurred += [cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8) for sigma in (4, 8, 24)]
    sharpness = [_quality(step).sharpness or 0 for step in blurred]
    assert sharpness == sorted(sharpness, reverse=True)
    sharp, dull = _quality(image), replace(LIMITS, min_sharpness=sharpness[1])
    detection, landmarks = _found()
    assert "blurred" not in sharp.reasons
    assert "blurred" in _quality(blurred[-1]).reasons
    assert measure(blurred[2], detection, landmarks, limits=dull).reasons == ("blurred",)


def test_reports_dark_and_bright() -> None:
    image = _photograph()
    assert "dark" in _quality((image * 0.03).astype(np.uint8)).reasons
    burned = np.clip(image.astype(np.int32) * 8 + 120, 0, 255).astype(np.uint8)
    assert "bright" in _quality(burned).reasons
    assert _quality(np.full_like(image, 51)).brightness == pytest.approx(0.2)


def test_reports_small() -> None:
    detection, _ = _found()
    tiny = replace(detection, box=Box(300, 300, 308, 308), landmarks=None)
    quality = measure(_photograph(), tiny)
    assert "small" in quality.reasons
    assert quality.size_px == pytest.approx(8)
    assert quality.yaw_deg is None
    assert quality.presence is None


def test_reports_cut_off() -> None:
    detection, landmarks = _found()
    left = round(float(np.median(landmarks.points[:, 0])))
    shift = np.array([left, 0, 0], np.float32)
    moved = Landmarks(landmarks.points - shift, landmarks.scheme, landmarks.presence)
    assert "cut off" in measure(_photograph()[:, left:], detection, moved).reasons
    half_outside = Detection(Box(-50, 100, 50, 200), 0.9)
    assert "cut off" in measure(_photograph(), half_outside).reasons


def test_reports_turned_tilted_and_unclear() -> None:
    detection, landmarks = _found()
    pose = estimate_pose(landmarks)
    assert pose is not None
    image = _photograph()
    for change, reason in (
        ({"yaw_deg": LIMITS.max_yaw_deg + 1}, "turned"),
        ({"pitch_deg": -LIMITS.max_pitch_deg - 1}, "turned"),
        ({"roll_deg": LIMITS.max_roll_deg + 1}, "tilted"),
    ):
        worse = replace(pose, **change)  # type: ignore[arg-type]
        assert measure(image, detection, landmarks, worse).reasons == (reason,)
    unclear = replace(landmarks, presence=LIMITS.min_presence / 2)
    assert measure(image, detection, unclear, pose).reasons == ("unclear",)


def test_measures_are_independent_of_rotation() -> None:
    detection, landmarks = _found()
    image = _photograph()
    height, width = image.shape[:2]
    turn = geometry.similarity(angle_deg=35.0, center=(width / 2, height / 2))
    points = geometry.apply_transform(turn, landmarks.points).astype(np.float32)
    turned = replace(landmarks, points=points)
    upright = _quality(image)
    tilted = measure(imaging.warp(image, turn, (width, height)), detection, turned)
    assert tilted.brightness == pytest.approx(upright.brightness, abs=0.02)
    assert tilted.sharpness == pytest.approx(upright.sharpness, rel=0.35)


def test_measure_face_adds_what_can_be_measured() -> None:
    detection, landmarks = _found()
    face = measure_face(_photograph(), Face(detection, landmarks=landmarks))
    assert face.quality is not None
    assert face.signals is not None
    assert face.signals.facing == pytest.approx(1, abs=0.05)
    assert 0.15 < (face.signals.eye_opening_left or 0) < 0.45
    assert 0.15 < (face.signals.eye_opening_right or 0) < 0.45
    assert 0 <= (face.signals.mouth_opening or 0) < 0.1
    assert face.signals.expressivity is None
    assert face.affect is None
    bare = measure_face(_photograph(), Face(detection))
    assert bare.signals is not None
    assert bare.signals.facing is None
    assert bare.quality is not None
    assert bare.quality.yaw_deg is None
