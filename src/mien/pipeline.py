"""The three steps in order: detect faces, find their landmarks, classify their expressions."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.config import Settings
from mien.detection import FaceDetector, FaceSearch, build_detector
from mien.errors import InputError
from mien.expression import ExpressionClassifier, build_classifier
from mien.expression.crop import face_crop
from mien.landmarks import LandmarkPredictor, build_landmarks
from mien.signals import measure_face
from mien.types import (
    AlignedCrop,
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    Image,
    Landmarks,
)


class FacePipeline:
    """Analyzes images, one at a time and without memory of the ones before.

    Models are loaded at the first image, or by :meth:`warm_up`. One pipeline may be shared between
    threads, may be made before a fork, and may be called from asyncio by ``asyncio.to_thread``.
    OpenCV is told how many threads to use, in the whole process: as many as the settings allow
    where the detector is one of its own, else one.

    Args:
        settings: by default those of the environment.
        detector, landmarks, classifier: stages of your own in the place of those that the
            settings name.

    Raises:
        MienError: a setting, a model or a provider cannot be used; see :mod:`mien.errors`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        detector: FaceDetector | None = None,
        landmarks: LandmarkPredictor | None = None,
        classifier: ExpressionClassifier | None = None,
    ) -> None:
        self.settings = settings = settings or Settings.from_environment()
        threads, provider = settings.threads, settings.provider
        self.detector = detector or build_detector(
            settings.detector, tiles=settings.tiles, threads=threads, provider=provider
        )
        # Beside networks, which run elsewhere, OpenCV only has small pictures to warp.
        imaging.limit_threads(1 if isinstance(self.detector, FaceSearch) else threads)
        self.landmarks = landmarks or build_landmarks(
            settings.landmarks, threads=threads, provider=provider
        )
        self.classifier = classifier or build_classifier(
            settings.model, prior=settings.prior, threads=threads, provider=provider
        )

    def analyze(
        self,
        image: npt.ArrayLike,
        *,
        boxes: npt.ArrayLike | None = None,
        source: str | None = None,
    ) -> FrameResult:
        """Find every face and its apparent expression.

        Args:
            image: ``(H, W, 3)`` RGB uint8, or whatever :func:`mien.imaging.as_rgb` understands.
            boxes: ``(N, 4)`` faces that are known already, as x_min, y_min, x_max, y_max in
                pixels; no detector runs then, and the faces keep this order.
            source: what the result shall call the image.

        Returns:
            Faces from left to right; none where there is no face.

        Raises:
            InputError: not an image, or not boxes.
        """
        clock = _Clock()
        rgb = imaging.as_rgb(image)
        detections = self.detect(rgb) if boxes is None else _given_detections(boxes)
        clock.lap("detect")
        faces = self.describe(rgb, detections, clock=clock)
        return FrameResult(
            faces=tuple(faces),
            image_size_wh=(rgb.shape[1], rgb.shape[0]),
            timings_ms=clock.laps_ms,
            models=self.models,
            source=source,
        )

    def detect(self, image: Image) -> list[Detection]:
        """The first step: faces of an RGB image, from left to right."""
        found = self.detector.detect(image, min_score=self.settings.min_score)
        if self.settings.max_faces:
            found.sort(key=lambda detection: -detection.box.width * detection.box.height)
            found = found[: self.settings.max_faces]
        return sorted(found, key=lambda detection: detection.box.center[0])

    def describe(
        self,
        image: Image,
        detections: Sequence[Detection],
        *,
        landmarks: Sequence[Landmarks] | None = None,
        clock: "_Clock | None" = None,
    ) -> list[Face]:
        """The second and third step, for faces that were detected.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            detections: the faces.
            landmarks: one for each detection, where they are known already.

        Returns:
            One face for each detection, in order.
        """
        clock = clock or _Clock()
        if landmarks is None:
            landmarks = self.landmarks.predict(image, detections)
        clock.lap("landmarks")
        crops = [
            self.align(image, detection, points).image
            for detection, points in zip(detections, landmarks, strict=True)
        ]
        clock.lap("align")
        expressions = self.classify(crops)
        clock.lap("classify")
        faces = [
            measure_face(image, Face(detection, landmarks=points, expression=scores))
            for detection, points, scores in zip(detections, landmarks, expressions, strict=True)
        ]
        clock.lap("measure")
        return faces

    def align(self, image: Image, detection: Detection, landmarks: Landmarks) -> AlignedCrop:
        """Cut out a face as the expression model expects it; see :func:`face_crop`."""
        return face_crop(image, detection.box, landmarks, self.classifier.spec)

    def classify(self, crops: Sequence[npt.ArrayLike]) -> list[ExpressionScores]:
        """The third step alone, for one's own crops.

        Args:
            crops: faces, ``(H, W)`` gray or ``(H, W, 3)`` RGB uint8, or whatever else
                :func:`mien.imaging.as_rgb` understands. They are resized to the model's input; its
                accuracy holds for crops aligned as its template says, as :meth:`align` makes them.

        Raises:
            InputError: one is no image.
        """
        size_wh = self.classifier.spec.input.size_wh
        fitting = [
            crop if crop.shape[1::-1] == size_wh else imaging.resize(crop, size_wh)
            for crop in map(_as_crop, crops)
        ]
        return self.classifier.classify(fitting)

    @property
    def models(self) -> dict[str, str]:
        """The name of the model behind each step, and the prior of the probabilities."""
        return {
            "detector": self.detector.name,
            "landmarks": self.landmarks.name,
            "expression": self.classifier.name,
            "prior": self.classifier.prior,
        }

    def warm_up(self) -> None:
        """Load every model now instead of at the first image."""
        self.analyze(np.zeros((64, 64, 3), np.uint8), boxes=[(8, 8, 56, 56)])
        self.detector.detect(np.zeros((64, 64, 3), np.uint8))


def _as_crop(crop: npt.ArrayLike) -> Image:
    """Gray stays gray, for models that want it so."""
    array = np.asarray(crop)
    gray = array.dtype == np.uint8 and array.ndim == 2 and array.size
    return array if gray else imaging.as_rgb(array)


class _Clock:
    """Wall time between laps, in milliseconds."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = 1000 * (now - self._last)
        self._last = now


def _given_detections(boxes: npt.ArrayLike) -> list[Detection]:
    try:
        array = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"expected boxes of shape (N, 4) in pixels, got {boxes!r}") from None
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(
            f"expected boxes of shape (N, 4) as x_min, y_min, x_max, y_max, got {array.shape}"
        )
    return [Detection(Box(*(float(value) for value in row)), score=1.0) for row in array]
