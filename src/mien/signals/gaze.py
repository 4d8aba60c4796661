"""Where the eyes look, from the irises, the corners of the eyes and the head pose."""

import math

from mien.landmarks.schemes import IRISES
from mien.signals.pose import HeadPose
from mien.types import Gaze, Landmarks

# Corners of the left and the right eye as seen in the image, the left corner first.
_CORNERS = ((33, 133), (362, 263))
# Anatomy in widths of the opening of an eye, about 30 mm: the center of the eyeball is 13.2 mm
# behind the cornea, the iris 3.6 mm, and the middle of the corners 6 mm.
_IRIS_RADIUS = 9.6 / 30
_CORNER_DEPTH = 7.2 / 30
# The iris is this far above the line of the corners when people look into the camera: the mean of
# the 102 neutral faces of the London set.
_REST_ABOVE = 0.090
_MAX_SINE = 0.85
# An eye that the head hides, or whose lids are closed, says nothing.
_MAX_YAW_DEG = 55.0
_MAX_EYE_CLOSURE = 0.65


def estimate_gaze(
    landmarks: Landmarks, pose: HeadPose | None, eye_closure: tuple[float, float] = (0.0, 0.0)
) -> Gaze | None:
    """Estimate the direction of the gaze relative to the camera's axis.

    Method: an eyeball of mean anatomy, whose iris lies where the landmarks show it relative to the
    corners of the eye; the head pose says how the corners lie relative to the eyeball's center. The
    mean of both eyes.

    Args:
        landmarks: of the scheme ``"mesh478"``.
        pose: head pose of the same landmarks.
        eye_closure: blendshapes eyeBlink of the eye on the left and on the right in the image, in
            [0, 1]; a closed eye has no gaze.

    Returns:
        None without irises or pose, beyond a yaw of 55 degrees, or with both eyes closed.
    """
    if landmarks.scheme != "mesh478" or pose is None or abs(pose.yaw_deg) > _MAX_YAW_DEG:
        return None
    roll = math.radians(pose.roll_deg)
    yaw, pitch = math.radians(pose.yaw_deg), math.radians(pose.pitch_deg)
    cos, sin = math.cos(roll), math.sin(roll)
    sines = []
    for corners, iris, closure in zip(_CORNERS, IRISES, eye_closure, strict=True):
        if closure > _MAX_EYE_CLOSURE:
            continue
        (left_x, left_y), (right_x, right_y) = landmarks.points[list(corners), :2].tolist()
        iris_x, iris_y = landmarks.points[iris[0], :2].tolist()
        width = math.dist((left_x, left_y), (right_x, right_y)) / math.cos(yaw)
        if width <= 0:
            continue
        x, y = iris_x - (left_x + right_x) / 2, iris_y - (left_y + right_y) / 2
        # Upright: along the line of the eyes, and across it.
        along, below = (cos * x + sin * y) / width, (cos * y - sin * x) / width
        sines.append(
            (
                (along + _CORNER_DEPTH * math.sin(yaw)) / _IRIS_RADIUS,
                (-_REST_ABOVE - below + _CORNER_DEPTH * math.sin(pitch)) / _IRIS_RADIUS,
            )
        )
    if not sines:
        return None
    across, up = (sum(values) / len(sines) for values in zip(*sines, strict=True))
    return Gaze(yaw_deg=_angle_deg(across), pitch_deg=_angle_deg(up))


def _angle_deg(sine: float) -> float:
    return math.degrees(math.asin(max(-_MAX_SINE, min(_MAX_SINE, sine))))
