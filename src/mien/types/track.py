"""What is known of a face because it was followed through a stream."""

from dataclasses import dataclass
from typing import Any, Literal

ExpressionState = Literal["clear", "uncertain", "not visible"]
"""How far a track's label can be relied upon at a moment."""


@dataclass(frozen=True, slots=True)
class TrackStatistics:
    """What has been seen of one track up to a frame; see :mod:`mien.tracking.statistics`.

    Attributes:
        age_s: since the track began, in seconds.
        state: ``"clear"``; ``"uncertain"`` where no expression stands out; ``"not visible"``
            where the face is there but is turned, hidden or blurred too much to be read.
        blinks: since the track began.
        blink_rate_per_min: over the last minute that the eyes were seen; None in the first 10 s.
        perclos: share in [0, 1] of the last minute in which the eyes were closed, counted over
            the time that they were seen; None in the first 10 s.
        eyes_closed_s: how long the eyes have been closed now; 0 where they are open.
        yawns: since the track began.
        mood_valence, mood_arousal: slow means in [-1, 1] (time constant 30 s); None where affect
            is not measured.
    """

    age_s: float
    state: ExpressionState = "clear"
    blinks: int = 0
    blink_rate_per_min: float | None = None
    perclos: float | None = None
    eyes_closed_s: float = 0.0
    yawns: int = 0
    mood_valence: float | None = None
    mood_arousal: float | None = None

    def to_dict(self) -> dict[str, Any]:
        def rounded(value: float | None, digits: int) -> float | None:
            return None if value is None else round(float(value), digits)

        return {
            "age_s": rounded(self.age_s, 3),
            "state": self.state,
            "blinks": self.blinks,
            "blink_rate_per_min": rounded(self.blink_rate_per_min, 1),
            "perclos": rounded(self.perclos, 4),
            "eyes_closed_s": rounded(self.eyes_closed_s, 3),
            "yawns": self.yawns,
            "mood_valence": rounded(self.mood_valence, 4),
            "mood_arousal": rounded(self.mood_arousal, 4),
        }
