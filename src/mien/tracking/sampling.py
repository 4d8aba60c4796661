"""The sampling interval of a stream, and the one rule for what counts as a gap."""

from collections import deque
from statistics import median_low


class SamplingInterval:
    """Follows the time between the analyzed frames of a stream: the median of the last steps.

    A face seen in two analyzed frames was there between them, unless they are further apart than
    a second and than two and a half sampling intervals. So a pause in a stream of 30 frames per
    second is a gap, and the steps of a stream of one frame per second are not.

    Attributes:
        seconds: the interval; 0 before the second frame.
    """

    _STEPS = 15
    _GAP_INTERVALS = 2.5

    def __init__(self) -> None:
        self.seconds = 0.0
        self._steps: deque[float] = deque(maxlen=self._STEPS)
        self._last_s: float | None = None

    def update(self, timestamp_s: float) -> None:
        """Add a frame."""
        if self._last_s is not None and timestamp_s > self._last_s:
            self._steps.append(timestamp_s - self._last_s)
            self.seconds = median_low(self._steps)
        self._last_s = timestamp_s

    def longest_step_s(self, at_least_s: float = 1.0) -> float:
        """The longest time in seconds between two sightings that is not a gap."""
        return max(at_least_s, self._GAP_INTERVALS * self.seconds)
