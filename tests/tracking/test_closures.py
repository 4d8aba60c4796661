"""Blinks and eye closures in images of a real face whose lids are drawn at known times."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mien import imaging
from mien.landmarks.schemes import EYE_CONTOURS
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.tracking import Event

pytest.importorskip("lap", reason="tracking needs lapx")

FPS = 15
BLINKS_S = (3.0, 4.2)
LONG_S = (5.4, 6.4)


def closed_eyes(
    image: npt.NDArray[np.uint8], points: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """The image with each eye covered by the color of its lid, above a line of lashes."""
    closed = image.copy()
    for contour in EYE_CONTOURS["mesh468"]:
        eye = points[list(contour), :2]
        left, right = eye[0], eye[3]
        height, width = np.ptp(eye[:, 1]), right[0] - left[0]
        top = eye[:, 1].min()
        middle = (eye[4] + eye[5]) / 2
        lid = image[int(top - 0.55 * height) : int(top - 0.2 * height)]
        lid = lid[:, int(left[0]) : int(right[0])]
        mask = np.zeros(image.shape[:2], np.float32)
        center = (int(eye[:, 0].mean()), int(eye[:, 1].mean()))
        axes = (int(0.56 * width), int(0.75 * height))
        cv2.ellipse(mask, center, axes, 0, 0, 360, 1.0, -1)
        soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0))[..., None]
        skin = lid.mean(axis=(0, 1))
        closed = (soft * skin + (1 - soft) * closed).astype(np.uint8)
        arc = np.array([left, (left + middle) / 2 + (0, 0.2 * height), middle, right], np.float32)
        line = np.round(arc).astype(np.int32)
        cv2.polylines(closed, [line], False, (60, 40, 35), max(2, int(0.12 * height)), cv2.LINE_AA)
    return closed


def test_finds_eye_closures_in_rendered_images(samples: dict[str, Path]) -> None:
    pipeline = FacePipeline(landmarks="face-landmarker")
    opened = imaging.resize(read_image(samples["person-a-neutral"]), (320, 320))
    (face,) = pipeline.analyze(opened).faces
    assert face.landmarks is not None
    closed = closed_eyes(opened, face.landmarks.points)
    stream = FaceStream(pipeline, StreamSettings(expressions=False))
    events: list[Event] = []
    for number in range(round(7.2 * FPS)):
        now = number / FPS
        blinking = any(start <= now < start + 0.16 for start in BLINKS_S)
        image = closed if blinking or LONG_S[0] <= now < LONG_S[1] else opened
        stream.update(image, now)
        events += stream.events
    blinks = [event for event in events if event.kind == "blink"]
    assert [event.timestamp_s for event in blinks] == pytest.approx(
        [start + 0.16 for start in BLINKS_S], abs=2 / FPS
    )
    (long,) = [event for event in events if event.kind == "eyes_closed"]
    assert long.timestamp_s == pytest.approx(LONG_S[0] + 0.5, abs=2 / FPS)
    (ended,) = [event for event in stream.finish() if event.kind == "track_ended"]
    assert ended.details["longest_closure_s"] == pytest.approx(LONG_S[1] - LONG_S[0], abs=2 / FPS)
