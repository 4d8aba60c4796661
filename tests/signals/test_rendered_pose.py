"""Head pose, measured on images of a mesh that is rotated by known angles and rendered.

The mesh and its texture are those of a real face, so this tests everything from pixels to angles.
A mask without hair, ears and neck is harder than a head: angles are measured a quarter too small.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mien.landmarks.regions import Region, roi_from_landmarks
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.signals import estimate_pose
from mien.signals.pose import HeadPose
from mien.streaming.locator import RegionPredictor

Points = npt.NDArray[np.float64]
SIDE = 320


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline()


@pytest.fixture(scope="module")
def face(pipeline: FacePipeline, samples: dict[str, Path]) -> tuple[npt.NDArray[np.uint8], Points]:
    """A person who looks into the camera, and the person's mesh."""
    image = read_image(samples["person-a-neutral"])
    (found,) = pipeline.analyze(image).faces
    assert found.landmarks is not None
    return image, found.landmarks.points.astype(np.float64)


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Points:
    """Rotation matrix with the signs of HeadPose; y points down, z away from the camera."""
    (sy, sp, sr), (cy, cp, cr) = (
        f(np.radians([-yaw_deg, -pitch_deg, roll_deg])) for f in (np.sin, np.cos)
    )
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    turn: Points = about_z @ about_y @ about_x
    return turn


@cache
def triangles_of(points: bytes) -> npt.NDArray[np.int64]:
    """Delaunay triangles of ``(N, 2)`` points, as indices ``(T, 3)``."""
    mesh = np.frombuffer(points).reshape(-1, 2)
    subdivision = cv2.Subdiv2D((0, 0, 2000, 2000))
    subdivision.insert([(float(x), float(y)) for x, y in mesh])
    corners = np.asarray(subdivision.getTriangleList()).reshape(-1, 3, 2)
    nearest = np.linalg.norm(corners[:, :, None] - mesh[None, None], axis=3)
    return nearest.argmin(axis=2)[(nearest.min(axis=2) < 0.6).all(axis=1)]


def render(image: npt.NDArray[np.uint8], mesh: Points, turn: Points) -> npt.NDArray[np.uint8]:
    """Render the rotated, textured mesh, far triangles first."""
    middle = mesh.mean(axis=0)
    size = np.ptp(mesh[:, 1])
    turned = (mesh - middle) @ turn.T * (0.55 * SIDE / size) + (SIDE / 2, SIDE / 2, 0)
    canvas = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for triangle in sorted(triangles_of(mesh[:, :2].tobytes()), key=lambda t: -turned[t, 2].mean()):
        source = mesh[triangle, :2].astype(np.float32)
        target = turned[triangle, :2].astype(np.float32)
        edges = target[1:] - target[0]
        before = source[1:] - source[0]
        if np.linalg.det(edges) * np.linalg.det(before) <= 0:
            continue  # seen from behind
        low = np.floor(target.min(axis=0)).astype(int)
        wide, high = (np.ceil(target.max(axis=0)).astype(int) - low + 1).tolist()
        skin = cv2.warpAffine(
            image,
            cv2.getAffineTransform(source, target - low.astype(np.float32)),
            (wide, high),
            borderMode=cv2.BORDER_REPLICATE,
        )
        mask = np.zeros((high, wide), np.uint8)
        cv2.fillConvexPoly(mask, np.round(target - low).astype(np.int32), 1)
        canvas[low[1] : low[1] + high, low[0] : low[0] + wide][mask > 0] = skin[mask > 0]
    return canvas


def measured(pipeline: FacePipeline, picture: npt.NDArray[np.uint8], roll_deg: float) -> HeadPose:
    predictor = pipeline.landmarks
    assert isinstance(predictor, RegionPredictor)
    first = predictor.predict_region(picture, Region((SIDE / 2, SIDE / 2), 0.95 * SIDE, roll_deg))
    pose = estimate_pose(predictor.predict_region(picture, roi_from_landmarks(first)))
    assert pose is not None
    return pose


@pytest.fixture(scope="module")
def upright(pipeline: FacePipeline, face: tuple[npt.NDArray[np.uint8], Points]) -> HeadPose:
    return measured(pipeline, render(*face, rotation(0, 0, 0)), 0)


@pytest.mark.parametrize(
    "angles_deg",
    [(20, 0, 0), (-35, 0, 0), (0, 15, 0), (0, -15, 0), (0, 0, -25), (20, -10, 15)],
)
def test_measures_the_pose_of_rendered_heads(
    pipeline: FacePipeline,
    face: tuple[npt.NDArray[np.uint8], Points],
    upright: HeadPose,
    angles_deg: tuple[float, float, float],
) -> None:
    image, mesh = face
    yaw_deg, pitch_deg, roll_deg = angles_deg
    picture = render(image, mesh, rotation(yaw_deg, pitch_deg, roll_deg))
    pose = measured(pipeline, picture, roll_deg)
    # Relative to the unrotated head, because its true pose is not known.
    for name, turned in (("yaw_deg", yaw_deg), ("pitch_deg", pitch_deg)):
        read = getattr(pose, name) - getattr(upright, name)
        assert abs(turned) * 0.6 - 5 <= read * np.sign(turned or 1) <= abs(turned) * 1.1 + 4, name
    assert pose.roll_deg - upright.roll_deg == pytest.approx(roll_deg, abs=4)
