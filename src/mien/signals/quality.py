"""Image quality of a face, and reasons not to trust its expression."""

import math
from dataclasses import dataclass, replace

import numpy as np

from mien import geometry, imaging
from mien.landmarks import roi_from_detection, roi_from_landmarks
from mien.signals.pose import HeadPose
from mien.types import Box, Detection, Face, Image, Landmarks, Quality

_CROP_SIZE = 64
# Schemes whose points cover the face from brow to chin.
_WHOLE_FACE = frozenset({"mesh468", "mesh478", "ibug68"})


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Thresholds of the quality reasons: where accuracy drops by about ten percentage points.

    Measured on the valid split of FER+ by benchmarks/quality.py; docs/quality.md has the table.

    Attributes:
        min_size_px: "small" below.
        min_sharpness: "blurred" below.
        min_brightness, max_brightness: "dark" below, "bright" above.
        max_yaw_deg, max_pitch_deg: "turned" above either.
        max_roll_deg: "tilted" above.
        min_inside: "cut off" if a smaller share of the face is inside the image.
        min_presence: "unclear" below, of the face or of its landmarks.
    """

    min_size_px: float = 20.0
    min_sharpness: float = 0.025
    min_brightness: float = 0.04
    max_brightness: float = 0.85
    max_yaw_deg: float = 40.0
    max_pitch_deg: float = 35.0
    max_roll_deg: float = 60.0
    min_inside: float = 0.75
    min_presence: float = 0.5


LIMITS = QualityLimits()
"""The default limits."""


def measure(
    image: Image,
    detection: Detection,
    landmarks: Landmarks | None = None,
    pose: HeadPose | None = None,
    limits: QualityLimits = LIMITS,
    *,
    presence: float | None = None,
    covered: tuple[str, ...] = (),
) -> Quality:
    """Measure the quality of one face.

    Sharpness and brightness are measured on the upright face at 64 by 64 pixels, so they do not
    depend on the size of the image. Sharpness is the variance of the Laplacian over the variance of
    the gray levels (:func:`mien.imaging.sharpness`).

    Args:
        image: ``(H, W, 3)`` RGB uint8.
        detection: the face.
        landmarks: landmarks of the face, if known.
        pose: head pose from :func:`mien.signals.pose.estimate_pose`, if known.
        limits: thresholds of the reasons.
        presence: probability in [0, 1] that it is a face; by default that of the landmarks.
        covered: ``"mouth"``, ``"eyes"``: what something hides, see
            :class:`mien.detection.verifier.FaceVerifier`.
    """
    box = detection.box
    crop = _upright_crop(image, detection, landmarks)
    measured = Quality(
        size_px=math.sqrt(box.area),
        sharpness=imaging.sharpness(crop),
        brightness=float(crop.mean()) / 255,
        yaw_deg=None if pose is None else pose.yaw_deg,
        pitch_deg=None if pose is None else pose.pitch_deg,
        roll_deg=None if pose is None else pose.roll_deg,
        presence=presence if presence is not None or landmarks is None else landmarks.presence,
    )
    height, width = image.shape[:2]
    inside = share_within(Box(0, 0, width, height), detection, landmarks)
    reasons = _reasons(measured, inside, limits)
    if landmarks is not None and _below(landmarks.presence, limits.min_presence):
        reasons = tuple(dict.fromkeys((*reasons, "unclear")))
    if covered:
        reasons += ("covered", *(f"{part} covered" for part in covered))
    return replace(measured, reasons=reasons)


def share_within(region: Box, detection: Detection, landmarks: Landmarks | None) -> float:
    """Share of a face in a region in [0, 1]: of its points, or else of its box."""
    if landmarks is not None and landmarks.scheme in _WHOLE_FACE:
        x, y = landmarks.points[:, 0], landmarks.points[:, 1]
        within = (x >= region.x_min) & (y >= region.y_min) & (x < region.x_max) & (y < region.y_max)
        return np.count_nonzero(within) / len(x)
    box = detection.box
    overlap = geometry.intersection_area([box.to_array()], [region.to_array()])[0, 0]
    return float(overlap) / box.area


def cut_by(face: Face, read: Box) -> Face:
    """The face with the reason "cut off" if too little of it is in the part that was read.

    Args:
        face: with its quality.
        read: the part of a truncated picture that its file has.
    """
    quality, inside = face.quality, share_within(read, face.detection, face.landmarks)
    if quality is None or inside >= LIMITS.min_inside or "cut off" in quality.reasons:
        return face
    return replace(face, quality=replace(quality, reasons=(*quality.reasons, "cut off")))


def _upright_crop(image: Image, detection: Detection, landmarks: Landmarks | None) -> Image:
    if landmarks is not None and landmarks.scheme in _WHOLE_FACE:
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
