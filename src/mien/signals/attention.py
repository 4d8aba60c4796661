"""Whether a face is turned to the camera."""

import math

from mien.signals.pose import HeadPose


def facing(pose: HeadPose) -> float:
    """Cosine in [-1, 1] between the way that a head faces and the line to the camera.

    1 is straight into the camera, 0 is full profile. It tells of the head and not of the gaze. The
    line to the camera is taken as the optical axis, which is off by the face's own angle from the
    middle of the picture.
    """
    return math.cos(math.radians(pose.yaw_deg)) * math.cos(math.radians(pose.pitch_deg))
