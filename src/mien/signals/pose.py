"""Which way a head is turned."""

import math
from dataclasses import dataclass

import numpy as np

from mien.types import FloatArray, Landmarks

# Mean place of the points of "mesh468" that an expression hardly moves (brow, temples, eye corners,
# bridge and tip of the nose), over 102 people of the Face Research Lab London Set (DeBruine and
# Jones, CC BY 4.0) looking into the camera with a neutral face: Procrustes mean, made symmetric,
# turned so that the people's median pitch is 0; in distances between the eyes, from their middle,
# x to the right of the image, y down, z away from the camera. Smiling moved these people's yaw,
# pitch and roll by 1.3, 2.4 and 1.0 degrees on average.
_REFERENCE: dict[int, tuple[float, float, float]] = {
    4: (0.0, 0.465, -0.709),
    8: (0.0, -0.209, -0.309),
    21: (-1.036, -0.348, 0.499),
    33: (-0.720, -0.010, 0.043),
    54: (-0.943, -0.547, 0.313),
    127: (-1.102, 0.116, 0.841),
    133: (-0.280, 0.010, -0.043),
    151: (0.0, -0.625, -0.260),
    162: (-1.085, -0.139, 0.695),
    168: (0.0, -0.100, -0.307),
    197: (0.0, 0.119, -0.471),
    234: (-1.089, 0.352, 0.897),
    251: (1.036, -0.348, 0.499),
    263: (0.720, -0.010, 0.043),
    284: (0.943, -0.547, 0.313),
    356: (1.102, 0.116, 0.841),
    362: (0.280, 0.010, -0.043),
    389: (1.085, -0.139, 0.695),
    454: (1.089, 0.352, 0.897),
}
_INDICES = list(_REFERENCE)
_CENTERED = np.array(list(_REFERENCE.values())) - np.mean(list(_REFERENCE.values()), axis=0)


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Angles of a head in degrees; all 0 where it faces the camera upright.

    Attributes:
        yaw_deg: turn to the side in [-180, 180], positive towards the right edge of the image.
        pitch_deg: nod in [-90, 90], positive upwards.
        roll_deg: tilt in the image plane in (-180, 180], positive clockwise.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def estimate_pose(landmarks: Landmarks) -> HeadPose | None:
    """The turn of a head from a three-dimensional mesh.

    Method: the rotation that takes a mean face to the landmarks with the least squared error
    (Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta
    Crystallographica A32, 1976), taken apart as roll after yaw after pitch: yaw and pitch are those
    of the picture once the head stands upright in it.

    Args:
        landmarks: of the scheme ``"mesh468"`` with depth.

    Returns:
        None for other landmarks, whose depth is unknown.
    """
    if landmarks.scheme != "mesh468" or landmarks.points.shape[1] != 3:
        return None
    (right_x, _, away_x), (right_y, _, away_y), (_, _, away_z) = _rotation(
        landmarks.points[_INDICES]
    )
    roll = math.atan2(right_y, right_x)
    cos, sin = math.cos(roll), math.sin(roll)
    # Where the face looks, once the roll is taken back: against the axis that leads away.
    x, y, z = -(cos * away_x + sin * away_y), -(cos * away_y - sin * away_x), -away_z
    return HeadPose(
        yaw_deg=math.degrees(math.atan2(x, -z)),
        pitch_deg=math.degrees(math.atan2(-y, math.hypot(x, z))),
        roll_deg=math.degrees(roll),
    )


def _rotation(points: FloatArray) -> list[list[float]]:
    # The reference is centred, so that the observed points need not be.
    u, _, vt = np.linalg.svd(_CENTERED.T @ points.astype(np.float64))
    rotation = (u @ vt).T
    (a, b, c), (d, e, f), (g, h, i) = rows = rotation.tolist()
    if a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) > 0:
        return rows  # type: ignore[no-any-return]
    # A reflection fits as well; the axis of the least spread is flipped back.
    return (rotation - 2 * np.outer(vt[2], u[:, 2])).tolist()  # type: ignore[no-any-return]
