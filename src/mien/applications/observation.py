"""Expressions over hours: shares and episodes, hour by hour, with the time that nobody was seen."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from mien.tracking import Event
from mien.types import FrameResult

_MAX_STEP_S = 1.0


class ObservationApplication:
    """Adds up, for each stretch of time, how long each expression was held, by anyone in view.

    Memory grows by one small table for each stretch, and by nothing else.

    Args:
        stretch_s: length of a stretch; an hour by default.
    """

    name: ClassVar[str] = "observation"
    limits: ClassVar[str] = (
        "No diagnosis: it adds up apparent expressions, which differ from person to person and "
        "from illness to illness. Look at the gaps before you compare two stretches, and at the "
        "recording before you believe an episode."
    )
    reads_expressions: ClassVar[bool] = True

    def __init__(self, *, stretch_s: float = 3600.0) -> None:
        self._stretch_s = stretch_s
        self._seconds: dict[int, defaultdict[str, float]] = {}
        self._episodes: dict[int, Counter[str]] = {}
        self._last_s: float | None = None

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        now = result.timestamp_s or 0.0
        elapsed = 0.0 if self._last_s is None else now - self._last_s
        self._last_s = now
        stretch = int(now // self._stretch_s)
        sums = self._seconds.setdefault(stretch, defaultdict(float))
        if elapsed > _MAX_STEP_S:
            sums["not_recorded"] += elapsed
        else:
            for reading in self._readings(result):
                sums[reading] += elapsed
        for event in events:
            if event.kind == "episode":
                counts = self._episodes.setdefault(stretch, Counter())
                counts[event.details["expression"]] += 1
        return []

    def summary(self) -> dict[str, Any]:
        return {
            "stretches": [
                {
                    "start_s": stretch * self._stretch_s,
                    "seconds": {name: round(value, 3) for name, value in sums.items()},
                    "episodes": dict(self._episodes.get(stretch, {})),
                }
                for stretch, sums in sorted(self._seconds.items())
            ]
        }

    def _readings(self, result: FrameResult) -> list[str]:
        if not result.faces:
            return ["nobody_in_view"]
        return [
            "not_visible"
            if face.expression is None or (face.track and face.track.state == "not visible")
            else face.expression.label.value
            for face in result.faces
        ]
