"""Time in a stream: what happens at a moment, and the one rule for what counts as a gap."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median_low
from types import MappingProxyType
from typing import Any, Literal


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


_EventKind = Literal[
    "track_started",
    "track_ended",
    "scene_cut",
    "expression",
    "episode",
    "blink",
    "eyes_closed",
    "closure",
    "yawn",
    "alarm",
    "attention",
    "marker",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: ``track_started``, ``scene_cut``; ``track_ended``, whose details are the track's row
            in the table of tracks; ``expression``: the held label of a track changed; ``episode``:
            an expression other than neutral is over; ``blink``: one is over; ``yawn``: the jaw has
            been dropped for two seconds; ``eyes_closed``: the eyes have been closed for half a
            second; ``closure``: such a closure is over, or could not be seen any longer; ``alarm``
            and ``attention``: from :mod:`mien.applications`; ``marker``: a person marked the time.
        timestamp_s: time in the stream, in seconds.
        track_id: the person; None for the whole stream.
        details: numbers and words that belong to the kind.

    Examples:
        >>> import mien
        >>> events = []
        >>> for result in mien.stream("clip.mp4", on_event=events.append):
        ...     pass
        >>> events[0].kind
        'track_started'
    """

    kind: _EventKind
    timestamp_s: float
    track_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON, its details beside the other fields."""
        return {
            "event": self.kind,
            "timestamp_s": round(self.timestamp_s, 4),
            "track_id": self.track_id,
            **self.details,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Event":
        """The event of a JSON document; see :meth:`to_dict`.

        Args:
            document: with `event`, `timestamp_s` and the details beside them.
        """
        # A track's row repeats its number.
        details = {k: v for k, v in document.items() if k not in ("event", "timestamp_s")}
        track_id = details.get("track_id")
        if document["event"] != "track_ended":
            details.pop("track_id", None)
        return cls(document["event"], document["timestamp_s"], track_id, details)
