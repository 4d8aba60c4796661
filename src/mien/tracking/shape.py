"""The shape of a face's rigid parts: one of the things by which a track knows its face again."""

import numpy as np
import numpy.typing as npt

from mien.types import Landmarks

Array = npt.NDArray[np.float64]

# Eye corners, bridge and tip of the nose, temples, cheek bones, forehead, chin line by the ears:
# points that skin moves over bone the least. Brows, lids and mouth move with the expression.
_RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 1, 10, 151, 9, 127, 356, 234, 454, 93, 323, 50, 280)


def face_shape(landmarks: Landmarks | None) -> Array | None:
    """The rigid points, centerd and of unit size, ``(P, 3)``; None without a mesh in depth."""
    if landmarks is None or landmarks.scheme != "mesh468" or landmarks.points.shape[1] != 3:
        return None
    points = landmarks.points[list(_RIGID)].astype(np.float64)
    points -= points.mean(axis=0)
    size = float(np.sqrt((points**2).sum()))
    return points / size if size > 0 else None


def shape_distance(a: Array, b: Array) -> float:
    """Distance of two shapes after turning one onto the other, in [0, about 1].

    Method: the partial Procrustes distance (Dryden and Mardia 1998) by the Kabsch rotation
    (Kabsch 1976), so that it does not depend on the pose of the head.
    """
    singular = np.linalg.svd(a.T @ b, compute_uv=False)
    if np.linalg.det(a.T @ b) < 0:
        singular[-1] = -singular[-1]
    return float(np.sqrt(max(0.0, 2 - 2 * singular.sum())))


def blend_shapes(mean: Array, new: Array, weight: float) -> Array:
    """The running mean of a shape, moved towards a new one by a weight in [0, 1]."""
    u, _, vt = np.linalg.svd(new.T @ mean)
    turn = u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt
    mixed: Array = (1 - weight) * mean + weight * (new @ turn)
    return mixed / float(np.sqrt((mixed**2).sum()))
