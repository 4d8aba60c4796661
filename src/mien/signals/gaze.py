"""Where the eyes look."""

import math
from dataclasses import replace

import numpy as np

from mien.geometry import Array
from mien.landmarks import FaceMesh, LandmarkPredictor, roi_from_landmarks
from mien.landmarks.schemes import IRISES
from mien.signals.movements import eye_openings
from mien.signals.pose import HeadPose, estimate_pose
from mien.types import Face, Gaze, Image, Landmarks

# Corners of the left and the right eye as seen in the image, the left corner first.
_CORNERS = ((33, 133), (362, 263))
_UPPER_LIDS = ((158, 159, 160), (385, 386, 387))
# Anatomy in widths of the opening of an eye, about 30 mm: the center of the eyeball is 13.2 mm
# behind the cornea, the iris 3.6 mm, and the middle of the corners 6 mm.
_IRIS_RADIUS = 9.6 / 30
_CORNER_DEPTH = 7.2 / 30
# Up and down, the network moves an iris by a third of its true way, and the upper lid with it: the
# sine of the pitch from how far both are above the line of the corners, and from the head's pitch.
# Fitted on rendered eyes with a known gaze, by least squares with four fifths of the slope, which
# is best for heads that were left out (benchmarks/movements.py).
_BY_IRIS, _BY_LID, _BY_HEAD, _LEVEL = 1.85, 2.08, 0.40, -0.624
_MAX_SINE = 0.85
# An eye that the head hides, or whose lids are closed, says nothing. The blendshape of closed lids
# is 0.4 to 0.8; their opening is below 0.12 in 168 of the 169 frames of
# benchmarks/data/closures.csv, and at least 0.17 in eyes that look down by 25 degrees or laugh.
_MAX_YAW_DEG = 55.0
_MAX_EYE_CLOSURE = 0.65
_MIN_EYE_OPENING = 0.12
# Straight eyes point outward by a sine of 0.07 to 0.23 (four clips), if each is measured alone.
_OUTWARD = (-0.12, 0.12)
# An eye that winks closes to 0.5 to 0.6 of the other one, and its lid would look down.
_WINKS = 0.7


def estimate_gaze(
    landmarks: Landmarks, pose: HeadPose | None, eye_closure: tuple[float, float] = (0.0, 0.0)
) -> Gaze | None:
    """Estimate the direction of the gaze relative to the camera's axis.

    Method: to the side, an eyeball of mean anatomy, whose iris lies where the landmarks show it
    relative to the corners of the eye; the head pose says how the corners lie relative to the
    eyeball's center. Up and down, a linear model of iris, upper lid and head. Their mean.

    Args:
        landmarks: of the scheme ``"mesh478"``.
        pose: head pose of the same landmarks.
        eye_closure: blendshapes eyeBlink of the eye on the left and on the right in the image, in
            [0, 1]; a closed eye has no gaze.

    Returns:
        At most 58 degrees; None without irises or pose, beyond a yaw of 55, or with closed eyes.
    """
    if landmarks.scheme != "mesh478" or pose is None or abs(pose.yaw_deg) > _MAX_YAW_DEG:
        return None
    yaw, pitch, roll = map(math.radians, (pose.yaw_deg, pose.pitch_deg, pose.roll_deg))
    cos, sin = math.cos(roll), math.sin(roll)
    sines = []
    openings = eye_openings(landmarks) or (0.0, 0.0)
    least = max(_MIN_EYE_OPENING, _WINKS * max(openings))
    eyes = zip(_CORNERS, IRISES, _UPPER_LIDS, _OUTWARD, eye_closure, openings, strict=True)
    for corners, iris, lid, outward, closure, opening in eyes:
        if closure > _MAX_EYE_CLOSURE or opening < least:
            continue
        (left_x, left_y), (right_x, right_y) = landmarks.points[list(corners), :2].tolist()
        iris_x, iris_y = landmarks.points[iris[0], :2].tolist()
        lid_x, lid_y = landmarks.points[list(lid), :2].mean(axis=0).tolist()
        width = math.dist((left_x, left_y), (right_x, right_y)) / math.cos(yaw)
        if width <= 0:
            continue
        middle_x, middle_y = (left_x + right_x) / 2, (left_y + right_y) / 2
        x, y = iris_x - middle_x, iris_y - middle_y
        # Upright: along the line of the eyes, and across it.
        along, above = (cos * x + sin * y) / width, (sin * x - cos * y) / width
        lid_above = (sin * (lid_x - middle_x) - cos * (lid_y - middle_y)) / width
        sines.append(
            (
                (along + _CORNER_DEPTH * math.sin(yaw)) / _IRIS_RADIUS - outward,
                _BY_IRIS * above + _BY_LID * lid_above + _BY_HEAD * math.sin(pitch) + _LEVEL,
            )
        )
    if not sines:
        return None
    across, up = (sum(values) / len(sines) for values in zip(*sines, strict=True))
    return Gaze(yaw_deg=_angle_deg(across), pitch_deg=_angle_deg(up))


# Between a picture and its mirror image, the gaze differs by 4 and 5 degrees in the mean of two
# sets of news photographs, and by up to 29 where glasses reflect, shadows hide the eyes or they are
# narrow. London: 2 degrees, at most 8.
_MOST_DIFFERENCE_DEG = 15.0


def mirrored_gaze(image: Image, face: Face, model: LandmarkPredictor) -> Gaze | None:
    """The gaze that the mirror image of a face shows, turned back.

    Args:
        image: ``(H, W, 3)`` RGB uint8 that contains the face.
        face: with landmarks and blendshapes.
        model: that found its landmarks.

    Returns:
        None where the mirror image shows none, or the model cannot look at it.
    """
    if face.landmarks is None or face.blendshapes is None or not isinstance(model, FaceMesh):
        return None
    landmarks = model.predict_mirrored(image, roi_from_landmarks(face.landmarks))
    closure = face.blendshapes["eyeBlinkLeft"], face.blendshapes["eyeBlinkRight"]
    found = estimate_gaze(landmarks, estimate_pose(landmarks), closure)
    return found and replace(found, yaw_deg=-found.yaw_deg)


def with_sure_gaze(image: Image, face: Face, model: LandmarkPredictor) -> Face:
    """The face with the mean of its gaze and that of its mirror image, or none if they differ.

    Reflections, shadows and narrow lids are read in another way in the mirror image, so that a
    large difference shows a gaze that is not seen. Arguments are those of :func:`mirrored_gaze`.
    """
    gaze = face.gaze
    if gaze is None or not isinstance(model, FaceMesh):
        return face
    other = mirrored_gaze(image, face, model)
    if other is None:
        return replace(face, gaze=None)
    yaws, pitches = (gaze.yaw_deg, other.yaw_deg), (gaze.pitch_deg, other.pitch_deg)
    if max(abs(yaws[0] - yaws[1]), abs(pitches[0] - pitches[1])) > _MOST_DIFFERENCE_DEG:
        return replace(face, gaze=None)
    return replace(face, gaze=Gaze(yaw_deg=sum(yaws) / 2, pitch_deg=sum(pitches) / 2))


def gaze_arrows(face: Face) -> Array:
    """``(2, 2, 2)`` from each iris, as far as the eyes are apart for a gaze to the side, in pixels.

    Empty where the gaze is unknown.
    """
    points, gaze = face.landmarks, face.gaze
    if points is None or points.points is None or points.scheme != "mesh478" or gaze is None:
        return np.empty((0, 2, 2))
    starts = points.points[[iris[0] for iris in IRISES], :2]
    length = math.dist(*starts.tolist())
    yaw, pitch = math.radians(gaze.yaw_deg), math.radians(gaze.pitch_deg)
    shift = (length * math.cos(pitch) * math.sin(yaw), -length * math.sin(pitch))
    return np.stack([starts, starts + shift], axis=1)


def _angle_deg(sine: float) -> float:
    return math.degrees(math.asin(max(-_MAX_SINE, min(_MAX_SINE, sine))))
