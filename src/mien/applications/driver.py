"""Driver drowsiness, measured from the eyelids."""

from collections.abc import Sequence
from typing import Any, ClassVar

from mien.applications.base import largest_face
from mien.tracking import Event
from mien.types import FrameResult


class DriverApplication:
    """Raises an alarm for long eye closures and for a high PERCLOS.

    Thresholds: a closure of 1.5 s covers 42 m at 100 km/h; PERCLOS above 0.15 is where Wierwille et
    al. (DOT HS 808 247, 1994) call a driver drowsy. Only the largest face is used. It counts yawns,
    without an alarm. It uses eyes, mouth and pose, and never loads the expression model: inferring
    the emotions of people at work is prohibited in the European Union (Regulation 2024/1689,
    Article 5(1)(f)).

    Args:
        max_closure_s: seconds; a longer closure raises one alarm.
        max_perclos: in [0, 1]; a higher share of closed eyes in the last minute raises an alarm.
        repeat_s: minimum seconds between two PERCLOS alarms.
    """

    name: ClassVar[str] = "driver"
    limits: ClassVar[str] = (
        "Not a safety device: it is not certified, and fails with sunglasses and in darkness. "
        "Drowsy drivers often have open eyes, and in the first 10 seconds there is no PERCLOS. "
        "Never rely on it to keep driving."
    )
    reads_expressions: ClassVar[bool] = False

    def __init__(
        self, *, max_closure_s: float = 1.5, max_perclos: float = 0.15, repeat_s: float = 30.0
    ) -> None:
        self._max_closure_s = max_closure_s
        self._max_perclos = max_perclos
        self._repeat_s = repeat_s
        self._closure_reported = False
        self._perclos_reported_s: float | None = None
        self._alarms = {"long_closure": 0, "perclos": 0}
        self._perclos: float | None = None
        self._longest_s = 0.0
        self._yawns = 0

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        face, now = largest_face(result), result.timestamp_s or 0.0
        if face is None or face.track is None:
            self._closure_reported = False
            return []
        track = face.track
        self._yawns += sum(
            event.kind == "yawn" and event.track_id == face.track_id for event in events
        )
        self._perclos = track.perclos
        self._longest_s = max(self._longest_s, track.eyes_closed_s)
        alarms = []
        if track.eyes_closed_s < self._max_closure_s:
            self._closure_reported = False
        elif not self._closure_reported:
            self._closure_reported = True
            alarms.append(self._alarm("long_closure", track.eyes_closed_s, now, face.track_id))
        if track.perclos is not None and track.perclos > self._max_perclos:
            reported_s = self._perclos_reported_s
            if reported_s is None or now - reported_s >= self._repeat_s:
                self._perclos_reported_s = now
                alarms.append(self._alarm("perclos", track.perclos, now, face.track_id))
        return alarms

    def summary(self) -> dict[str, Any]:
        return {
            "alarms": dict(self._alarms),
            "perclos": self._perclos,
            "longest_closure_s": round(self._longest_s, 3),
            "yawns": self._yawns,
        }

    def _alarm(self, reason: str, value: float, now: float, track_id: int | None) -> Event:
        self._alarms[reason] += 1
        return Event("alarm", now, track_id, {"reason": reason, "value": round(value, 4)})
