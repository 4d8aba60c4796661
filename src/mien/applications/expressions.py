"""Applications that need expressions: observation, interval by interval, and mood."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mien.tracking import Event
from mien.types import FrameResult

_MAX_STEP_S = 1.0


class ObservationApplication:
    """Sums up, per interval, how long each expression was shown by any face in view.

    Memory grows only by one small table per interval.

    Args:
        interval_s: length of an interval in seconds.

    Examples:
        >>> import mien
        >>> from mien.applications import ObservationApplication
        >>> observation = ObservationApplication(interval_s=60)
        >>> for result in mien.stream("clip.mp4"):
        ...     found = observation.update(result, ())
        >>> sorted(observation.summary()["intervals"][0])
        ['episodes', 'seconds', 'start_s']
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
        """Process the next frame.

        Args:
            result: of a stream, with tracks.
            events: of the same frame.

        Returns:
            An empty list: it raises no events of its own.
        """
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
        """For each interval its start, seconds by label, and episodes by label, ready for JSON."""
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


@dataclass(frozen=True, slots=True)
class MoodItem:
    """An item that can be ranked by mood.

    Attributes:
        title: display title.
        valence, arousal: in [-1, 1], as rated by its editor or its audience.

    Examples:
        >>> MoodItem("Heist comedy", valence=0.7, arousal=0.6).title
        'Heist comedy'
    """

    title: str
    valence: float
    arousal: float


class MoodApplication:
    """Tracks the smoothed valence and arousal (time constant 30 s) of the largest face.

    Attributes:
        valence, arousal: in [-1, 1]; None until a face was visible long enough.

    Examples:
        >>> from mien.applications import MoodApplication, MoodItem
        >>> mood = MoodApplication()
        >>> mood.valence, mood.arousal = 0.6, 0.3
        >>> items = [MoodItem("drama", -0.4, 0.1), MoodItem("comedy", 0.7, 0.5)]
        >>> [item.title for item in mood.rank(items)]
        ['comedy', 'drama']
    """

    name: ClassVar[str] = "mood"
    limits: ClassVar[str] = (
        "It measures how a face looked in the last minute, not how a person feels, and most faces "
        "are neutral in front of a screen. Let people see the estimate and turn it off."
    )
    reads_expressions: ClassVar[bool] = True

    def __init__(self) -> None:
        self.valence: float | None = None
        self.arousal: float | None = None

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        """Process the next frame.

        Args:
            result: of a stream, with tracks.
            events: of the same frame.

        Returns:
            An empty list: it raises no events of its own.
        """
        face = max(result.faces, key=lambda face: face.box.area, default=None)
        if face is not None and face.track is not None and face.track.mood_valence is not None:
            self.valence, self.arousal = face.track.mood_valence, face.track.mood_arousal
        return []

    def summary(self) -> dict[str, Any]:
        """`valence` and `arousal` in [-1, 1], or None."""
        return {"valence": self.valence, "arousal": self.arousal}

    def rank(self, items: Iterable[MoodItem]) -> list[MoodItem]:
        """Items sorted by the distance to the estimate; in their order if there is none yet.

        Args:
            items: to sort.

        Returns:
            The same items, the nearest first.
        """
        if self.valence is None or self.arousal is None:
            return list(items)
        mood = (self.valence, self.arousal)
        return sorted(items, key=lambda item: math.dist(mood, (item.valence, item.arousal)))
