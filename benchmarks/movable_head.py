"""A head whose face and eyes move by known amounts, painted with a photograph.

The light face model of ICT-FaceKit (USC Institute for Creative Technologies, MIT License) has 57
expression shapes and 20 of identity. Its eyeballs are a fifth too large, and are made smaller. A
photograph of a person at rest is laid over its front, by the mesh that
the landmark network finds in both; eyes, teeth and the inside of the mouth have colors of their
own. The file is an npz of ``neutral (V, 3)``, ``triangles (T, 3)``, ``material (T,)``,
``materials``, ``names`` and ``offsets (names, V, 3)``, in cm; x to the person's left, y up, z to
the camera.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rendered_heads import rotation

from mien.landmarks.schemes import MESH_LINES
from mien.pipeline import FacePipeline

Array = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

SIZE = 480
FOCAL_PX = 900.0
DISTANCE_CM = 60.0
# Pictures are made twice as large, then reduced, for smooth edges.
_FINE = 2
_SKIN = (205, 160, 135)
_COLORS = {
    "M_GumsTongue": (120, 50, 50),
    "M_Teeth": (215, 205, 190),
    "M_ScleraLeft": (225, 220, 215),
    "M_ScleraRight": (225, 220, 215),
    "M_IrisLeft": (225, 220, 215),
    "M_IrisRight": (225, 220, 215),
}
_IRIS = (70, 50, 35)
_PAINTED = ("M_Face", "M_BackHead")
# Clear parts over the eyes, and lashes, which would be as thick as lids.
_UNSEEN = ("M_EyeLashes", "M_EyeOcclusion", "M_LacrimalFluid", "M_EyeBlend")
_FLIP = np.outer((1, -1, -1), (1, -1, -1))
# A gaze of this angle is a whole eyeLookDown, eyeLookUp and so on.
_WHOLE_LOOK_DEG = 30.0
_LIGHT = np.array([0.15, 0.35, 0.92])
# Human anatomy: radius of the eyeball, of the iris and of the pupil.
_EYEBALL_CM, _IRIS_CM, _PUPIL_CM = 1.2, 0.59, 0.2


class MovableHead:
    """A head that can be rendered with any movements, from any side.

    Args:
        file: the face model.
        identity: coefficients of the identity shapes, about standard normal.
        pipeline: with face-landmarker.
        photograph: ``(H, W, 3)`` RGB uint8 of one person at rest; without one, the skin is plain.
    """

    def __init__(
        self,
        file: Path,
        identity: Sequence[float] = (),
        pipeline: FacePipeline | None = None,
        photograph: Picture | None = None,
    ) -> None:
        with np.load(file) as data:
            names = [str(name) for name in data["names"]]
            offsets = data["offsets"]
            self._neutral = data["neutral"].astype(np.float64)
            materials = [str(name) for name in data["materials"]]
            seen = ~np.isin(data["material"], [materials.index(name) for name in _UNSEEN])
            self._triangles = data["triangles"][seen].astype(np.int64)
            self._material = data["material"][seen]
        self._offsets = dict(zip(names, offsets, strict=True))
        for number, amount in enumerate(identity):
            self._neutral += amount * self._offsets[f"identity{number:03d}"].astype(np.float64)
        self._eyeballs = [
            self._eyeball([materials.index(f"M_{part}{side}") for part in ("Iris", "Sclera")])
            for side in ("Left", "Right")
        ]
        colors = np.array([_COLORS.get(name, _SKIN) for name in materials], np.float64)
        self._colors = colors[self._material]
        self._color_irises(materials)
        painted = np.isin(self._material, [materials.index(name) for name in _PAINTED])
        if photograph is not None and pipeline is not None:
            self._paint(painted, pipeline, photograph)

    @property
    def shapes(self) -> list[str]:
        """Names of the expression shapes."""
        return [name for name in self._offsets if not name.startswith("identity")]

    def render(
        self,
        shapes: Mapping[str, float] | None = None,
        yaw_deg: float = 0,
        pitch_deg: float = 0,
        roll_deg: float = 0,
        gaze_deg: tuple[float, float] = (0, 0),
    ) -> Picture:
        """``(480, 480, 3)`` RGB uint8.

        Args:
            shapes: amount in [0, 1] of each expression shape by its name.
            yaw_deg, pitch_deg, roll_deg: with the signs of :class:`mien.signals.HeadPose`.
            gaze_deg: yaw and pitch of the eyes relative to the head, with the same signs; the lids
                follow them.
        """
        points = self._moved(lids_of_gaze(*gaze_deg) | {**(shapes or {})})
        turn = rotation(*gaze_deg, 0)
        for ball, middle in self._eyeballs:
            # Its axes point down and away, those of the model up and to the camera.
            points[ball] = middle + (points[ball] - middle) @ (turn * _FLIP).T
        # To y down and z away from the camera, about the middle of the head.
        turned = ((points - (0, 1, 4)) * (1, -1, -1)) @ rotation(yaw_deg, pitch_deg, roll_deg).T + (
            0,
            0,
            DISTANCE_CM,
        )
        picture = self._rasterize(turned)
        return np.asarray(cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA))

    def _eyeball(self, materials: list[int]) -> tuple[npt.NDArray[np.int64], Array]:
        """The points of an eyeball and its middle, after it got its right size behind the lids."""
        ball = np.unique(self._triangles[np.isin(self._material, materials)])
        points = self._neutral[ball]
        large = (points.min(axis=0) + points.max(axis=0)) / 2
        radius = float(points[:, 2].max() - large[2])
        middle = large + np.array((0, 0, radius - _EYEBALL_CM))
        self._neutral[ball] = middle + _EYEBALL_CM / radius * (points - large)
        return ball, middle

    def _moved(self, shapes: Mapping[str, float]) -> Array:
        points = self._neutral.copy()
        for name, amount in shapes.items():
            points += amount * self._offsets[name].astype(np.float64)
        return points

    def _project(self, turned: Array) -> Array:
        return _FINE * (FOCAL_PX * turned[:, :2] / turned[:, 2:] + SIZE / 2)

    def _rasterize(self, turned: Array) -> Picture:
        """Paint the triangles that face the camera, the farthest first; they are small enough for
        one color each."""
        places = self._project(turned)[self._triangles]
        edges = places[:, 1:] - places[:, :1]
        facing = edges[:, 0, 0] * edges[:, 1, 1] < edges[:, 0, 1] * edges[:, 1, 0]
        some = np.flatnonzero(facing)
        some = some[np.argsort(-turned[self._triangles[some], 2].mean(axis=1))]
        # OpenCV's coordinates name the middle of a pixel by whole numbers.
        corners = np.round((places[some] - 0.5) * 16).astype(np.int32)
        colors = self._shaded(turned)[some].tolist()
        canvas = np.full((_FINE * SIZE, _FINE * SIZE, 3), 128, np.uint8)
        for triangle, color in zip(corners, colors, strict=True):
            cv2.fillConvexPoly(canvas, triangle, color, cv2.LINE_8, 4)
        return canvas

    def _shaded(self, turned: Array) -> Array:
        """Colors of the triangles in the light that falls on them."""
        light = 0.62 + 0.38 * np.clip(-_normals(turned, self._triangles) @ _LIGHT, 0, 1)
        return self._colors * light[self._triangles].mean(axis=1)[:, None]

    def _color_irises(self, materials: list[str]) -> None:
        """Iris and pupil on the eyeball and on the clear part before it, by the distance from its
        axis."""
        for side in ("Left", "Right"):
            own = [materials.index(f"M_{part}{side}") for part in ("Iris", "Sclera")]
            some = np.isin(self._material, own)
            ball = self._neutral[self._triangles[some]]
            middle = (ball.min(axis=(0, 1)) + ball.max(axis=(0, 1))) / 2
            centers = ball.mean(axis=1)
            axis_cm = np.linalg.norm(centers[:, :2] - middle[:2], axis=1)
            axis_cm[centers[:, 2] < middle[2]] = np.inf
            colors = self._colors[some]
            colors[axis_cm < _IRIS_CM] = _IRIS
            colors[axis_cm < _PUPIL_CM] = 12.0
            self._colors[some] = colors

    def _paint(
        self, painted: npt.NDArray[np.bool_], pipeline: FacePipeline, photograph: Picture
    ) -> None:
        """Lay the photograph over the front, by the landmarks of both."""
        plain = np.asarray(self.render(), np.uint8)
        ours, theirs = (_landmarks(pipeline, picture) for picture in (plain, photograph))
        turned = ((self._neutral - (0, 1, 4)) * (1, -1, -1)) + (0, 0, DISTANCE_CM)
        places = (self._project(turned) / _FINE)[self._triangles[painted]].mean(axis=1)
        source = _warp(ours, theirs, places)
        self._colors[painted] = cv2.remap(
            cv2.GaussianBlur(_without_eyes(photograph, theirs), (0, 0), 0.7),
            source[None, :, 0].astype(np.float32) - 0.5,
            source[None, :, 1].astype(np.float32) - 0.5,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )[0]


def lids_of_gaze(yaw_deg: float, pitch_deg: float) -> dict[str, float]:
    """The shapes of lids that follow a gaze."""
    right, up = yaw_deg / _WHOLE_LOOK_DEG, pitch_deg / _WHOLE_LOOK_DEG
    amounts = {
        "eyeLookOut_L": right,
        "eyeLookIn_R": right,
        "eyeLookIn_L": -right,
        "eyeLookOut_R": -right,
        "eyeLookUp_L": up,
        "eyeLookUp_R": up,
        "eyeLookDown_L": -up,
        "eyeLookDown_R": -up,
    }
    return {name: amount for name, amount in amounts.items() if amount > 0}


def _normals(points: Array, triangles: npt.NDArray[np.int64]) -> Array:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))


def _landmarks(pipeline: FacePipeline, picture: Picture) -> Array:
    face = max(pipeline.analyze(picture).faces, key=lambda found: found.box.area)
    assert face.landmarks is not None
    return face.landmarks.points[:468, :2].astype(np.float64)


def _without_eyes(photograph: Picture, points: Array) -> Picture:
    """The photograph with skin instead of the eyes, for the lids that close over them."""
    mask = np.zeros(photograph.shape[:2], np.uint8)
    for part in ("left_eye", "right_eye"):
        contour = points[list(MESH_LINES[part].indices)]
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(contour).astype(np.int32)), 255)
    wide = max(3, photograph.shape[1] // 100)
    mask = cv2.dilate(mask, np.ones((wide, wide), np.uint8))
    return np.asarray(cv2.inpaint(photograph, mask, 5, cv2.INPAINT_TELEA))


def _warp(ours: Array, theirs: Array, places: Array) -> Array:
    """Where places among our points lie among theirs: an affine map, and what the nearest points
    differ from it, weighted by distance."""
    known = np.column_stack([ours, np.ones(len(ours))])
    affine = np.linalg.lstsq(known, theirs, rcond=None)[0]
    rest = theirs - known @ affine
    distances = np.linalg.norm(places[:, None] - ours[None], axis=2)
    weights = 1 / (distances + 1.0) ** 4
    bent = (weights @ rest) / weights.sum(axis=1, keepdims=True)
    # Far from the face, the affine map alone.
    near = np.exp(-((distances.min(axis=1, keepdims=True) / 40) ** 2))
    return np.asarray(np.column_stack([places, np.ones(len(places))]) @ affine + near * bent)
