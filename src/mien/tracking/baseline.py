"""A person's resting face as their neutral: some faces look sad or angry at rest."""

import numpy as np

from mien.geometry import Array
from mien.labels import Expression
from mien.types import ExpressionScores

# Looks that a face can have at rest. A smile or raised brows are made, not had: frames where one
# of them leads are not taken for rest, and neither is ever discounted.
_AT_REST = frozenset(Expression) - {Expression.HAPPINESS, Expression.SURPRISE}
_SAMPLE_EVERY_S = 0.1
_FLOOR = 1e-5


class NeutralBaseline:
    """Learns how a face looks at rest, and then discounts what it always shows.

    The look at rest is the median, label by label, of the log probabilities over the first
    `seconds` in which the face could be read and neither happiness nor surprise led. Where at rest
    a label is more probable than `usual_share`, its later log probabilities are lowered by the
    difference, at most by `max_shift`, and all are brought back to a sum of 1. Neutral is never
    lowered, and a face that reads as neutral at rest is left as it is.

    A person who is sad through the first seconds is taken to look so at rest: hence it is off
    unless asked for. benchmarks/streams.py measures what it does.

    Args:
        seconds: of rest that are looked at.
        usual_share: that a label other than neutral has in a resting face.
        max_shift: of a log probability; 2 divides the odds by 7.
    """

    def __init__(
        self, *, seconds: float = 3.0, usual_share: float = 0.05, max_shift: float = 2.0
    ) -> None:
        self._wanted = max(1, round(seconds / _SAMPLE_EVERY_S))
        self._usual = float(np.log(usual_share))
        self._max_shift = max_shift
        self._samples: list[Array] = []
        self._due_s = -np.inf
        self._shift: Array | None = None

    def apply(self, raw: ExpressionScores, weight: float, timestamp_s: float) -> ExpressionScores:
        """The scores as seen against the person's resting face; unchanged before it is known.

        Args:
            raw: of one frame.
            weight: how well the face can be read in it, in [0, 1].
            timestamp_s: of the frame.
        """
        logs = np.log(np.maximum(raw.probabilities.astype(np.float64), _FLOOR))
        if self._shift is None:
            self._look(raw, logs, weight, timestamp_s)
            return raw
        corrected = np.exp(logs - self._shift)
        return ExpressionScores(
            raw.labels, (corrected / corrected.sum()).astype(np.float32), raw.uncertain
        )

    def _look(self, raw: ExpressionScores, logs: Array, weight: float, timestamp_s: float) -> None:
        if weight < 0.5 or raw.top not in _AT_REST or timestamp_s < self._due_s:
            return
        self._due_s = timestamp_s + _SAMPLE_EVERY_S - 1e-3
        self._samples.append(logs)
        if len(self._samples) < self._wanted:
            return
        rest = np.median(self._samples, axis=0)
        shift = np.clip(rest - self._usual, 0.0, self._max_shift)
        discounted = [label in _AT_REST and label is not Expression.NEUTRAL for label in raw.labels]
        self._shift = np.where(discounted, shift, 0.0)
        self._samples = []
