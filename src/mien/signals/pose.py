"""Head pose, and whether a head faces the camera."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.landmarks.schemes import MESH_LINES, is_mesh
from mien.runtime import catalog
from mien.types import Gaze, Landmarks

_Rows = list[list[float]]

# Below it, in cm from the origin of the canonical face, the jaw and the lips move.
_LOWEST_CM = 1.5
_LIDS_AND_BROWS = {
    index
    for part in ("left_eye", "right_eye", "left_brow", "right_brow")
    for index in MESH_LINES[part].indices
}
_CANONICAL: npt.NDArray[np.float32] = np.load(catalog.shipped_folder() / "canonical-face.npy")

RIGID_FACE: dict[int, tuple[float, float, float]] = {
    index: (round(x, 3), round(y, 3), round(z, 3))
    for index, (x, y, z) in enumerate(_CANONICAL.tolist())
    if y < _LOWEST_CM and index not in _LIDS_AND_BROWS
}
"""Positions of the points of a mesh that an expression hardly moves: forehead, temples, nose and
the upper cheeks of MediaPipe's canonical face.

In cm from a point in the head: x to the right of the image, y down, z away from the camera.
"""

_INDICES = list(RIGID_FACE)
_CENTERED = np.array(list(RIGID_FACE.values())) - np.mean(list(RIGID_FACE.values()), axis=0)
_SQUARED_SIZE = float(np.square(_CENTERED).sum())

_NEWTON_STEPS = 40
_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Angles of a head in degrees; all 0 for an upright head that faces the camera.

    Attributes:
        yaw_deg: turn to the side in [-180, 180], positive toward the right edge of the image.
        pitch_deg: nod in [-90, 90], positive upwards.
        roll_deg: tilt in the image plane in (-180, 180], positive clockwise.
        middle_px: x, y of the middle of the upper face, between the eyes.
        px_per_cm: size of the face, if it were as wide as the canonical one; None if unknown.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    middle_px: tuple[float, float] = (0.0, 0.0)
    px_per_cm: float | None = None


USUAL_FOCAL_LENGTH = 0.8
"""That of a webcam or a phone (65 degrees), in longer sides of the image."""


@dataclass(frozen=True, slots=True)
class Camera:
    """The camera of an image, or of the part of one.

    Attributes:
        focal_px: focal length in pixels.
        center_px: x, y of the optical axis.
    """

    focal_px: float
    center_px: tuple[float, float]

    @classmethod
    def of(cls, width: int, height: int, focal_length: float) -> "Camera":
        """The camera of a whole image, with its focal length in longer sides of the image."""
        return cls(focal_length * max(width, height), (width / 2, height / 2))

    def moved(self, x: float, y: float, scale: float) -> "Camera":
        """The camera of the image scaled about the origin, then moved."""
        at_x, at_y = self.center_px
        return Camera(scale * self.focal_px, (scale * at_x + x, scale * at_y + y))


def head_position(pose: HeadPose, camera: Camera) -> tuple[float, float, float] | None:
    """Where the middle of the upper face is, in cm from the camera.

    It is as exact as the face is as large as the canonical one (17 cm from the forehead to the
    chin), and as the focal length is known.

    Returns:
        x to the right of the image, y down, z away from the camera; None where the size of the
        face is unknown.
    """
    if not pose.px_per_cm:
        return None
    x, y = (
        (at - axis) / pose.px_per_cm
        for at, axis in zip(pose.middle_px, camera.center_px, strict=True)
    )
    return x, y, camera.focal_px / pose.px_per_cm


def heights_cm(
    landmarks: Landmarks, pose: HeadPose, parts: Sequence[Sequence[int]]
) -> list[float] | None:
    """How high parts of a mesh are along the upright axis of the head.

    Args:
        landmarks: of a mesh, with depth.
        pose: of the same landmarks.
        parts: indices of the points of each part.

    Returns:
        The mean of each part in cm, positive upwards, as if the face were as large as the canonical
        one; only differences between parts mean something. None if the size of the face is unknown.
    """
    if not pose.px_per_cm:
        return None
    (sy, cy), (sp, cp), (sr, cr) = (
        (math.sin(angle), math.cos(angle))
        for angle in map(math.radians, (pose.yaw_deg, pose.pitch_deg, pose.roll_deg))
    )
    up = (sr * cp - cr * sy * sp, -cr * cp - sr * sy * sp, cy * sp)
    points = landmarks.points[[index for part in parts for index in part]].astype(np.float64)
    heights = iter((points @ up / pose.px_per_cm).tolist())
    return [sum(next(heights) for _ in part) / len(part) for part in parts]


def estimate_pose(landmarks: Landmarks) -> HeadPose | None:
    """Estimate the head pose from a three-dimensional mesh.

    Method: the least-squares similarity from the canonical face to the landmarks (Kabsch, "A
    solution for the best rotation to relate two sets of vectors", Acta Crystallographica A32,
    1976), decomposed as roll after yaw after pitch: yaw and pitch are those of the image after the
    roll is undone. They are relative to the line from the camera to the face.

    Args:
        landmarks: of a mesh, with depth.

    Returns:
        None for landmarks without depth.
    """
    if not is_mesh(landmarks) or landmarks.points.shape[1] != 3:
        return None
    observed = landmarks.points[_INDICES].astype(np.float64)
    # The canonical face is centered, so the observed points need not be.
    spread = (_CENTERED.T @ observed).T
    rotation = _nearest_rotation(spread)
    (right_x, _, away_x), (right_y, _, away_y), (_, _, away_z) = rotation
    middle_x, middle_y, _ = observed.mean(axis=0).tolist()
    roll = math.atan2(right_y, right_x)
    cos, sin = math.cos(roll), math.sin(roll)
    # The direction of the face after the roll is undone: opposite to the axis away from the camera.
    x, y, z = -(cos * away_x + sin * away_y), -(cos * away_y - sin * away_x), -away_z
    return HeadPose(
        yaw_deg=math.degrees(math.atan2(x, -z)),
        pitch_deg=math.degrees(math.atan2(-y, math.hypot(x, z))),
        roll_deg=math.degrees(roll),
        middle_px=(middle_x, middle_y),
        px_per_cm=float((np.array(rotation) * spread).sum()) / _SQUARED_SIZE,
    )


def _nearest_rotation(matrix: npt.NDArray[np.float64]) -> _Rows:
    """The rotation nearest to a ``(3, 3)`` matrix.

    Method: Newton's iteration for the polar decomposition (Higham, "Computing the polar
    decomposition, with applications", SIAM J. Sci. Stat. Comput. 7(4), 1986), which is
    much faster than a singular value decomposition. The latter handles singular matrices and those
    nearest to a reflection.
    """
    rows: _Rows = (matrix / max(float(np.abs(matrix).max()), 1e-300)).tolist()
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


def _cofactors(rows: _Rows) -> _Rows:
    (a, b, c), (d, e, f), (g, h, i) = rows
    return [
        [e * i - f * h, f * g - d * i, d * h - e * g],
        [c * h - b * i, a * i - c * g, b * g - a * h],
        [b * f - c * e, c * d - a * f, a * e - b * d],
    ]


def facing(pose: HeadPose | Gaze) -> float:
    """Cosine in [-1, 1] of the angle between the direction of a head or gaze and the optical axis.

    1 is straight into the camera, 0 is full profile. The angle of the face's position in the image
    is not taken into account.
    """
    return math.cos(math.radians(pose.yaw_deg)) * math.cos(math.radians(pose.pitch_deg))
