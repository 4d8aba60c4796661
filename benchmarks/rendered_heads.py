"""Heads at known angles: MediaPipe's canonical face, painted with a photograph, in perspective.

Rings around the oval of the face carry hair, ears and neck of the photograph, without which the
landmark networks see a mask and measure smaller angles.
"""

import cv2
import numpy as np
import numpy.typing as npt

from mien.landmarks.schemes import MESH_LINES
from mien.runtime.catalog import shipped_folder

Array = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

SIZE_WH = (640, 480)
FOCAL_PX = 640.0
DISTANCE_CM = 60.0

_OVAL = list(MESH_LINES["face_oval"].indices)
# How far out each ring is, relative to the oval, and how many cm farther from the camera.
_RINGS = ((1.18, 3.0), (1.32, 7.0), (1.55, 10.0), (2.2, 11.0))


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Array:
    """Rotation with the signs of :class:`mien.signals.HeadPose`; y points down, z away."""
    (sy, sp, sr), (cy, cp, cr) = (
        f(np.radians([-yaw_deg, -pitch_deg, roll_deg])) for f in (np.sin, np.cos)
    )
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def _with_rings(points: Array) -> Array:
    """The 468 points of a face, then those of the rings; in 3D, the rings lie behind it."""
    oval = points[_OVAL]
    middle = oval.mean(axis=0)
    parts = [points[:468]]
    for share, behind in _RINGS:
        ring = middle + share * (oval - middle)
        if points.shape[1] == 3:
            ring[:, 2] = oval[:, 2] + behind
        parts.append(ring)
    return np.concatenate(parts)


_HEAD = _with_rings(np.load(shipped_folder() / "canonical-face.npy").astype(np.float64))


def _triangles(places: Array) -> npt.NDArray[np.int64]:
    """Delaunay triangles of ``(N, 2)`` places as indices ``(T, 3)``."""
    low, high = places.min(axis=0) - 10, places.max(axis=0) + 10
    subdivision = cv2.Subdiv2D((*low.astype(int).tolist(), *(high - low).astype(int).tolist()))
    subdivision.insert([(float(x), float(y)) for x, y in places])
    corners = np.asarray(subdivision.getTriangleList()).reshape(-1, 3, 2)
    distances = np.linalg.norm(corners[:, :, None] - places[None, None], axis=3)
    return distances.argmin(axis=2)[(distances.min(axis=2) < 0.6).all(axis=1)]


class RenderedHead:
    """A head that can be rendered at any angle.

    Args:
        photograph: ``(H, W, 3)`` RGB uint8 of a person who looks into the camera.
        points: ``(468 or more, 2 or more)`` the mesh of this face.
    """

    def __init__(self, photograph: Picture, points: npt.NDArray[np.floating]) -> None:
        self._photograph = photograph
        self._places = _with_rings(points[:468, :2].astype(np.float64))
        self._triangles = _triangles(self._places)

    def render(self, yaw_deg: float = 0, pitch_deg: float = 0, roll_deg: float = 0) -> Picture:
        """``(480, 640, 3)`` RGB uint8, the head 60 cm before a camera of 53 degrees."""
        turned = _HEAD @ rotation(yaw_deg, pitch_deg, roll_deg).T + (0, 0, DISTANCE_CM)
        # Twice as large, then reduced, for smooth edges.
        width, height = 2 * SIZE_WH[0], 2 * SIZE_WH[1]
        seen = 2 * FOCAL_PX * turned[:, :2] / turned[:, 2:] + (width / 2, height / 2)
        canvas = np.full((height, width, 3), 128, np.uint8)
        far_first = np.argsort(-turned[self._triangles, 2].mean(axis=1))
        for triangle in self._triangles[far_first]:
            self._paint(canvas, self._places[triangle], seen[triangle])
        return np.asarray(cv2.resize(canvas, SIZE_WH, interpolation=cv2.INTER_AREA), np.uint8)

    def _paint(self, canvas: Picture, source: Array, target: Array) -> None:
        if np.linalg.det(target[1:] - target[0]) * np.linalg.det(source[1:] - source[0]) <= 0:
            return  # seen from behind
        low = np.maximum(np.floor(target.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(target.max(axis=0)).astype(int) + 2, canvas.shape[1::-1])
        if (high <= low).any():
            return
        wide, tall = (high - low).tolist()
        # OpenCV's coordinates name the middle of a pixel by whole numbers.
        local = (target - low - 0.5).astype(np.float32)
        transform = cv2.getAffineTransform((source - 0.5).astype(np.float32), local)
        skin = cv2.warpAffine(
            self._photograph, transform, (wide, tall), borderMode=cv2.BORDER_REPLICATE
        )
        mask = np.zeros((tall, wide), np.uint8)
        cv2.fillConvexPoly(mask, np.round(local * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        part = canvas[low[1] : high[1], low[0] : high[0]]
        part[mask > 0] = skin[mask > 0]
