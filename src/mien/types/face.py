"""What is known of one face."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.labels import Expression
from mien.types.regions import Box, Detection, FloatArray, Landmarks, frozen_array
from mien.types.track import TrackStatistics


@dataclass(frozen=True, slots=True, eq=False)
class ExpressionScores:
    """Probabilities of the expressions of one face.

    Attributes:
        labels: the expressions, in the order of the model.
        probabilities: ``(K,)`` float32 in [0, 1], summing to 1.
        uncertain: whether the answer should not be relied upon, by the model's documented rule.
        held: in a stream, the label that is kept until another has clearly taken its place.
    """

    labels: tuple[Expression, ...]
    probabilities: FloatArray
    uncertain: bool = False
    held: Expression | None = None

    def __post_init__(self) -> None:
        probabilities = frozen_array(self.probabilities, "probabilities")
        if probabilities.shape != (len(self.labels),) or not self.labels:
            raise InputError(
                f"expected {len(self.labels)} probabilities, got shape {probabilities.shape}"
            )
        if probabilities.min() < -1e-6 or abs(float(probabilities.sum()) - 1) > 1e-3:
            raise InputError(f"expected probabilities in [0, 1] that sum to 1, got {probabilities}")
        object.__setattr__(self, "probabilities", probabilities)

    @property
    def top(self) -> Expression:
        """The most probable expression, always."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def label(self) -> Expression:
        """The label to show: the most probable one, or in a stream the one that is held."""
        return self.held or self.top

    def __getitem__(self, expression: Expression | str) -> float:
        return float(self.probabilities[self.labels.index(Expression(expression))])

    def ranked(self) -> list[tuple[Expression, float]]:
        """All expressions with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return [(self.labels[i], float(self.probabilities[i])) for i in order]

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label.value,
            "uncertain": self.uncertain,
            "probabilities": {
                label.value: round(float(p), 5)
                for label, p in zip(self.labels, self.probabilities, strict=True)
            },
        }


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a face can be seen.

    Attributes:
        size_px: distance in pixels that the face spans: the square root of its box's area.
        sharpness: see :func:`mien.signals.quality.measure`; unitless, at least 0.
        brightness: mean gray level of the face in [0, 1].
        yaw_deg: turn to the side, positive towards the right edge of the image.
        pitch_deg: nod, positive upwards.
        roll_deg: tilt in the image plane, positive clockwise.
        presence: probability in [0, 1] that the landmarks lie on a face.
        reasons: why the expression should not be trusted; empty when nothing was found wanting.
    """

    size_px: float
    sharpness: float | None = None
    brightness: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    presence: float | None = None
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "size_px": round(float(self.size_px), 1),
            **{
                name: None if value is None else round(float(value), digits)
                for name, value, digits in (
                    ("sharpness", self.sharpness, 3),
                    ("brightness", self.brightness, 3),
                    ("yaw_deg", self.yaw_deg, 1),
                    ("pitch_deg", self.pitch_deg, 1),
                    ("roll_deg", self.roll_deg, 1),
                    ("presence", self.presence, 4),
                )
            },
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Affect:
    """Valence (unpleasant to pleasant) and arousal (calm to excited) in [-1, 1].

    Attributes:
        valence: in [-1, 1].
        arousal: in [-1, 1].
        method: how they were obtained, for example ``"derived from probabilities"``.
    """

    valence: float
    arousal: float
    method: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "valence": round(float(self.valence), 4),
            "arousal": round(float(self.arousal), 4),
            "method": self.method,
        }


@dataclass(frozen=True, slots=True)
class Signals:
    """Measurements of one face in one frame, beyond its expression; see :mod:`mien.signals`.

    Attributes:
        eye_opening_left, eye_opening_right: eye aspect ratio (Soukupová and Čech 2016) of the eye
            on the left and on the right in the image; about 0.3 open and below 0.2 closed.
        mouth_opening: inner lip distance over mouth width, at least 0.
        facing: cosine in [-1, 1] between the face's direction and the line to the camera.
        expressivity: 1 minus the probability of neutral, in [0, 1].
    """

    eye_opening_left: float | None = None
    eye_opening_right: float | None = None
    mouth_opening: float | None = None
    facing: float | None = None
    expressivity: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        return {
            name: None if value is None else round(float(value), 4)
            for name, value in (
                ("eye_opening_left", self.eye_opening_left),
                ("eye_opening_right", self.eye_opening_right),
                ("mouth_opening", self.mouth_opening),
                ("facing", self.facing),
                ("expressivity", self.expressivity),
            )
        }


@dataclass(frozen=True, slots=True)
class Face:
    """One face and all that is known of it; what a stage did not measure is None.

    In a stream `expression` is smoothed over time, `expression_raw` is that of the frame alone,
    and `track` tells what following the face has shown.
    """

    detection: Detection
    landmarks: Landmarks | None = None
    expression: ExpressionScores | None = None
    quality: Quality | None = None
    affect: Affect | None = None
    signals: Signals | None = None
    track_id: int | None = None
    expression_raw: ExpressionScores | None = None
    track: TrackStatistics | None = None

    @property
    def box(self) -> Box:
        return self.detection.box

    @property
    def score(self) -> float:
        return self.detection.score

    def to_dict(self, *, landmarks: bool = False) -> dict[str, Any]:
        document: dict[str, Any] = {
            "box": self.box.to_dict(),
            "score": round(float(self.score), 4),
            "track_id": self.track_id,
            "landmarks": None
            if self.landmarks is None
            else self.landmarks.to_dict(points=landmarks),
            "expression": None if self.expression is None else self.expression.to_dict(),
            "quality": None if self.quality is None else self.quality.to_dict(),
            "affect": None if self.affect is None else self.affect.to_dict(),
            "signals": None if self.signals is None else self.signals.to_dict(),
        }
        if self.track is not None:
            document["track"] = self.track.to_dict()
            document["expression_raw"] = (
                None if self.expression_raw is None else self.expression_raw.to_dict()
            )
        return document
