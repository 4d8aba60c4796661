"""Things that happen in a stream, as opposed to what a frame shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

EventKind = Literal[
    "track_started",
    "track_ended",
    "scene_cut",
    "expression",
    "episode",
    "blink",
    "eyes_closed",
    "yawn",
    "alarm",
    "attention",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: ``track_started``, ``track_ended``, ``scene_cut``; ``expression``: the held label of
            a track changed; ``episode``: an expression other than neutral is over; ``blink``,
            ``yawn``: one is over; ``eyes_closed``: the eyes have been closed for half a second;
            ``alarm`` and ``attention``: from :mod:`mien.applications`.
        timestamp_s: when, in the stream's time.
        track_id: of whom; None for the whole stream.
        details: numbers and words that belong to the kind.
    """

    kind: EventKind
    timestamp_s: float
    track_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    def to_dict(self) -> dict[str, Any]:
        return {
            "event": self.kind,
            "timestamp_s": round(self.timestamp_s, 4),
            "track_id": self.track_id,
            **self.details,
        }
