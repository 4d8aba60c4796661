"""Mood: a slow estimate of valence and arousal, and ranking items by it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mien.applications.base import largest_face
from mien.tracking import Event
from mien.types import FrameResult


@dataclass(frozen=True, slots=True)
class MoodItem:
    """An item that can be ranked by mood.

    Attributes:
        title: display title.
        valence, arousal: in [-1, 1], as rated by its editor or its audience.
    """

    title: str
    valence: float
    arousal: float


class MoodApplication:
    """Tracks the smoothed valence and arousal (time constant 30 s) of the largest face."""

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
        face = largest_face(result)
        if face is not None and face.track is not None and face.track.mood_valence is not None:
            self.valence, self.arousal = face.track.mood_valence, face.track.mood_arousal
        return []

    def summary(self) -> dict[str, Any]:
        return {"valence": self.valence, "arousal": self.arousal}

    def rank(self, items: Iterable[MoodItem]) -> list[MoodItem]:
        """Items sorted by the distance to the estimate; in their order if there is none yet."""
        if self.valence is None or self.arousal is None:
            return list(items)
        mood = (self.valence, self.arousal)
        return sorted(items, key=lambda item: math.dist(mood, (item.valence, item.arousal)))
