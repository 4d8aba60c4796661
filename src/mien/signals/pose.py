"""Head pose, and whether a head faces the camera."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.landmarks.schemes import is_mesh
from mien.types import Gaze, Landmarks

Rows = list[list[float]]

MEAN_FACE: dict[int, tuple[float, float, float]] = {
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
"""Mean positions of the points of a mesh that an expression hardly moves: brow, temples, eye
corners, bridge and tip of the nose.

The Procrustes mean of 102 people of the Face Research Lab London Set (DeBruine and Jones, CC BY
4.0), who look into the camera with a neutral face; made symmetric, and rotated so that the median
pitch is 0. In eye distances from the midpoint between the eyes: x to the right of the image, y
down, z away from the camera. Smiling changes yaw, pitch and roll of these people by 1.3, 2.4 and
1.0 degrees on average.
"""

_INDICES = list(MEAN_FACE)
_CENTERED = np.array(list(MEAN_FACE.values())) - np.mean(list(MEAN_FACE.values()), axis=0)

_NEWTON_STEPS = 40
_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Angles of a head in degrees; all 0 for an upright head that faces the camera.

    Attributes:
        yaw_deg: turn to the side in [-180, 180], positive toward the right edge of the image.
        pitch_deg: nod in [-90, 90], positive upwards.
        roll_deg: tilt in the image plane in (-180, 180], positive clockwise.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def estimate_pose(landmarks: Landmarks) -> HeadPose | None:
    """Estimate the head pose from a three-dimensional mesh.

    Method: the least-squares rotation from a mean face to the landmarks (Kabsch, "A solution for
        the best rotation to relate two sets of vectors", Acta
    Crystallographica A32, 1976), decomposed as roll after yaw after pitch: yaw and pitch are
    those of the image after the roll is undone.

    Args:
        landmarks: of a mesh, with depth.

    Returns:
        None for landmarks without depth.
    """
    if not is_mesh(landmarks) or landmarks.points.shape[1] != 3:
        return None
    # The mean face is centered, so the observed points need not be.
    spread = _CENTERED.T @ landmarks.points[_INDICES].astype(np.float64)
    (right_x, _, away_x), (right_y, _, away_y), (_, _, away_z) = _nearest_rotation(spread.T)
    roll = math.atan2(right_y, right_x)
    cos, sin = math.cos(roll), math.sin(roll)
    # The direction of the face after the roll is undone: opposite to the axis away from the camera.
    x, y, z = -(cos * away_x + sin * away_y), -(cos * away_y - sin * away_x), -away_z
    return HeadPose(
        yaw_deg=math.degrees(math.atan2(x, -z)),
        pitch_deg=math.degrees(math.atan2(-y, math.hypot(x, z))),
        roll_deg=math.degrees(roll),
    )


def _nearest_rotation(matrix: npt.NDArray[np.float64]) -> Rows:
    """The rotation nearest to a ``(3, 3)`` matrix.

    Method: Newton's iteration for the polar decomposition (Higham, "Computing the polar
    decomposition, with applications", SIAM J. Sci. Stat. Comput. 7(4), 1986), which is
    much faster than a singular value decomposition. The latter handles singular matrices and those
    nearest to a reflection.
    """
    rows: Rows = (matrix / max(float(np.abs(matrix).max()), 1e-300)).tolist()
    for _ in range(_NEWTON_STEPS):
        cofactors = _cofactors(rows)
        determinant = sum(a * b for a, b in zip(rows[0], cofactors[0], strict=True))
        if determinant < _FLAT:
            break
        better = [
            [(a + b / determinant) / 2 for a, b in zip(row, other, strict=True)]
            for row, other in zip(rows, cofactors, strict=True)
        ]
        change = max(
            abs(a - b) for x, y in zip(rows, better, strict=True) for a, b in zip(x, y, strict=True)
        )
        rows = better
        if change < 1e-9:
            return rows
    u, _, vt = np.linalg.svd(matrix)
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))
    return (u @ vt).tolist()  # type: ignore[no-any-return]


def _cofactors(rows: Rows) -> Rows:
    (a, b, c), (d, e, f), (g, h, i) = rows
    return [
        [e * i - f * h, f * g - d * i, d * h - e * g],
        [c * h - b * i, a * i - c * g, b * g - a * h],
        [b * f - c * e, c * d - a * f, a * e - b * d],
    ]


def facing(pose: HeadPose | Gaze) -> float:
    """Cosine in [-1, 1] of the angle between the direction of a head or gaze and the optical axis.

    1 is straight into the camera, 0 is full profile. The angle
    of the face's position in the image is not taken into account.
    """
    return math.cos(math.radians(pose.yaw_deg)) * math.cos(math.radians(pose.pitch_deg))
