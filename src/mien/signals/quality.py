"""How well a face can be seen, and why its expression should not be trusted."""

import math
from dataclasses import dataclass, replace

import numpy as np

from mien import geometry, imaging
from mien.landmarks import schemes
from mien.landmarks.regions import roi_from_detection, roi_from_landmarks
from mien.signals.pose import HeadPose
from mien.types import Detection, Image, Landmarks, Quality

_CROP_SIZE = 64


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Beyond these a reason is given: where accuracy has fallen by about ten points.

    Measured on the valid split of FER+ by benchmarks/quality.py; docs/quality.md has the table.

    Attributes:
        min_size_px: below it a face is "small".
        min_sharpness: below it a face is "blurred".
        min_brightness, max_brightness: outside them a face is "dark" or "bright".
        max_yaw_deg, max_pitch_deg: beyond either a face is "turned".
        max_roll_deg: beyond it a face is "tilted".
        min_inside: with a smaller share of it inside the image a face is "cut off".
        min_presence: below it a face is "unclear".
    """

    min_size_px: float = 20.0
    min_sharpness: float = 0.025
    min_brightness: float = 0.10
    max_brightness: float = 0.85
    max_yaw_deg: float = 40.0
    max_pitch_deg: float = 30.0
    max_roll_deg: float = 60.0
    min_inside: float = 0.75
    min_presence: float = 0.5


LIMITS = QualityLimits()
"""The limits in force."""


def measure(
    image: Image,
    detection: Detection,
    landmarks: Landmarks | None = None,
    pose: HeadPose | None = None,
    limits: QualityLimits = LIMITS,
) -> Quality:
    """Measure one face.

    Sharpness and brightness are those of the face alone, turned upright and brought to 64 by 64
    pixels, so that they do not depend on the size of the picture: sharpness is the variance of the
    Laplacian over the variance of the gray levels (:func:`mien.imaging.sharpness`).

    Args:
        image: ``(H, W, 3)`` RGB uint8.
        detection: the face.
        landmarks: of the face, if there are any.
        pose: of the head, as :func:`mien.signals.pose.estimate_pose` gives it.
        limits: where reasons begin.
    """
    box = detection.box
    crop = _upright_crop(image, detection, landmarks)
    measured = Quality(
        size_px=math.sqrt(box.width * box.height),
        sharpness=imaging.sharpness(crop),
        brightness=float(crop.mean()) / 255,
        yaw_deg=None if pose is None else pose.yaw_deg,
        pitch_deg=None if pose is None else pose.pitch_deg,
        roll_deg=None if pose is None else pose.roll_deg,
        presence=None if landmarks is None else landmarks.presence,
    )
    inside = share_inside(image, detection, landmarks)
    return replace(measured, reasons=_reasons(measured, inside, limits))


def share_inside(image: Image, detection: Detection, landmarks: Landmarks | None) -> float:
    """Which part of a face lies inside the image, in [0, 1]: of its points, else of its box."""
    height, width = image.shape[:2]
    if landmarks is not None and landmarks.scheme in schemes.WHOLE_FACE:
        x, y = landmarks.points[:, 0], landmarks.points[:, 1]
        return np.count_nonzero((x >= 0) & (y >= 0) & (x < width) & (y < height)) / len(x)
    box = detection.box
    overlap = geometry.intersection_area([box.to_array()], [(0, 0, width, height)])[0, 0]
    return float(overlap) / (box.width * box.height)


def _upright_crop(image: Image, detection: Detection, landmarks: Landmarks | None) -> Image:
    if landmarks is not None and landmarks.scheme in schemes.WHOLE_FACE:
        region = roi_from_landmarks(landmarks, scale=1.0)
    else:
        region = roi_from_detection(detection, scale=1.0)
    crop = imaging.warp(image, region.transform(_CROP_SIZE), (_CROP_SIZE, _CROP_SIZE))
    return imaging.to_gray(crop)


def _reasons(measured: Quality, inside: float, limits: QualityLimits) -> tuple[str, ...]:
    findings = (
        ("small", measured.size_px < limits.min_size_px),
        ("blurred", _below(measured.sharpness, limits.min_sharpness)),
        ("dark", _below(measured.brightness, limits.min_brightness)),
        ("bright", _beyond(measured.brightness, limits.max_brightness)),
        (
            "turned",
            _beyond(measured.yaw_deg, limits.max_yaw_deg)
            or _beyond(measured.pitch_deg, limits.max_pitch_deg),
        ),
        ("tilted", _beyond(measured.roll_deg, limits.max_roll_deg)),
        ("cut off", inside < limits.min_inside),
        ("unclear", _below(measured.presence, limits.min_presence)),
    )
    return tuple(reason for reason, holds in findings if holds)


def _below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


def _beyond(value: float | None, limit: float) -> bool:
    return value is not None and abs(value) > limit
