"""The three steps in order: detect faces, find their landmarks, classify their expressions."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Unpack

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.config import PipelineKeywords, Settings, given_settings, shows_settings
from mien.detection import FaceDetector, FaceSearch, build_detector, build_verifier
from mien.detection.base import Found, KnownBoxes, find_faces, given_detections
from mien.detection.halftone import without_dots
from mien.detection.verifier import FaceVerifier, Look, Looks, Verdict
from mien.expression import ExpressionClassifier, build_classifier
from mien.expression.crop import as_crops, face_crop
from mien.imaging import LargeImage, OpenedImage
from mien.landmarks import (
    FaceMesh,
    LandmarkPredictor,
    build_blendshapes,
    build_landmarks,
    find_landmarks,
)
from mien.signals import Camera, measure_face, with_sure_gaze
from mien.signals.pose import USUAL_FOCAL_LENGTH
from mien.signals.quality import cut_by
from mien.tracking.smoothing import resting_face
from mien.types import AlignedCrop, Detection, ExpressionScores, Face, FrameResult, Image, Landmarks

# Where the first look finds no face, a second one must be surer. Of 692 pictures without a person,
# a larger view around what was denied has a false face in 5, with presences of 0.06, 0.07, 0.21,
# 0.37 and 0.91, and weak candidates are one in 2 (0.90 and 0.97). In 3,180 tight crops and 1,000
# faces of FER+ the view finds 30: 28 have 0.43 or more, 2 have 0.1; weak candidates are 1 (0.92).
_CLOSE_PRESENCE = 0.4
_WEAK_PRESENCE = 0.97
# Of a large image, the part around a face is read: all stages look at less.
_PART_SCALE = 2.5
_LIMITED = (
    "more than 1,000 places look like faces, and only the best were looked at: "
    "faces may be missing; divide the picture"
)


class FacePipeline:
    """Analyzes images, one at a time and independently of each other.

    Models are loaded at the first image, or by :meth:`warm_up`. One pipeline may be shared between
    threads, created before a fork, and called from asyncio by ``asyncio.to_thread``. OpenCV's
    threads are set for the whole process: as in the settings for its detector, else one.

    Args:
        settings: by default those of :class:`mien.Settings`; the environment is not read.
        detector, landmarks: overrides the setting, or is a stage of your own.
        classifier: a stage of your own instead of `model`.
        model, min_score, min_presence, tiles, max_faces, prior, max_megapixels, focal_length, \
threads, provider: override the settings; see :class:`mien.Settings`.
        neutral: RGB photograph of a person at rest, with one face. Action units of all faces are
            measured from it, with the landmarks that blendshapes need; in a stream those of one
            person, see :class:`mien.StreamSettings`. As an attribute, its face.

    Raises:
        InputError: not one face in `neutral`.
        MienError: a setting, a model or a provider cannot be used; see :mod:`mien.errors`.

    Examples:
        >>> len(mien.FacePipeline(max_faces=1).analyze(mien.read_image("photo.jpg")))
        1
    """

    @shows_settings
    def __init__(
        self,
        settings: Settings | None = None,
        *,
        detector: str | FaceDetector | None = None,
        landmarks: str | LandmarkPredictor | None = None,
        classifier: ExpressionClassifier | None = None,
        neutral: npt.ArrayLike | None = None,
        **keywords: Unpack[PipelineKeywords],
    ) -> None:
        settings = given_settings(settings).override(
            detector=detector if isinstance(detector, str) else None,
            landmarks=landmarks if isinstance(landmarks, str) else None,
            **keywords,
        )
        self.settings = settings = settings if neutral is None else settings.with_blendshapes()
        threads, provider = settings.threads, settings.provider
        self.detector: FaceDetector = build_detector(
            settings.detector if detector is None or isinstance(detector, str) else detector,
            tiles=settings.tiles,
            threads=threads,
            provider=provider,
        )
        # With networks, which run in onnxruntime, OpenCV only warps small pictures.
        imaging.limit_threads(1 if isinstance(self.detector, FaceSearch) else settings.threads)
        self.landmarks: LandmarkPredictor = build_landmarks(
            settings.landmarks if landmarks is None or isinstance(landmarks, str) else landmarks,
            threads=threads,
            provider=provider,
        )
        self.blendshapes = build_blendshapes(
            self.landmarks.scheme, threads=threads, provider=provider
        )
        # It is trained with the presence that these landmarks have.
        self.verifier: FaceVerifier | None = None
        if isinstance(self.landmarks, FaceMesh):
            self.verifier = build_verifier(threads=threads, provider=provider)
        self.classifier = classifier or build_classifier(
            settings.model, prior=settings.prior, threads=threads, provider=provider
        )
        self.neutral: Face | None = None
        self.neutral = None if neutral is None else resting_face(self.analyze(neutral))

    def analyze(
        self, image: npt.ArrayLike, *, boxes: KnownBoxes | None = None, source: str | None = None
    ) -> FrameResult:
        """Find every face and its apparent expression.

        Args:
            image: ``(H, W, 3)`` RGB uint8, or what :func:`mien.imaging.as_rgb` accepts.
            boxes: known faces, `Box` or ``(N, 4)`` as x_min, y_min, x_max, y_max in pixels; the
                detector does not run then, and the faces keep this order.
            source: name of the image in the result.

        Returns:
            Faces from left to right; none where there is no face. Detections with a lower
            presence than `min_presence` are left out, boxes never.

        Raises:
            InputError: invalid image or boxes.
        """
        return self._analyze(imaging.as_rgb(image), boxes, source)

    def _analyze(
        self,
        rgb: Image,
        boxes: KnownBoxes | None,
        source: str | None,
        focal_length: float | None = None,
    ) -> FrameResult:
        clock = _Clock()
        if boxes is None:
            search, found = self._seek(rgb, clock)
            # Photographs have fine patterns, too, and the faces in front of them are sharp.
            if (smooth := without_dots(rgb)) is not rgb:
                other = self._seek(smooth, clock)
                if len(other[1]) > len(found):
                    rgb, (search, found) = smooth, other
        else:
            search, found = Found([], []), self._looks(rgb).at(given_detections(boxes, rgb.shape))
        described = self._describe_found(rgb, found, clock, self.camera_of(rgb, focal_length))
        return self._result(rgb, described, clock, source, limited=search.limited)

    def _result(
        self,
        image: Image | LargeImage,
        faces: Sequence[Face],
        clock: "_Clock",
        source: str | None,
        limited: bool,
    ) -> FrameResult:
        return FrameResult(
            tuple(faces),
            image_size_wh=(image.shape[1], image.shape[0]),
            timings_ms=clock.laps_ms,
            models=self.models,
            source=source,
            warnings=(_LIMITED,) if limited else (),
        )

    def camera_of(self, image: Image | LargeImage, focal_length: float | None = None) -> Camera:
        """The camera of a whole image, by the focal length of the settings, or of its file."""
        known = self.settings.focal_length or focal_length or USUAL_FOCAL_LENGTH
        return Camera.of(image.shape[1], image.shape[0], known)

    def analyze_opened(
        self, opened: OpenedImage, *, boxes: KnownBoxes | None = None, source: str | None = None
    ) -> FrameResult:
        """As :meth:`analyze`, for what :func:`mien.media.images.open_image` returns."""
        image = opened.pixels
        if not isinstance(image, LargeImage):
            result = self._analyze(image, boxes, source, opened.focal_length)
        elif boxes is not None or not isinstance(self.detector, FaceSearch):
            result = self._analyze(image.whole(), boxes, source, opened.focal_length)
        else:
            result = self._analyze_large(image, self.detector, source, opened.focal_length)
        if opened.read is not None:
            faces = tuple(cut_by(face, opened.read) for face in result.faces)
            result = replace(result, faces=faces)
        return replace(result, warnings=(*result.warnings, *opened.warnings))

    def _analyze_large(
        self,
        image: LargeImage,
        detector: FaceSearch,
        source: str | None,
        focal_length: float | None,
    ) -> FrameResult:
        clock = _Clock()
        search = detector.search_still(image, self.settings.min_score)
        candidates = search.faces
        clock.lap("detect")
        if not self.settings.max_faces:  # in rows, as the picture is decoded
            candidates.sort(key=lambda found: found.box.y_min)
        else:
            candidates.sort(key=lambda found: -found.box.area)
        faces: list[Face] = []
        whole = self.camera_of(image, focal_length)
        for candidate in candidates:
            part, (x, y), factor = imaging.around_box(image, candidate.box, _PART_SCALE)
            local = candidate.moved(-x / factor, -y / factor, 1 / factor)
            camera = whole.moved(-x / factor, -y / factor, 1 / factor)
            described = self._describe_found(
                part, self._present(self._looks(part), [local]), clock, camera
            )
            faces += [face.moved(x, y, factor) for face in described]
            if len(faces) == self.settings.max_faces:
                break
        faces.sort(key=lambda face: face.box.center[0])
        return self._result(image, faces, clock, source, limited=search.limited)

    def detect(self, image: Image, *, still: bool = False) -> list[Detection]:
        """The first step: faces of an image, from left to right; `still`: as in a photograph."""
        image = imaging.as_rgb(image)
        looks = self._looks(image) if still else None
        found = self._search(image, looks).faces[: self.settings.max_faces or None]
        return sorted(found, key=lambda detection: detection.box.center[0])

    def _looks(self, image: Image) -> Looks:
        return Looks(image, self.landmarks, self.verifier, self.settings.min_presence)

    def _seek(self, image: Image, clock: "_Clock") -> tuple[Found, list[Look]]:
        search = self._search(image, looks := self._looks(image))
        clock.lap("detect")
        return search, self._present(looks, search.faces) or self._found_again(looks, search)

    def _search(self, image: Image, looks: Looks | None) -> Found:
        """Every detection, the largest first; in a still, with looks, also some weaker ones."""
        least = self.settings.min_score
        if looks is not None and isinstance(self.detector, FaceSearch):
            found = self.detector.search_still(image, least, judge=looks)
        else:
            found = Found(find_faces(self.detector, image, least), [])
        found.faces.sort(key=lambda face: -face.box.width * face.box.height)
        return found

    def _present(self, looks: Looks, candidates: Sequence[Detection]) -> list[Look]:
        """Of candidates, the largest first, `max_faces` that nothing denies, from left to right."""
        faces: list[Look] = []
        waiting, wanted = list(candidates), self.settings.max_faces or len(candidates)
        while waiting and len(faces) < wanted:
            batch, waiting = waiting[: wanted - len(faces)], waiting[wanted - len(faces) :]
            for found in looks.at(batch):
                _, points, verdict = found
                presence = points.presence if verdict.presence is None else verdict.presence
                if presence is None or presence >= self.settings.min_presence:
                    faces.append(found)
        return sorted(faces, key=lambda found: found[0].box.center[0])

    def _found_again(self, looks: Looks, denied: Found) -> list[Look]:
        """Where no face is found: a larger one around what was denied, or one with a low score."""
        if not isinstance(self.detector, FaceSearch):
            return []
        least = self.settings.min_score
        close = self.detector.detect_close(looks.image, least) if denied.faces else []
        found = [
            face
            for face in self._present(looks, close)
            if face[2].presence is None or face[2].presence >= _CLOSE_PRESENCE
        ]
        if found or self.verifier is None or least > Settings().min_score:
            return found
        return [
            face
            for face in looks.at(denied.faint)
            if min(face[1].presence or 0.0, face[2].presence or 0.0) >= _WEAK_PRESENCE
        ]

    def _describe_found(
        self, image: Image, found: Sequence[Look], clock: "_Clock", camera: Camera | None = None
    ) -> list[Face]:
        detections, points, verdicts = zip(*found, strict=True) if found else ((), (), ())
        return self.describe(
            image, detections, landmarks=points, verdicts=verdicts, camera=camera, clock=clock
        )

    def describe(
        self,
        image: Image,
        detections: Sequence[Detection],
        *,
        landmarks: Sequence[Landmarks] | None = None,
        verdicts: Sequence[Verdict] | None = None,
        camera: Camera | None = None,
        clock: "_Clock | None" = None,
    ) -> list[Face]:
        """The second and third step: one face for each detection, in order.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            detections: the faces.
            landmarks, verdicts: one for each detection, where they are known.
            camera: of the image; by default as if it were whole.
        """
        clock, camera = clock or _Clock(), camera or self.camera_of(image)
        verdicts = verdicts or [Verdict()] * len(detections)
        if landmarks is None:
            landmarks = find_landmarks(self.landmarks, image, detections)
        clock.lap("landmarks")
        blendshapes = [self.read_blendshapes(points) for points in landmarks]
        clock.lap("blendshapes")
        crops = [self.align(image, *pair).image for pair in zip(detections, landmarks, strict=True)]
        clock.lap("align")
        expressions = self.classify(crops)
        clock.lap("classify")
        faces = [
            measure_face(
                image,
                Face(detection, points, scores, blendshapes=shapes),
                camera=camera,
                neutral=self.neutral,
                presence=verdict.presence,
                covered=verdict.covered,
            )
            for detection, points, scores, shapes, verdict in zip(
                detections, landmarks, expressions, blendshapes, verdicts, strict=True
            )
        ]
        faces = [with_sure_gaze(image, face, self.landmarks) for face in faces]
        clock.lap("measure")
        return faces

    def read_blendshapes(self, landmarks: Landmarks) -> Mapping[str, float] | None:
        """Blendshapes of a face; None where the landmarks have no model for them."""
        return None if self.blendshapes is None else self.blendshapes.predict(landmarks)

    def align(self, image: Image, detection: Detection, landmarks: Landmarks) -> AlignedCrop:
        """Cut out a face as the expression model expects it; see :func:`face_crop`."""
        return face_crop(image, detection.box, landmarks, self.classifier.spec)

    def classify(self, crops: Sequence[npt.ArrayLike]) -> list[ExpressionScores]:
        """The third step alone, for crops of your own.

        Args:
            crops: faces, ``(H, W)`` gray or ``(H, W, 3)`` RGB uint8, or what
                :func:`mien.imaging.as_rgb` accepts. They are resized to the model's input; its
                accuracy holds for crops aligned as its template says, as :meth:`align` makes them.

        Returns:
            Calibrated probabilities, one for each crop, in order.

        Raises:
            InputError: one is not an image, or it is one crop instead of a list.
        """
        size_wh = self.classifier.spec.input.size_wh
        fitting = [
            crop if crop.shape[1::-1] == size_wh else imaging.resize(crop, size_wh)
            for crop in as_crops(crops)
        ]
        return self.classifier.classify(fitting)

    @property
    def models(self) -> dict[str, str]:
        """The name of the model behind each step, and the prior of the probabilities."""
        verifier = {"verifier": self.verifier.name} if self.verifier else {}
        return {
            "detector": self.detector.name,
            "landmarks": self.landmarks.name,
            **verifier,
            "expression": self.classifier.name,
            "prior": self.classifier.prior,
            **({} if self.blendshapes is None else {"blendshapes": self.blendshapes.name}),
        }

    def warm_up(self) -> None:
        """Load every model now instead of at the first image."""
        self.analyze(np.zeros((64, 64, 3), np.uint8), boxes=[(8, 8, 56, 56)])
        self.detector.detect(np.zeros((64, 64, 3), np.uint8))


class _Clock:
    """Wall time between laps, in milliseconds."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = self.laps_ms.get(name, 0.0) + 1000 * (now - self._last)
        self._last = now
