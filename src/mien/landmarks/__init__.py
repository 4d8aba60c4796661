"""Face landmarks: the contract of landmark models, FaceMesh, and blendshapes from its points."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from mien import geometry, imaging
from mien.config import BLENDSHAPE_LANDMARKS
from mien.errors import InputError, ModelNotFoundError, SpecError
from mien.landmarks.schemes import POINTS, eye_line_angle_deg
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.runtime.spec import read_parameters
from mien.types import Box, Detection, Image, Landmarks
from mien.types.contract import as_results, check_stage

__all__ = [
    "Blendshapes",
    "FaceMesh",
    "LandmarkPredictor",
    "Region",
    "box_from_landmarks",
    "build_blendshapes",
    "build_landmarks",
    "find_landmarks",
    "roi_from_detection",
    "roi_from_landmarks",
]


@runtime_checkable
class LandmarkPredictor(Protocol):
    """Finds landmarks of detected faces. Safe to share between threads and to use after a fork.

    Attributes:
        name: shown in results.
        scheme: landmark scheme of the results.
    """

    name: str
    scheme: str

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """Find the landmarks of each face.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            detections: the faces.

        Returns:
            One per detection, in order, in pixels of the image; `presence` is the probability of a
            face at that place.
        """
        ...


def find_landmarks(
    predictor: LandmarkPredictor, image: Image, detections: Sequence[Detection]
) -> list[Landmarks]:
    """The landmarks of each face, by a predictor that may be a user's own.

    Raises:
        InputError: it returns something else, or another number of points than its scheme has.
    """
    by = f"{type(predictor).__name__}.predict"
    found = as_results(predictor.predict(image, detections), Landmarks, by, len(detections))
    for landmarks in found:
        expected = POINTS.get(landmarks.scheme, len(landmarks))
        if len(landmarks) != expected:
            raise InputError(
                f"expected {by} to return {expected} points of the scheme {landmarks.scheme}, "
                f"got {len(landmarks)}"
            )
    return found


_NO_POINTS = Landmarks(np.empty((0, 2), np.float32), "none")


class _DetectorLandmarks:
    """Uses the landmarks of the detections, without a landmark network.

    Detections without landmarks get empty landmarks of the scheme ``"none"``.
    """

    name = "detector"
    scheme = "detector"

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """See :meth:`mien.landmarks.LandmarkPredictor.predict`."""
        return [detection.landmarks or _NO_POINTS for detection in detections]


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated square of an image.

    Attributes:
        center: in pixels.
        side: side length in pixels, positive.
        angle_deg: clockwise rotation of the face in it.
    """

    center: tuple[float, float]
    side: float
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        values = (*self.center, self.side, self.angle_deg)
        if not all(map(math.isfinite, values)) or self.side <= 0:
            raise InputError(f"expected a finite region with a positive side, got {values}")

    def transform(self, size: int) -> geometry.Array:
        """``(2, 3)``, from the image to the upright square of ``size`` pixels."""
        return geometry.square_to_frame(self.center, self.side, self.angle_deg, size)

    def distance(self, other: "Region") -> float:
        """Distance to another region, at least 0.

        The maximum of the distance between the centers relative to the side, the logarithm of the
        ratio of the sides, and the angle between the regions relative to 90 degrees.
        """
        shift = math.dist(self.center, other.center) / self.side
        angle_deg = (self.angle_deg - other.angle_deg + 180) % 360 - 180
        return max(shift, abs(math.log(other.side / self.side)), abs(angle_deg) / 90)


def roi_from_detection(detection: Detection, scale: float) -> Region:
    """The region of a detected face, rotated by the eye line if the detection has landmarks.

    Args:
        detection: with landmarks of a scheme that has eyes, or without landmarks.
        scale: side of the region relative to the longer side of the box.
    """
    box = detection.box
    angle_deg = 0.0
    if detection.landmarks is not None:
        angle_deg = eye_line_angle_deg(detection.landmarks)
    return Region(box.center, scale * max(box.width, box.height), angle_deg)


def roi_from_landmarks(landmarks: Landmarks, scale: float = 1.5) -> Region:
    """The region around known landmarks, for a second pass or for the next frame.

    Args:
        landmarks: of a scheme that covers the whole face.
        scale: side of the region relative to the longer side of the landmarks' rotated box.
    """
    angle_deg = eye_line_angle_deg(landmarks)
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    upright = np.array([[cos, sin], [-sin, cos]], np.float32) @ landmarks.points[:, :2].T
    (left, top), (right, bottom) = upright.min(axis=1).tolist(), upright.max(axis=1).tolist()
    x, y = (left + right) / 2, (top + bottom) / 2
    side = max(right - left, bottom - top, 1e-3)
    return Region((cos * x - sin * y, sin * x + cos * y), scale * side, angle_deg)


def box_from_landmarks(landmarks: Landmarks) -> Box:
    """The axis-aligned bounding box of all points."""
    xs, ys = landmarks.points[:, 0], landmarks.points[:, 1]
    return Box(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))


# Distance between the regions from the landmarks and from the box above which a second pass runs.
# On 43 annotated faces (benchmarks/detection.py), a second pass for all of them lowers the
# normalized mean error without the jaw from 0.0508 to 0.0478; with this rule it is 0.0490 with 16
# second passes. For boxes shifted by a tenth it falls from 0.068 to 0.054.
_SECOND_PASS_DISTANCE = 0.08
# Blendshapes depend on tenths of a pixel, and so on the region. From the region of the landmarks,
# to which streams settle, the largest difference of a still from a stream is 0.03 instead of 0.08
# in the mean of the people of the London set, and 0.08 instead of 0.13 in news photographs. That
# takes 2.3 and 2.7 passes.
_STEADY_DISTANCE = 0.01


class FaceMesh:
    """Kartynnik et al., "Real-time facial surface geometry from monocular video on mobile GPUs",
    2019.

    Args:
        entry: a model whose spec has the parameters ``scheme``, the landmark scheme, and
            ``roi_scale``, the side of its input region relative to the longer side of the face's
            box. Its outputs are the points ``(1, K, 3)`` in input pixels and the logit of the face
            presence.
        presence: another one, whose presence is taken for what a detector found. Of such finds in
            pictures without people, face-landmarker confirms 37 %, and facemesh 9 %.
        threads, provider: see :class:`mien.runtime.session.Session`.

    Raises:
        SpecError: a parameter is missing.
        ProviderError: the provider is not installed.
    """

    def __init__(
        self,
        entry: CatalogEntry,
        *,
        presence: "FaceMesh | None" = None,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        self._presence = presence
        self.scheme, self._roi_scale = read_parameters(entry.spec, scheme=str, roi_scale=float)
        self.name = entry.spec.name
        self._input = entry.spec.input
        self._session = Session(entry.path, threads=threads, provider=provider)
        has_blendshapes = self.name == BLENDSHAPE_LANDMARKS
        self._passes = (_STEADY_DISTANCE, 3) if has_blendshapes else (_SECOND_PASS_DISTANCE, 2)

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """See :meth:`mien.landmarks.LandmarkPredictor.predict`."""
        found = [self._predict_detection(image, detection) for detection in detections]
        if self._presence is None:
            return found
        judged = self._presence.predict(image, detections)
        return [
            Landmarks(points.points, points.scheme, other.presence)
            for points, other in zip(found, judged, strict=True)
        ]

    def _predict_detection(self, image: Image, detection: Detection) -> Landmarks:
        region = roi_from_detection(detection, self._roi_scale)
        landmarks = self.predict_region(image, region)
        steady, most = self._passes
        for _ in range(most - 1):
            better = roi_from_landmarks(landmarks, self._roi_scale)
            if better.distance(region) <= steady:
                break
            region, landmarks = better, self.predict_region(image, better)
        return landmarks

    def predict_region(self, image: Image, region: Region) -> Landmarks:
        """Landmarks of the face in a square region, in pixels of the image."""
        return self._predict(image, region)

    def predict_mirrored(self, image: Image, region: Region) -> Landmarks:
        """The same in the mirror image about the left edge, so that x is below 0."""
        return self._predict(image, region, mirrored=True)

    def _predict(self, image: Image, region: Region, *, mirrored: bool = False) -> Landmarks:
        size = self._input.size_wh[0]
        transform = region.transform(size)
        crop = imaging.lit(imaging.warp(image, transform, self._input.size_wh))
        if mirrored:
            crop = np.ascontiguousarray(crop[:, ::-1])
        batch = imaging.to_input([crop], self._input)
        points, logit = self._session.run({self._input.name: batch})[:2]
        points = points.reshape(-1, 3)
        if mirrored:
            points[:, 0] = size - points[:, 0]
        in_image = geometry.apply_transform(geometry.invert(transform), points)
        if mirrored:
            in_image[:, 0] *= -1
        presence = 1 / (1 + math.exp(-max(-80.0, min(80.0, logit.item()))))
        return Landmarks(in_image.astype(np.float32), self.scheme, presence)


class Blendshapes:
    """MediaPipe's blendshapes: 52 values in [0, 1] by ARKit's names.

    Safe to share between threads and to use after a fork. The architecture is that of Tolstikhin et
    al., "MLP-Mixer: an all-MLP architecture for vision", 2021.

    Args:
        entry: a model whose spec has the parameters ``scheme``, the landmark scheme, ``points``,
            the indices of the points that it reads, and ``names``, those of its outputs.
        threads, provider: see :class:`mien.runtime.session.Session`.

    Attributes:
        name: of the model.
        scheme: of the landmarks that it reads.

    Raises:
        SpecError: a parameter is missing.
        ProviderError: the provider is not installed.
    """

    def __init__(self, entry: CatalogEntry, *, threads: int = 1, provider: str = "cpu") -> None:
        self.scheme, self._points, self._names = read_parameters(
            entry.spec, scheme=str, points=lambda v: [int(k) for k in v], names=list
        )
        self.name = entry.spec.name
        self._input = entry.spec.input.name
        self._session = Session(entry.path, threads=threads, provider=provider)

    def predict(self, landmarks: Landmarks) -> Mapping[str, float] | None:
        """The value of each blendshape in [0, 1]; None for landmarks of another scheme.

        The face should be less tilted than 30 degrees: the values are those of MediaPipe, which
        depend on the tilt.
        """
        if landmarks.scheme != self.scheme:
            return None
        points = landmarks.points[self._points, :2]
        (values,) = self._session.run({self._input: points[np.newaxis, np.newaxis]})
        return dict(zip(self._names, values[0].tolist(), strict=True))


_NAMES = "facemesh, face-landmarker, detector"


def build_landmarks(
    name: str | Path | LandmarkPredictor = "default", *, threads: int = 1, provider: str = "cpu"
) -> LandmarkPredictor:
    """Build a landmark model by name, or from a model file.

    Args:
        name: name of the model or path of its file; ``"default"`` is facemesh, and ``"detector"``
            uses the landmarks of the face detector. A predictor is returned as it is.
        threads, provider: see :class:`mien.runtime.session.Session`.

    Raises:
        ModelNotFoundError: no such model.
        SpecError: the model has no spec, or is for another task.
        ProviderError: the provider is not installed.
        SettingError: neither a name nor a predictor.
    """
    if not isinstance(name, str | Path):
        expected = "landmarks with a name, a scheme and a method predict(image, detections)"
        check_stage(name, LandmarkPredictor, expected)
        return name
    if name == "detector":
        return _DetectorLandmarks()
    try:
        entry = catalog.find("facemesh" if name == "default" else name)
    except ModelNotFoundError:
        if catalog.looks_like_a_path(name):
            raise
        raise ModelNotFoundError(
            f"expected a landmark model ({_NAMES}) or the path of a model file, got {name!r}"
        ) from None
    architecture = entry.spec.parameters.get("architecture", "facemesh")
    if entry.spec.task != "landmarks" or architecture != "facemesh":
        raise SpecError(
            f"expected a landmark model ({_NAMES}), got {str(name)!r} for {entry.spec.task} "
            f"with architecture {architecture!r}"
        )
    presence = None
    if entry.spec.name == BLENDSHAPE_LANDMARKS:
        presence = FaceMesh(catalog.find("facemesh"), threads=threads, provider=provider)
    return FaceMesh(entry, presence=presence, threads=threads, provider=provider)


def build_blendshapes(
    scheme: str, *, threads: int = 1, provider: str = "cpu"
) -> Blendshapes | None:
    """Build the model of blendshapes for landmarks of a scheme; None where there is none.

    Args:
        scheme: of the landmarks; those with irises have one.
        threads, provider: see :class:`mien.runtime.session.Session`.

    Raises:
        ProviderError: the provider is not installed.
    """
    entry = catalog.find("face-blendshapes", task="blendshapes")
    if entry.spec.parameters["scheme"] != scheme:
        return None
    return Blendshapes(entry, threads=threads, provider=provider)
