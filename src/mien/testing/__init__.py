"""Fake stages for the tests of programs that build on mien: deterministic, and no model is loaded.

A fake face is a plain rectangle whose color names its expression. :func:`draw_face` paints one,
:class:`FakeDetector` finds it, :class:`FakeLandmarks` places a mesh on it and
:class:`FakeClassifier` reads its expression back::

    image = face_image([(Box(40, 30, 120, 110), "happiness")])
    result = FakePipeline().analyze(image)
    assert result.faces[0].expression.label == "happiness"

Everything else (the pipeline, tracking, smoothing, drawing) is the real code.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import cv2
import numpy as np

from mien.config import Settings
from mien.detection import FaceDetector
from mien.drawing import EXPRESSION_COLORS
from mien.expression import ExpressionClassifier
from mien.labels import Expression
from mien.landmarks import LandmarkPredictor, Region
from mien.pipeline import FacePipeline
from mien.testing.mesh import face_mesh
from mien.types import (
    BLENDSHAPES,
    AlignmentTemplate,
    Box,
    Detection,
    ExpressionScores,
    Image,
    InputSpec,
    Landmarks,
    ModelSpec,
)

__all__ = [
    "FakeClassifier",
    "FakeDetector",
    "FakeLandmarks",
    "FakePipeline",
    "draw_face",
    "face_frames",
    "face_image",
    "face_mesh",
]

_FakeFace = tuple[Box, Expression | str]
"""Where a fake face is, and the expression that it shows."""
_Rule = Callable[[Image], Mapping[str, float]]
"""From a crop to probabilities by expression."""

_FACE_COLORS = {**EXPRESSION_COLORS, Expression.NEUTRAL: (222, 184, 160)}
"""The RGB color of a fake face by its expression."""

_BACKGROUND = (40, 44, 52)
# Video compression moves colors by up to 20 levels; the nearest two faces differ by 60.
_COLOR_TOLERANCE = 30
_MIN_SIDE_PX = 8
_MIN_FILL = 0.7
_CONFIDENT = 0.86
_CROP_SIDE = 48


def draw_face(image: Image, box: Box, expression: Expression | str = "neutral") -> None:
    """Paint a fake face into an image, in place.

    Args:
        image: ``(H, W, 3)`` RGB uint8, writable.
        box: where; the part outside the image is left out.
        expression: the one that :class:`FakeClassifier` then reports.

    Examples:
        >>> image = np.zeros((240, 320, 3), np.uint8)
        >>> draw_face(image, Box(40, 30, 120, 110), "surprise")
        >>> FakePipeline().analyze(image)[0].expression.label.value
        'surprise'
    """
    height, width = image.shape[:2]
    x_min, x_max = (min(max(0, round(x)), width) for x in (box.x_min, box.x_max))
    y_min, y_max = (min(max(0, round(y)), height) for y in (box.y_min, box.y_max))
    # A faint check, so that the face does not count as blurred.
    ys, xs = np.mgrid[0 : y_max - y_min, 0 : x_max - x_min]
    cell = max(1.0, box.width / 24)
    check = ((xs // cell + ys // cell) % 2 * 16 - 8)[:, :, None]
    color = np.asarray(_FACE_COLORS[Expression(expression)])
    image[y_min:y_max, x_min:x_max] = (color + check).clip(0, 255)


def face_image(faces: Iterable[_FakeFace] = (), size_wh: tuple[int, int] = (320, 240)) -> Image:
    """A dark image with fake faces.

    Args:
        faces: pairs of a box in pixels and an expression.
        size_wh: width and height in pixels.

    Returns:
        ``(H, W, 3)`` RGB uint8.

    Examples:
        >>> face_image([(Box(40, 30, 120, 110), "happiness")]).shape
        (240, 320, 3)
    """
    image = np.full((size_wh[1], size_wh[0], 3), _BACKGROUND, np.uint8)
    for box, expression in faces:
        draw_face(image, box, expression)
    return image


def face_frames(
    count: int = 50,
    *,
    frame_rate: float = 25.0,
    size_wh: tuple[int, int] = (320, 240),
    expressions: Sequence[Expression | str] = ("neutral", "happiness"),
) -> list[tuple[Image, float]]:
    """Frames of one fake face that moves slowly, for :class:`mien.media.sources.ArraySource`.

    Args:
        count: number of frames.
        frame_rate: in frames per second.
        size_wh: width and height of the frames in pixels.
        expressions: shown one after another, each for an equal share of the frames.

    Returns:
        Pairs of an RGB image and its time in seconds.

    Examples:
        >>> from mien import FaceStream
        >>> stream = FaceStream(FakePipeline())
        >>> results = [stream.update(*frame) for frame in face_frames(50)]
        >>> results[-1][0].expression.label.value
        'happiness'
    """
    side = 0.4 * min(size_wh)
    frames = []
    for number in range(count):
        timestamp_s = number / frame_rate
        x = (0.4 + 0.1 * math.sin(timestamp_s)) * size_wh[0] - side / 2
        y = 0.5 * size_wh[1] - side / 2
        expression = expressions[number * len(expressions) // count]
        frames.append(
            (face_image([(Box(x, y, x + side, y + side), expression)], size_wh), timestamp_s)
        )
    return frames


class FakeDetector:
    """A :class:`mien.detection.FaceDetector` that finds fake faces, or returns fixed boxes.

    Args:
        boxes: found in every image; None finds the faces that :func:`draw_face` painted.
        score: of every detection, in [0, 1].
        delay_s: seconds that every call takes, for tests of queues and timeouts.

    Attributes:
        calls: how often :meth:`detect` was called.

    Examples:
        >>> detector = FakeDetector([Box(40, 30, 120, 110)], score=0.8)
        >>> detector.detect(face_image())[0].score
        0.8
    """

    def __init__(
        self, boxes: Sequence[Box] | None = None, *, score: float = 0.95, delay_s: float = 0.0
    ) -> None:
        self.name = "fake-detector"
        self.calls = 0
        self._boxes = boxes
        self._score = score
        self._delay_s = delay_s

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`."""
        self.calls += 1
        if self._delay_s:
            time.sleep(self._delay_s)
        if self._score < min_score:
            return []
        boxes = _painted_boxes(image) if self._boxes is None else self._boxes
        return [Detection(box, self._score, _five_points(box)) for box in boxes]


class FakeLandmarks:
    """A :class:`mien.landmarks.LandmarkPredictor` that places a symmetric mesh in each box.

    It also follows faces in streams, which call :meth:`predict_region`.

    Args:
        presence: probability in [0, 1] that there is a face under the landmarks.
        boxes: where faces are; None follows the faces that :func:`draw_face` painted.

    Attributes:
        presence: as given; may be changed between images.
        eye_opening, mouth_opening: of the meshes; see :func:`face_mesh`. May be changed between
            images, for example to blink.
        yaw_deg: of the meshes, positive toward the right edge of the image.

    Examples:
        >>> eyes = FakeLandmarks()
        >>> eyes.eye_opening = 0.02
        >>> image = face_image([(Box(40, 30, 120, 110), "neutral")])
        >>> FakePipeline(landmarks=eyes).analyze(image)[0].signals.eye_opening_left < 0.1
        True
    """

    def __init__(self, presence: float = 0.99, *, boxes: Sequence[Box] | None = None) -> None:
        self.name = "fake-landmarks"
        self.scheme = "mesh468"
        self.presence = presence
        self.eye_opening = 0.3
        self.mouth_opening = 0.05
        self.yaw_deg = 0.0
        self._boxes = boxes

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """See :meth:`mien.landmarks.LandmarkPredictor.predict`."""
        return [self._mesh(detection.box, self.presence) for detection in detections]

    def predict_region(self, image: Image, region: Region) -> Landmarks:
        """The mesh of the face nearest to the middle of a region; presence 0 where none is."""
        boxes = _painted_boxes(image) if self._boxes is None else self._boxes
        x, y = region.center
        inside = [box for box in boxes if math.dist(box.center, (x, y)) < region.side / 2]
        if inside:
            nearest = min(inside, key=lambda box: math.dist(box.center, (x, y)))
            return self._mesh(nearest, self.presence)
        half = region.side / 3
        return self._mesh(Box(x - half, y - half, x + half, y + half), 0.0)

    def _mesh(self, box: Box, presence: float) -> Landmarks:
        points = face_mesh(
            box,
            eye_opening=self.eye_opening,
            mouth_opening=self.mouth_opening,
            yaw_deg=self.yaw_deg,
        )
        return Landmarks(points, self.scheme, presence)


class FakeClassifier:
    """A :class:`mien.expression.ExpressionClassifier` with a rule instead of a network.

    Args:
        probabilities: by expression, the same for every face; expressions left out have 0, and the
            sum is brought to 1. Or a function from a crop, ``(48, 48, 3)`` RGB uint8, to such
            probabilities. None gives 0.86 to the expression whose color is nearest to the crop's.
        uncertain_below: a top probability below this is marked uncertain.

    Examples:
        >>> classifier = FakeClassifier({"fear": 0.6, "surprise": 0.4}, uncertain_below=0.7)
        >>> scores = classifier.classify([np.zeros((48, 48, 3), np.uint8)])[0]
        >>> scores.top.value, scores.uncertain
        ('fear', True)
    """

    def __init__(
        self,
        probabilities: Mapping[str, float] | _Rule | None = None,
        *,
        uncertain_below: float = 0.5,
    ) -> None:
        self.name = "fake-expression"
        self.prior = "natural"
        self.spec = ModelSpec(
            name=self.name,
            task="expression",
            file="fake-expression.onnx",
            input=InputSpec("image", (_CROP_SIDE, _CROP_SIDE), "rgb", (0.0,) * 3, (255.0,) * 3),
            outputs=("logits",),
            license="MIT",
            source="mien.testing",
            labels=tuple(Expression),
            alignment=AlignmentTemplate(
                "mesh468", (33, 133, 362, 263), ((0.2, 0.35), (0.4, 0.35), (0.6, 0.35), (0.8, 0.35))
            ),
            training_prior=(1 / len(Expression),) * len(Expression),
            uncertain_below=uncertain_below,
        )
        self._probabilities = probabilities

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """See :meth:`mien.expression.ExpressionClassifier.classify`."""
        return [self._scores(crop) for crop in crops]

    def _scores(self, crop: Image) -> ExpressionScores:
        given = self._probabilities
        rule = _by_color if given is None else given
        by_label = rule(crop) if callable(rule) else rule
        values = np.array([by_label.get(label.value, 0.0) for label in self.spec.labels])
        values /= values.sum()
        return ExpressionScores(
            self.spec.labels,
            values.astype(np.float32),
            uncertain=bool(values.max() < self.spec.uncertain_below),
        )


class FakePipeline(FacePipeline):
    """A real :class:`mien.pipeline.FacePipeline` over fake stages.

    Args:
        settings: the defaults if None; the environment is not read.
        boxes: see :class:`FakeDetector` and :class:`FakeLandmarks`.
        probabilities: see :class:`FakeClassifier`.
        blendshapes: those above 0 of every face; without them, as with facemesh, streams do not
            know blinks, closures and yawns.
        detector, landmarks, classifier: stages to use instead of the fake ones.

    Examples:
        >>> image = face_image([(Box(40, 30, 120, 110), "happiness")])
        >>> FakePipeline().analyze(image)[0].expression.label.value
        'happiness'
        >>> FakePipeline(probabilities={"anger": 1}).analyze(image)[0].expression.label.value
        'anger'
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        boxes: Sequence[Box] | None = None,
        probabilities: Mapping[str, float] | _Rule | None = None,
        blendshapes: Mapping[str, float] | None = None,
        detector: FaceDetector | None = None,
        landmarks: LandmarkPredictor | None = None,
        classifier: ExpressionClassifier | None = None,
    ) -> None:
        self._shown = blendshapes
        super().__init__(
            settings or Settings(),
            detector=detector or FakeDetector(boxes),
            landmarks=landmarks or FakeLandmarks(boxes=boxes),
            classifier=classifier or FakeClassifier(probabilities),
        )

    def read_blendshapes(self, landmarks: Landmarks) -> Mapping[str, float] | None:
        """See :meth:`mien.pipeline.FacePipeline.read_blendshapes`."""
        if self._shown is None:
            return super().read_blendshapes(landmarks)
        return dict.fromkeys(BLENDSHAPES, 0.0) | {**self._shown}


def _painted_boxes(image: Image) -> list[Box]:
    """The rectangles of face colors in an RGB image, the largest first."""
    boxes = []
    for color in _FACE_COLORS.values():
        low = np.array([max(0, level - _COLOR_TOLERANCE) for level in color])
        high = np.array([min(255, level + _COLOR_TOLERANCE) for level in color])
        mask = cv2.inRange(image, low, high)
        if not mask.any():
            continue
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for x, y, width, height, area in stats[1:].tolist():
            if min(width, height) >= _MIN_SIDE_PX and area >= _MIN_FILL * width * height:
                boxes.append(Box(x, y, x + width, y + height))
    return sorted(boxes, key=lambda box: -box.area)


def _five_points(box: Box) -> Landmarks:
    shares = np.array([(0.28, 0.35), (0.72, 0.35), (0.5, 0.55), (0.32, 0.77), (0.68, 0.77)])
    points = shares * (box.width, box.height) + (box.x_min, box.y_min)
    return Landmarks(points.astype(np.float32), "five")


def _by_color(crop: Image) -> dict[str, float]:
    quarter = _CROP_SIDE // 4
    color = crop[quarter:-quarter, quarter:-quarter].reshape(-1, 3).mean(axis=0)
    nearest = min(_FACE_COLORS, key=lambda label: math.dist(_FACE_COLORS[label], color))
    rest = (1 - _CONFIDENT) / (len(_FACE_COLORS) - 1)
    return {label.value: _CONFIDENT if label is nearest else rest for label in _FACE_COLORS}
