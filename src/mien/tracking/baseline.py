"""Calibrating expressions to a person's resting face, which may look sad or angry."""

from dataclasses import replace

import numpy as np

from mien.errors import InputError
from mien.geometry import Array
from mien.labels import Expression
from mien.types import ExpressionScores, Face, FrameResult

# Expressions that a face can show at rest. A smile or raised brows are active: frames with one of
# them on top do not count as rest, and their probabilities are never lowered.
_AT_REST = frozenset(Expression) - {Expression.HAPPINESS, Expression.SURPRISE}
_SAMPLE_EVERY_S = 0.1
_FLOOR = 1e-5


class NeutralBaseline:
    """Learns the expression of a resting face, and then corrects for it.

    The baseline is the median, per label, of the log probabilities over the first `seconds` in
    which the face is readable and neither happiness nor surprise is on top. If the baseline of a
    label is above `usual_share`, its later log probabilities are lowered by the difference, at most
    by `max_shift`, and all probabilities are normalized. Neutral is never lowered, and the scores
    of a face that is neutral at rest stay unchanged.

    A person who is sad during the first seconds would be taken as sad at rest, so this is off by
    default. benchmarks/streams measures the effect.

    Args:
        seconds: duration of the rest to learn from.
        usual_share: probability of a label other than neutral that counts as normal at rest.
        max_shift: maximum shift of a log probability; 2 divides the odds by 7.
    """

    def __init__(
        self, *, seconds: float = 3.0, usual_share: float = 0.05, max_shift: float = 2.0
    ) -> None:
        self._sample_count = max(1, round(seconds / _SAMPLE_EVERY_S))
        self._usual = float(np.log(usual_share))
        self._max_shift = max_shift
        self._samples: list[Array] = []
        self._due_s = -np.inf
        self._shift: Array | None = None

    def apply(self, raw: ExpressionScores, weight: float, timestamp_s: float) -> ExpressionScores:
        """The scores corrected for the resting face; unchanged until it is learned.

        Args:
            raw: scores of one frame.
            weight: how readable the face is in it, in [0, 1].
            timestamp_s: time of the frame.
        """
        logs = np.log(np.maximum(raw.probabilities.astype(np.float64), _FLOOR))
        if self._shift is None:
            self._learn(raw, logs, weight, timestamp_s)
            return raw
        corrected = np.exp(logs - self._shift)
        return ExpressionScores(
            raw.labels, (corrected / corrected.sum()).astype(np.float32), raw.uncertain
        )

    def _learn(self, raw: ExpressionScores, logs: Array, weight: float, timestamp_s: float) -> None:
        if weight < 0.5 or raw.top not in _AT_REST or timestamp_s < self._due_s:
            return
        self._due_s = timestamp_s + _SAMPLE_EVERY_S - 1e-3
        self._samples.append(logs)
        if len(self._samples) < self._sample_count:
            return
        rest = np.median(self._samples, axis=0)
        shift = np.clip(rest - self._usual, 0.0, self._max_shift)
        lowered = [label in _AT_REST and label is not Expression.NEUTRAL for label in raw.labels]
        self._shift = np.where(lowered, shift, 0.0)
        self._samples = []


class RestingMovements:
    """Learns a person's resting face: the median of its blendshapes over the first `seconds`.

    People differ at rest: one's brows are raised by a quarter, another's lowered. Only readable
    frames count in which the face seems at rest.

    Args:
        seconds: duration of the rest to learn from.
    """

    def __init__(self, *, seconds: float = 3.0) -> None:
        self.neutral: Face | None = None
        self._sample_count = max(1, round(seconds / _SAMPLE_EVERY_S))
        self._samples: list[Face] = []
        self._due_s = -np.inf

    def update(self, face: Face, weight: float, timestamp_s: float) -> None:
        """Add a frame; `weight` says how readable the face is, in [0, 1]."""
        if self.neutral is not None or weight < 0.5 or timestamp_s < self._due_s:
            return
        if not face.blendshapes or (face.expression and face.expression.top not in _AT_REST):
            return
        self._due_s = timestamp_s + _SAMPLE_EVERY_S - 1e-3
        self._samples.append(face)
        if len(self._samples) == self._sample_count:
            self.neutral = _median(self._samples)
            self._samples = []


def _median(faces: list[Face]) -> Face:
    """The last of the faces, with the median of their blendshapes and openings of the mouth."""
    shapes = [face.blendshapes for face in faces if face.blendshapes]
    openings = [
        face.signals.mouth_opening
        for face in faces
        if face.signals and face.signals.mouth_opening is not None
    ]
    last = faces[-1]
    return replace(
        last,
        blendshapes={name: float(np.median([one[name] for one in shapes])) for name in shapes[0]},
        signals=last.signals
        and replace(last.signals, mouth_opening=float(np.median(openings)) if openings else None),
    )


def resting_face(result: FrameResult) -> Face:
    """The face of a photograph of a person at rest.

    Raises:
        InputError: not exactly one face, or one whose movements cannot be measured.
    """
    expected = "expected one face in the neutral photograph, got "
    if not result.faces:
        raise InputError(f"{expected}none: take one that shows the whole face from the front")
    if len(result.faces) > 1:
        raise InputError(f"{expected}{len(result.faces)}: cut the person out of it")
    (face,) = result.faces
    if face.blendshapes is None:
        raise InputError(f"{expected}one without blendshapes: set the landmarks to face-landmarker")
    return face
