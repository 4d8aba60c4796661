"""Blocks of a frame are found in the frame before: a shaking camera is not another scene."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien import imaging
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.tracking import SceneCutDetector, coarse
from mien.tracking.blocks import camera_motion, is_found
from mien.types import Box, Image

pytest.importorskip("lap", reason="tracking needs lapx")


@pytest.fixture(scope="module")
def group(samples: dict[str, Path]) -> Image:
    return imaging.resize(read_image(samples["group"]), (960, 540))


def view(image: Image, x: float, y: float, zoom: float = 1.0, turn_deg: float = 0.0) -> Image:
    """640 by 360 pixels around a point."""
    matrix = cv2.getRotationMatrix2D((x, y), turn_deg, zoom)
    matrix[:, 2] += np.array([320 - x, 180 - y])
    seen = cv2.warpAffine(image, matrix, (640, 360), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen, np.uint8)


def blurred(image: Image, size_wh: tuple[int, int]) -> Image:
    return np.asarray(cv2.blur(image, size_wh), np.uint8)


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        pytest.param({"x": 580.0}, (-100, 0), id="shake"),
        pytest.param({"y": 210.0}, (0, 60), id="up"),
        pytest.param({"zoom": 1.12}, (0, 0), id="zoom"),
        pytest.param({"turn_deg": 5.0}, (0, 0), id="turn"),
    ],
)
def test_a_moving_camera_shows_the_same_scene(
    group: Image, change: dict[str, float], moved: tuple[float, float]
) -> None:
    before, after = view(group, 480, 270), view(group, **({"x": 480, "y": 270} | change))
    found = camera_motion(before, (0.6 * after + 60).astype(np.uint8))
    assert found == pytest.approx(moved, abs=30 if moved == (0, 0) else 8)


def test_another_picture_is_another_scene(group: Image, samples: dict[str, Path]) -> None:
    before = view(group, 480, 270)
    for name in ("person-a-neutral", "person-b-smiling"):
        other = imaging.resize(read_image(samples[name]), (640, 360))
        assert camera_motion(before, other) is None
    assert camera_motion(before, np.full_like(before, 128)) is None


def test_a_face_is_found_until_it_has_left(samples: dict[str, Path]) -> None:
    person, other = (read_image(samples[f"person-{letter}-neutral"]) for letter in "ab")
    (face,) = FacePipeline().detect(person)
    box, width = face.box, person.shape[1]
    pushed = np.roll(person, round(width - box.center[0]), axis=1)
    at_border = box.moved(width - box.center[0] - 20, 0)
    expected = box.moved(width - box.center[0], 0)
    assert is_found(np.roll(pushed, -20, axis=1), blurred(pushed, (15, 5)), at_border, expected)
    assert not is_found(person, other, box, box)
    far = Box(10_000, 10_000, 10_100, 10_100)
    assert not is_found(person, person, far, far)


def test_faces_before_a_shaking_camera_are_one_track_each(group: Image) -> None:
    stream, kinds = FaceStream(FacePipeline(), StreamSettings(expressions=False)), []
    for number in range(10):
        # Back and forth by 100 pixels, blurred every other time.
        frame = view(group, 480 + 80 * (-1) ** (number // 2), 270 + 30 * (-1) ** number, 0.6)
        frame = blurred(frame, (21, 9)) if number % 2 else frame
        faces = stream.update(frame, number / 25).faces
        kinds += [event.kind for event in stream.events]
    assert "scene_cut" not in kinds
    assert kinds.count("track_started") == len(faces) == 4


def test_who_passes_close_before_the_camera_is_no_cut(samples: dict[str, Path]) -> None:
    picture = imaging.resize(read_image(samples["person-a-neutral"])[100:640], (640, 360))
    stream, kinds = FaceStream(FacePipeline(), StreamSettings(expressions=False)), []
    for number in range(30):
        frame = np.roll(picture, number % 2, axis=1)
        start = 60 * (number - 9)
        frame[:, max(0, start) : max(0, start + 420)] = (24, 20, 16)
        stream.update(frame, number / 25)
        kinds += [event.kind for event in stream.events]
    assert "scene_cut" not in kinds
    assert kinds.count("track_started") == 1


def test_people_who_cross_before_a_blank_wall_are_not_the_camera(samples: dict[str, Path]) -> None:
    names = ("person-a-neutral", "person-c-smiling")
    portraits = [read_image(samples[name])[120:720, 120:640] for name in names]
    people = [imaging.resize(portrait, (250, 300)) for portrait in portraits]
    stream, ids = FaceStream(FacePipeline(), StreamSettings(expressions=False)), set()
    for number in range(26):
        frame = np.full((360, 960, 3), 128, np.uint8)
        for person, x in zip(
            people, (round(26.7 * number), 700 - round(26.7 * number)), strict=True
        ):
            frame[30:330, max(0, x) : x + 250] = person[:, max(0, -x) :]
        ids |= {face.track_id for face in stream.update(frame, number / 15).faces}
    assert ids == {1, 2}


def test_noise_on_a_blank_wall_is_no_cut() -> None:
    noise, detector = np.random.default_rng(0), SceneCutDetector()
    wall = np.full((360, 640, 3), 1.0) * np.linspace(200, 150, 640)[None, :, None]
    for number in range(5):
        frame = (wall + noise.normal(0, 4, wall.shape)).astype(np.uint8)
        assert not detector.is_cut(coarse(frame), number / 25)
