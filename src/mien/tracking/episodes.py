"""Stretches of one expression: start, peak, end, duration; and how long each label was held."""

from collections import Counter, defaultdict

from mien.labels import Expression
from mien.tracking.events import Event
from mien.types import ExpressionState


class ExpressionRecord:
    """What a track's held label did, in memory that does not grow with time.

    Attributes:
        seconds: of each label while it was clear or uncertain, and of ``"not visible"``.
        uncertain_s: of these, in which the label was uncertain.
        transitions: how often each label followed each other one; a gap breaks the chain.
        episodes: how many stretches of an expression other than neutral are over.
    """

    # A face that is away for longer than this may have changed unseen.
    _MAX_STEP_S = 1.0

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.uncertain_s = 0.0
        self.transitions: Counter[tuple[Expression, Expression]] = Counter()
        self.episodes: Counter[Expression] = Counter()
        self._label: Expression | None = None
        self._start_s = 0.0
        self._peak = (0.0, 0.0)
        self._last_s: float | None = None

    def update(
        self,
        label: Expression,
        probability: float,
        state: ExpressionState,
        timestamp_s: float,
    ) -> list[Event]:
        """Take in a frame.

        Args:
            label: the held one.
            probability: of that label, smoothed.
            state: of the track.
            timestamp_s: of the frame.

        Returns:
            That the label changed, and the episode that this ended; without a track_id.
        """
        elapsed = 0.0 if self._last_s is None else timestamp_s - self._last_s
        events: list[Event] = []
        if elapsed > self._MAX_STEP_S:
            events += self.finish()
            elapsed = 0.0
        self._last_s = timestamp_s
        if state == "not visible":
            self.seconds["not visible"] += elapsed
            return [*events, *self.finish()]
        self.seconds[label.value] += elapsed
        self.uncertain_s += elapsed if state == "uncertain" else 0.0
        if label is not self._label:
            events += self._change(label, timestamp_s)
        if probability > self._peak[0]:
            self._peak = (probability, timestamp_s)
        return events

    def finish(self) -> list[Event]:
        """End the running episode: the face is gone, hidden, or the stream is over."""
        events = self._end_episode(self._last_s or 0.0)
        self._label = None
        return events

    def _change(self, label: Expression, timestamp_s: float) -> list[Event]:
        events = self._end_episode(timestamp_s)
        before = self._label
        if before is not None:
            self.transitions[before, label] += 1
        details = {"expression": label.value, "before": before and before.value}
        events.append(Event("expression", timestamp_s, details=details))
        self._label, self._start_s, self._peak = label, timestamp_s, (0.0, timestamp_s)
        return events

    def _end_episode(self, timestamp_s: float) -> list[Event]:
        label = self._label
        if label is None or label is Expression.NEUTRAL:
            return []
        self.episodes[label] += 1
        details = {
            "expression": label.value,
            "start_s": round(self._start_s, 4),
            "peak_s": round(self._peak[1], 4),
            "peak_probability": round(self._peak[0], 4),
            "duration_s": round(timestamp_s - self._start_s, 4),
        }
        return [Event("episode", timestamp_s, details=details)]
