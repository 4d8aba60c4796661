"""Measurements of a face from its pixels, landmarks and probabilities. Pure functions."""

from dataclasses import replace

from mien.labels import Expression
from mien.signals.affect import derive_affect
from mien.signals.openings import eye_openings, mouth_opening
from mien.signals.pose import HeadPose, estimate_pose, facing
from mien.signals.quality import LIMITS, QualityLimits, measure
from mien.types import Face, Image, Signals

__all__ = [
    "LIMITS",
    "HeadPose",
    "QualityLimits",
    "derive_affect",
    "estimate_pose",
    "eye_openings",
    "facing",
    "measure",
    "measure_face",
    "mouth_opening",
]


def measure_face(image: Image, face: Face, limits: QualityLimits = LIMITS) -> Face:
    """Add quality, signals and affect to a face; None for what cannot be measured.

    Args:
        image: ``(H, W, 3)`` RGB uint8 that contains the face.
        face: with or without landmarks and expression.
        limits: thresholds for the reasons of :class:`mien.types.Quality`.
    """
    landmarks, scores = face.landmarks, face.expression
    pose = None if landmarks is None else estimate_pose(landmarks)
    eyes = None if landmarks is None else eye_openings(landmarks)
    signals = Signals(
        eye_opening_left=None if eyes is None else eyes[0],
        eye_opening_right=None if eyes is None else eyes[1],
        mouth_opening=None if landmarks is None else mouth_opening(landmarks),
        facing=None if pose is None else facing(pose),
        expressivity=None
        if scores is None or Expression.NEUTRAL not in scores.labels
        else 1 - scores[Expression.NEUTRAL],
    )
    return replace(
        face,
        quality=measure(image, face.detection, landmarks, pose, limits),
        signals=signals,
        affect=None if scores is None else derive_affect(scores),
    )
