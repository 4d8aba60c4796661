"""Measurements of a face from its pixels, landmarks and probabilities. Pure functions."""

from dataclasses import replace
from functools import lru_cache

from mien.labels import Expression
from mien.signals.gaze import estimate_gaze, with_sure_gaze
from mien.signals.movements import (
    action_units,
    eye_openings,
    inner_brows_cm,
    lip_corners_cm,
    lowered_brows_cm,
    mouth_opening,
)
from mien.signals.pose import Camera, HeadPose, estimate_pose, facing, head_position
from mien.signals.quality import LIMITS, QualityLimits, measure
from mien.types import Affect, ExpressionScores, Face, Image, Landmarks, Signals

__all__ = [
    "LIMITS",
    "Camera",
    "HeadPose",
    "QualityLimits",
    "action_units",
    "derive_affect",
    "estimate_gaze",
    "estimate_pose",
    "eye_openings",
    "facing",
    "head_position",
    "lip_corners_cm",
    "measure",
    "measure_face",
    "mouth_opening",
    "read_action_units",
    "with_expression",
    "with_sure_gaze",
]

_METHOD = "derived from probabilities"
"""The method in every result: nothing is measured beyond the expression probabilities."""

# Mean ratings of pleasure and arousal of the words happy, sad, surprised, fearful, disgusted and
# angry: Russell and Mehrabian, "Evidence for a three-factor theory of emotions", Journal of
# Research in Personality 11, 1977, on the plane of Russell's circumplex (1980). Neutral is the
# origin. The table has no word for contempt.
_COORDINATES: dict[Expression, tuple[float, float]] = {
    Expression.NEUTRAL: (0.0, 0.0),
    Expression.HAPPINESS: (0.81, 0.51),
    Expression.SADNESS: (-0.63, -0.27),
    Expression.SURPRISE: (0.40, 0.67),
    Expression.FEAR: (-0.64, 0.60),
    Expression.DISGUST: (-0.60, 0.35),
    Expression.ANGER: (-0.51, 0.59),
}

_MIN_KNOWN = 0.5


def derive_affect(scores: ExpressionScores) -> Affect | None:
    """Valence and arousal as the probability-weighted mean of the expressions' coordinates.

    The coordinates are ratings of words (Russell and Mehrabian 1977). This summarizes the
    probabilities in two numbers. It is not an independent measurement, and cannot detect arousal
    that the expressions do not show.

    Args:
        scores: probabilities of the expressions.

    Returns:
        None if expressions without coordinates (contempt) have half of the probability or more.
    """
    shares = [
        (float(probability), *_COORDINATES[label])
        for label, probability in zip(scores.labels, scores.probabilities, strict=True)
        if label in _COORDINATES
    ]
    known = sum(share for share, _, _ in shares)
    if known <= _MIN_KNOWN:
        return None
    return Affect(
        valence=sum(share * valence for share, valence, _ in shares) / known,
        arousal=sum(share * arousal for share, _, arousal in shares) / known,
        method=_METHOD,
    )


# An iris of 3 pixels. The pitch of people who look into the camera is wrong by 3 degrees in faces
# of 36 pixels and more, and by 10 in those of 26.
_MIN_GAZE_SIZE_PX = 32.0
# Blur takes away what a network sees, and not its confidence: of up to 70 news photographs a
# label, blurred and shaken, those with this reason that are sure are wrong in 49 %, others in 32 %.
_LOW_CONFIDENCE = frozenset({"covered", "blurred"})
_HIDES_GAZE = frozenset({"blurred", "unclear", "eyes covered"})
# What sunglasses and masks hide. Raised cheeks (AU6) are seen by lids and mouth.
_HIDDEN_UNITS: dict[str, set[str]] = {
    "eyes": {"AU5", "AU6", "AU7", "AU43", "AU45"},
    "mouth": {
        *("AU6", "AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU24", "AU25", "AU26"),
        "AU28",
    },
}


def measure_face(
    image: Image,
    face: Face,
    *,
    camera: Camera | None = None,
    neutral: Face | None = None,
    presence: float | None = None,
    covered: tuple[str, ...] = (),
) -> Face:
    """Add quality, signals, gaze, action units and affect; None for what cannot be measured.

    Faces below 32 pixels, blurred ones, and those with covered eyes have no gaze. Covered eyes and
    mouths have no opening, and no action units.

    Args:
        image: ``(H, W, 3)`` RGB uint8 that contains the face.
        face: with or without landmarks and expression.
        camera: of the image, for the position of the head in cm.
        neutral: face of the same person at rest, from which action units are measured.
        presence: probability in [0, 1] that it is a face; by default that of the landmarks.
        covered: parts of the face that something hides; its expression is uncertain then.
    """
    landmarks = face.landmarks
    pose = None if landmarks is None else estimate_pose(landmarks)
    x_cm, y_cm, z_cm = (pose and camera and head_position(pose, camera)) or (None, None, None)
    eyes = None if landmarks is None or "eyes" in covered else eye_openings(landmarks)
    signals = Signals(
        eye_opening_left=None if eyes is None else eyes[0],
        eye_opening_right=None if eyes is None else eyes[1],
        mouth_opening=None if landmarks is None or "mouth" in covered else mouth_opening(landmarks),
        facing=None if pose is None else facing(pose),
        head_x_cm=x_cm,
        head_y_cm=y_cm,
        head_z_cm=z_cm,
    )
    quality = measure(image, face.detection, landmarks, pose, presence=presence, covered=covered)
    gaze = units = None
    if landmarks is not None and face.blendshapes is not None:
        # ARKit's left is the person's own: on the right in the image.
        closure = face.blendshapes["eyeBlinkRight"], face.blendshapes["eyeBlinkLeft"]
        if quality.size_px >= _MIN_GAZE_SIZE_PX and _HIDES_GAZE.isdisjoint(quality.reasons):
            gaze = estimate_gaze(landmarks, pose, closure)
        hidden = {unit for part in covered for unit in _HIDDEN_UNITS[part]}
        read = read_action_units(face, pose, neutral) or {}
        units = {name: value for name, value in read.items() if name not in hidden}
    measured = replace(
        face,
        quality=quality,
        signals=signals,
        affect=None,
        gaze=gaze,
        action_units=units,
    )
    return measured if face.expression is None else with_expression(measured, face.expression)


def with_expression(face: Face, scores: ExpressionScores) -> Face:
    """A measured face with its expression, and with what is derived from it.

    Args:
        face: with quality and signals; where something covers it, or it is blurred, the expression
            is uncertain.
        scores: its expression.
    """
    signals = face.signals or Signals()
    if Expression.NEUTRAL in scores.labels:
        signals = replace(signals, expressivity=1 - scores[Expression.NEUTRAL])
    if face.quality is not None and not _LOW_CONFIDENCE.isdisjoint(face.quality.reasons):
        scores = replace(scores, uncertain=True)
    return replace(face, expression=scores, signals=signals, affect=derive_affect(scores))


# Seen from below, a chin at rest looks raised: AU17 is 0.2 and more in 8 % of level neutral faces
# of news photographs and in 41 % of those above; in rendered heads, it is up to 0.9 at 24 degrees.
_CHIN_SEEN_TO_DEG = 12.0


def read_action_units(
    face: Face, pose: HeadPose | None, neutral: Face | None = None
) -> dict[str, float] | None:
    """The action units of a face: :func:`action_units` with all that its landmarks show.

    Args:
        face: with landmarks and blendshapes.
        pose: of its landmarks.
        neutral: face of the same person at rest, from which units are measured.

    Returns:
        Each unit in [0, 1], without AU17 where the head is turned up by more than 12 degrees; None
        without landmarks or blendshapes.
    """
    landmarks = face.landmarks
    if landmarks is None or face.blendshapes is None:
        return None
    corners_cm = lip_corners_cm(landmarks, pose)
    lowered_cm, raised_cm = lowered_brows_cm(landmarks, pose), None
    if neutral is not None:
        rest_corners_cm, rest_brows_cm = _heights_at_rest(neutral.landmarks)
        lowered_cm = lowered_brows_cm(landmarks, pose, rest_brows_cm)
        if corners_cm is not None and rest_corners_cm is not None:
            raised_cm = corners_cm - rest_corners_cm
    units = action_units(
        face.blendshapes,
        mouth_opening(landmarks),
        neutral.blendshapes if neutral else None,
        neutral.signals.mouth_opening if neutral and neutral.signals else None,
        openings=eye_openings(landmarks),
        corners_cm=raised_cm,
        lowered_brows_cm=lowered_cm,
    )
    if pose is not None and pose.pitch_deg > _CHIN_SEEN_TO_DEG:
        del units["AU17"]
    return units


# The rest of a stream is the same for all of its frames.
@lru_cache(maxsize=64)
def _heights_at_rest(rest: Landmarks | None) -> tuple[float | None, float | None]:
    """Of the corners of the lips and of the inner brows, in cm; None where unknown."""
    pose = None if rest is None else estimate_pose(rest)
    if rest is None or pose is None:
        return None, None
    return lip_corners_cm(rest, pose), inner_brows_cm(rest, pose)
