"""A slow estimate of how someone looks, and ordering things by it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mien.applications.base import largest_face
from mien.tracking import Event
from mien.types import FrameResult


@dataclass(frozen=True, slots=True)
class MoodItem:
    """Something that can be ordered by mood.

    Attributes:
        title: for people.
        valence, arousal: in [-1, 1], as its editor or its audience judged it.
    """

    title: str
    valence: float
    arousal: float


class MoodApplication:
    """Follows the slow valence and arousal (time constant 30 s) of the largest face."""

    name: ClassVar[str] = "mood"
    limits: ClassVar[str] = (
        "It knows how a face looked over the last minute, not how a person feels, and most faces "
        "look neutral in front of a screen. Let people see the estimate, and switch it off."
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
        """Items whose mood is nearest to the estimate first; in their own order before there is
        one."""
        listed = list(items)
        if self.valence is None or self.arousal is None:
            return listed
        here = (self.valence, self.arousal)
        return sorted(listed, key=lambda item: math.dist(here, (item.valence, item.arousal)))
