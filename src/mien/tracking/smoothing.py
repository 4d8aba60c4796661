"""The values of a track over time: smoothed, weighted by quality, and measured from its rest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien.errors import InputError
from mien.geometry import Array
from mien.labels import Expression
from mien.types import (
    ExpressionScores,
    ExpressionState,
    Face,
    FloatArray,
    FrameResult,
    Landmarks,
    Quality,
)


class _OneEuroFilter:
    """A low-pass filter with a cutoff that rises with speed.

    Method: Casiez, Roussel and Vogel, "1 € filter: a simple speed-based low-pass filter for noisy
    input in interactive systems", CHI 2012.

    Args:
        min_cutoff_hz: cutoff frequency of a constant value; lower is smoother and slower.
        beta: increase of the cutoff with speed, in Hz per unit of the value per second.
    """

    _SPEED_CUTOFF_HZ = 1.0

    def __init__(self, min_cutoff_hz: float, beta: float) -> None:
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self._value: Array | None = None
        self._speed: Array | None = None
        self._timestamp_s = 0.0

    def update(self, value: npt.ArrayLike, timestamp_s: float) -> Array:
        """The filtered value, of the same shape as the input."""
        new = np.asarray(value, np.float64)
        elapsed = timestamp_s - self._timestamp_s
        if self._value is None or self._speed is None or self._value.shape != new.shape:
            self._value, self._speed = new, np.zeros_like(new)
        elif elapsed > 0:
            speed = (new - self._value) / elapsed
            self._speed = self._speed + _low_pass(self._SPEED_CUTOFF_HZ, elapsed) * (
                speed - self._speed
            )
            cutoff = self._min_cutoff_hz + self._beta * np.abs(self._speed)
            self._value = self._value + _low_pass(cutoff, elapsed) * (new - self._value)
        self._timestamp_s = timestamp_s
        return self._value


def _low_pass(cutoff_hz: float | Array, elapsed_s: float) -> float | Array:
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * elapsed_s))


class LandmarkSmoother:
    """1 € filter for landmarks in units of the face size.

    Near and far faces are smoothed equally. The speed term passes movements of the whole face.
    """

    _MIN_CUTOFF_HZ = 1.5
    _BETA = 20.0

    def __init__(self) -> None:
        self._filter = _OneEuroFilter(self._MIN_CUTOFF_HZ, self._BETA)
        self._size = 1.0

    def update(self, landmarks: Landmarks, timestamp_s: float) -> Landmarks:
        points = landmarks.points.astype(np.float64)
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        size = max(float((high - low).max()), 1e-6)
        # The size is smoothed, too, so that the unit does not jitter.
        self._size = size if self._size == 1.0 else 0.9 * self._size + 0.1 * size
        smoothed = self._filter.update(points / self._size, timestamp_s) * self._size
        return replace(landmarks, points=smoothed.astype(np.float32))


class BlendshapeSmoother:
    """1 € filter for blendshapes: a value at rest is calm, and a blink passes."""

    _MIN_CUTOFF_HZ = 1.5
    _BETA = 2.0

    def __init__(self) -> None:
        self._filter = _OneEuroFilter(self._MIN_CUTOFF_HZ, self._BETA)

    def update(self, blendshapes: Mapping[str, float], timestamp_s: float) -> dict[str, float]:
        values = self._filter.update(list(blendshapes.values()), timestamp_s)
        return dict(zip(blendshapes, values.clip(0, 1).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How much expressions and labels are smoothed.

    The defaults are the strongest smoothing with at most 250 ms of lag on the synthetic clips of
    benchmarks/streams, which reports the results.

    Attributes:
        time_constant_s: time constant of the exponential mean of the probabilities.
        lead: a new label must be more probable than the held one by this much, in [0, 1].
        hold_s: and for this long without interruption.
        strong_lead: with this lead a new label replaces the held one at once.
        hidden_s: after this time without a readable frame the expression is not visible.
        forget_s: after a gap of this length the mean starts over.
    """

    time_constant_s: float = 0.15
    lead: float = 0.10
    hold_s: float = 0.10
    strong_lead: float = 0.5
    hidden_s: float = 0.5
    forget_s: float = 1.0


class ExpressionSmoother:
    """Smooths the probabilities of one track and holds its label.

    Args:
        settings: how much to smooth.
        uncertain_below: a top probability below this is uncertain; from the model's spec.
    """

    def __init__(
        self, settings: LabelSettings | None = None, *, uncertain_below: float = 0.0
    ) -> None:
        self._settings = settings or LabelSettings()
        self._uncertain_below = uncertain_below
        self._mean: FloatArray | None = None
        self._held: Expression | None = None
        self._challenger: tuple[Expression, float] | None = None
        self._last_s = 0.0
        self._readable_s = -math.inf

    def update(
        self, raw: ExpressionScores, weight: float, timestamp_s: float
    ) -> tuple[ExpressionScores, ExpressionState]:
        """The smoothed scores, and whether they are clear, uncertain or not visible.

        Args:
            raw: scores of this frame.
            weight: how readable the face is in it, in [0, 1]; see :func:`quality_weight`.
            timestamp_s: time of the frame.
        """
        self._blend(raw, weight, timestamp_s)
        assert self._mean is not None
        mean = ExpressionScores(raw.labels, self._mean)
        held = self._hold(mean, timestamp_s)
        if weight > 0.25:
            self._readable_s = timestamp_s
        state: ExpressionState = "clear"
        if timestamp_s - self._readable_s >= self._settings.hidden_s or (
            self._readable_s == -math.inf
        ):
            state = "not visible"
        elif float(self._mean.max()) < self._uncertain_below or self._challenger is not None:
            state = "uncertain"
        scores = replace(mean, uncertain=state != "clear", held=held)
        return scores, state

    def _blend(self, raw: ExpressionScores, weight: float, timestamp_s: float) -> None:
        elapsed = timestamp_s - self._last_s
        self._last_s = timestamp_s
        new = raw.probabilities
        if self._mean is None or elapsed > self._settings.forget_s:
            self._mean, self._held, self._challenger = new, None, None
            return
        # In a frame that is half as readable, half as much time passes for the mean.
        share = 1 - math.exp(-max(elapsed, 0.0) * weight / self._settings.time_constant_s)
        mixed = (1 - share) * self._mean + share * new
        self._mean = mixed / mixed.sum()

    def _hold(self, mean: ExpressionScores, timestamp_s: float) -> Expression:
        if self._held is None:
            self._held = mean.top
        lead = mean[mean.top] - mean[self._held]
        if mean.top is self._held or lead < self._settings.lead:
            self._challenger = None
        elif self._challenger is None or self._challenger[0] is not mean.top:
            self._challenger = (mean.top, timestamp_s)
        if self._challenger is not None and (
            lead >= self._settings.strong_lead
            or timestamp_s - self._challenger[1] >= self._settings.hold_s
        ):
            self._held, self._challenger = mean.top, None
        return self._held


_WEIGHT_PER_REASON = 0.2


def quality_weight(quality: Quality | None) -> float:
    """Weight of a frame in a track's mean, in (0, 1]: presence, times 0.2 for each quality
    reason."""
    if quality is None:
        return 1.0
    presence = 1.0 if quality.presence is None else max(0.05, quality.presence)
    return float(presence * _WEIGHT_PER_REASON ** len(quality.reasons))


# Expressions that a face can show at rest. A smile or raised brows are active: frames with one of
# them on top do not count as rest, and their probabilities are never lowered.
_AT_REST = frozenset(Expression) - {Expression.HAPPINESS, Expression.SURPRISE}
_SAMPLE_EVERY_S = 0.1
_REST_SAMPLES = 30
_FLOOR = 1e-5


class NeutralBaseline:
    """Learns the expression of a resting face, and then corrects for it.

    The baseline is the median, per label, of the log probabilities over the first three seconds in
    which the face is readable and neither happiness nor surprise is on top. If the baseline of a
    label is above the usual share at rest, its later log probabilities are lowered by the
    difference, at most so that the odds are divided by 7, and all probabilities are normalized.
    Neutral is never lowered, and the scores of a face that is neutral at rest stay unchanged.

    A person who is sad during the first seconds would be taken as sad at rest, so this is off by
    default. benchmarks/streams measures the effect.
    """

    # Probability of a label other than neutral that is usual at rest, and the largest shift.
    _USUAL_LOG, _MAX_SHIFT = math.log(0.05), 2.0

    def __init__(self) -> None:
        self._samples: list[Array] = []
        self._due_s = -np.inf
        self._shift: Array | None = None

    def apply(self, raw: ExpressionScores, weight: float, timestamp_s: float) -> ExpressionScores:
        """The scores of a frame corrected for the resting face; unchanged until it is learned.

        `weight` says how readable the face is, in [0, 1].
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
        if len(self._samples) < _REST_SAMPLES:
            return
        rest = np.median(self._samples, axis=0)
        shift = np.clip(rest - self._USUAL_LOG, 0.0, self._MAX_SHIFT)
        lowered = [label in _AT_REST and label is not Expression.NEUTRAL for label in raw.labels]
        self._shift = np.where(lowered, shift, 0.0)
        self._samples = []


class RestingMovements:
    """Learns a person's resting face: the median of its blendshapes over the first three seconds.

    People differ at rest: one's brows are raised by a quarter, another's lowered. Only readable
    frames count in which the face seems at rest.
    """

    def __init__(self) -> None:
        self.neutral: Face | None = None
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
        if len(self._samples) == _REST_SAMPLES:
            self.neutral = _median(self._samples)
            self._samples = []


def _median(faces: list[Face]) -> Face:
    """The most usual of the faces, with the median of all blendshapes and mouth openings."""
    names = list(faces[0].blendshapes or ())
    shapes = np.array([[(face.blendshapes or {})[name] for name in names] for face in faces])
    median = np.median(shapes, axis=0)
    usual = faces[int(np.abs(shapes - median).sum(axis=1).argmin())]
    openings = [
        face.signals.mouth_opening
        for face in faces
        if face.signals and face.signals.mouth_opening is not None
    ]
    return replace(
        usual,
        blendshapes=dict(zip(names, median.tolist(), strict=True)),
        signals=usual.signals
        and replace(usual.signals, mouth_opening=float(np.median(openings)) if openings else None),
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
