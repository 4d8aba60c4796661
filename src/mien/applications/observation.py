"""Observation: durations and episodes of expressions, hour by hour."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from mien.tracking import Event
from mien.types import FrameResult

_MAX_STEP_S = 1.0


class ObservationApplication:
    """Sums up, per interval, how long each expression was shown by any face in view.

    Memory grows only by one small table per interval.

    Args:
        interval_s: length of an interval in seconds.
    """

    name: ClassVar[str] = "observation"
    limits: ClassVar[str] = (
        "Not a diagnosis: it sums up apparent expressions, which differ between people and between "
        "illnesses. Check the gaps before you compare two intervals, and the recording before you "
        "trust an episode."
    )
    reads_expressions: ClassVar[bool] = True

    def __init__(self, *, interval_s: float = 3600.0) -> None:
        self._interval_s = interval_s
        self._seconds: dict[int, defaultdict[str, float]] = {}
        self._episodes: dict[int, Counter[str]] = {}
        self._last_s: float | None = None

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        now = result.timestamp_s or 0.0
        elapsed = 0.0 if self._last_s is None else now - self._last_s
        self._last_s = now
        interval = int(now // self._interval_s)
        sums = self._seconds.setdefault(interval, defaultdict(float))
        if elapsed > _MAX_STEP_S:
            sums["not_recorded"] += elapsed
        else:
            for label in _labels(result):
                sums[label] += elapsed
        for event in events:
            if event.kind == "episode":
                counts = self._episodes.setdefault(interval, Counter())
                counts[event.details["expression"]] += 1
        return []

    def summary(self) -> dict[str, Any]:
        return {
            "intervals": [
                {
                    "start_s": interval * self._interval_s,
                    "seconds": {name: round(value, 3) for name, value in sums.items()},
                    "episodes": dict(self._episodes.get(interval, {})),
                }
                for interval, sums in sorted(self._seconds.items())
            ]
        }


def _labels(result: FrameResult) -> list[str]:
    if not result.faces:
        return ["no_face"]
    return [
        "not_visible"
        if face.expression is None or (face.track and face.track.state == "not visible")
        else face.expression.label.value
        for face in result.faces
    ]
