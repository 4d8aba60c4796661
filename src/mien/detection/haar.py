"""OpenCV's Haar cascades: faces and eyes without a neural network."""

import threading
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.detection.base import drop_repeated
from mien.errors import ModelFileError
from mien.runtime.catalog import CatalogEntry
from mien.types import Box, Detection, Image, Landmarks

# Larger images are shrunk to this longer side, because the cost grows with the area.
_MAX_SIDE = 1280
_MIN_FACE = 24
_SCALE_STEP = 1.1

# Maps a cascade's weight to a score: a logistic function fitted to its boxes (three neighbors) on
# dlib's nine annotated group photographs, every eighth of muxspace's 1,297 facial expression
# photographs and half of the London set, weighted equally. At a score of 0.5 it finds 40 of the 43
# faces in the groups, with 3 false positives.
_WEIGHT_SLOPE, _WEIGHT_OFFSET = 0.90, -1.16
_MIN_NEIGHBORS = 3

# Eyes are searched in the upper part of a face resized to this width, near their mean position in
# 234 faces. The median distance to FaceMesh's eyes is 5 % of the eye distance; for the mean
# position, which is used where no eye is found, it is 8 %.
_FACE_WIDTH = 100
_UPPER_PART = 0.6
_EYE_PLACES = np.array([[0.30, 0.392], [0.70, 0.392]])
_EYE_RADIUS = 0.12
_EYE_SIZES = (15, 45)
_EYE_SCALE_STEP = 1.05


class HaarDetector:
    """Viola and Jones, "Rapid object detection using a boosted cascade of simple features", 2001.

    Its detections carry landmarks of the scheme ``"eyes2"``: left and right eye as seen in the
    image, found by the eye cascade or placed at their mean position. It finds upright frontal faces
    of at least 24 pixels (in images larger than 1280 pixels, proportionally more), and runs on the
    CPU with OpenCV's threads (``cv2.setNumThreads``).

    Args:
        face: the face cascade.
        eye: the eye cascade.
    """

    def __init__(self, face: CatalogEntry, eye: CatalogEntry) -> None:
        self.name = "haar"
        self._paths = (face.path, eye.path)
        # A cascade keeps state while it runs, so each thread has its own.
        self._local = threading.local()

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`."""
        faces, eyes = self._cascades()
        height, width = image.shape[:2]
        shrink = min(1.0, _MAX_SIDE / max(width, height))
        if shrink < 1:
            image = imaging.resize(
                image, (max(1, round(width * shrink)), max(1, round(height * shrink)))
            )
        gray = imaging.to_gray(image)
        boxes, _, weights = faces.detectMultiScale3(
            gray,
            scaleFactor=_SCALE_STEP,
            minNeighbors=_MIN_NEIGHBORS,
            minSize=(_MIN_FACE, _MIN_FACE),
            outputRejectLevels=True,
        )
        found = []
        for (left, top, wide, high), weight in zip(boxes, np.ravel(weights), strict=True):
            score = 1 / (1 + np.exp(-(_WEIGHT_SLOPE * float(weight) + _WEIGHT_OFFSET)))
            if score < min_score:
                continue
            points = _find_eyes(eyes, gray[top : top + high, left : left + wide])
            points += (left, top)
            box = np.array([left, top, left + wide, top + high]) / shrink
            found.append(
                Detection(
                    Box(*(float(value) for value in box)),
                    float(score),
                    Landmarks((points / shrink).astype(np.float32), "eyes2"),
                )
            )
        return [found[i] for i in drop_repeated(found)]

    def _cascades(self) -> tuple[cv2.CascadeClassifier, cv2.CascadeClassifier]:
        if not hasattr(self._local, "cascades"):
            self._local.cascades = tuple(_load(path) for path in self._paths)
        cascades: tuple[cv2.CascadeClassifier, cv2.CascadeClassifier] = self._local.cascades
        return cascades


def _load(path: Path) -> cv2.CascadeClassifier:
    try:
        cascade = cv2.CascadeClassifier(str(path))
    except cv2.error as error:
        raise ModelFileError(
            f"expected a Haar cascade in {path}, but it cannot be read: {error}"
        ) from None
    if cascade.empty():
        raise ModelFileError(f"expected a Haar cascade in {path}, but there is none")
    return cascade


def _find_eyes(cascade: cv2.CascadeClassifier, face: Image) -> npt.NDArray[np.float64]:
    """Centers of the left and right eye ``(2, 2)`` in pixels of a square gray face."""
    side = face.shape[1]
    upper = face[: max(1, round(_UPPER_PART * face.shape[0]))]
    scale = _FACE_WIDTH / side
    small = imaging.resize(upper, (_FACE_WIDTH, max(1, round(upper.shape[0] * scale))))
    low, high = _EYE_SIZES
    boxes, _, weights = cascade.detectMultiScale3(
        small,
        scaleFactor=_EYE_SCALE_STEP,
        minNeighbors=1,
        minSize=(low, low),
        maxSize=(high, high),
        outputRejectLevels=True,
    )
    places = _EYE_PLACES.copy()
    if len(boxes):
        centers = (np.asarray(boxes)[:, :2] + np.asarray(boxes)[:, 2:] / 2) / _FACE_WIDTH
        for place in places:
            place[:] = _best_near(place, centers, np.ravel(weights))
    return np.asarray(places * side)


def _best_near(
    place: npt.NDArray[np.float64], centers: npt.NDArray[np.float64], weights: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    (near,) = np.nonzero(np.linalg.norm(centers - place, axis=1) < _EYE_RADIUS)
    if not near.size:
        return place
    return np.asarray(centers[near[np.asarray(weights)[near].argmax()]])
