"""Drowsiness of a driver, from the eyelids alone."""

from collections.abc import Sequence
from typing import Any, ClassVar

from mien.applications.base import largest_face
from mien.tracking import Event
from mien.types import FrameResult


class DriverApplication:
    """Raises an alarm at long closures of the eyes and at a high PERCLOS.

    The thresholds: a closure of 1.5 s covers 42 m at 100 km/h; PERCLOS above 0.15 is where
    Wierwille et al. (DOT HS 808 247, 1994) call a driver drowsy. Only the largest face is watched.
    It looks at eyes and pose, and never loads the expression model: inferring the emotions of
    people at work is prohibited in the European Union (Regulation 2024/1689, Article 5(1)(f)).

    Args:
        max_closure_s: a longer closure raises an alarm, once.
        max_perclos: a higher share of closed eyes over the last minute raises an alarm.
        repeat_s: so long the alarm about PERCLOS waits before it is raised again.
    """

    name: ClassVar[str] = "driver"
    limits: ClassVar[str] = (
        "No safety device: it is not certified, sunglasses and darkness blind it, a look down at "
        "the dashboard counts as closed eyes, drowsiness often comes with open ones, and in the "
        "first 10 seconds it knows no PERCLOS. It must never be the reason to drive on."
    )
    reads_expressions: ClassVar[bool] = False

    def __init__(
        self, *, max_closure_s: float = 1.5, max_perclos: float = 0.15, repeat_s: float = 30.0
    ) -> None:
        self._max_closure_s = max_closure_s
        self._max_perclos = max_perclos
        self._repeat_s = repeat_s
        self._closure_told = False
        self._perclos_told_s: float | None = None
        self._alarms = {"long_closure": 0, "perclos": 0}
        self._perclos: float | None = None
        self._longest_s = 0.0

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        face, now = largest_face(result), result.timestamp_s or 0.0
        if face is None or face.track is None:
            self._closure_told = False
            return []
        track = face.track
        self._perclos = track.perclos
        self._longest_s = max(self._longest_s, track.eyes_closed_s)
        alarms = []
        if track.eyes_closed_s < self._max_closure_s:
            self._closure_told = False
        elif not self._closure_told:
            self._closure_told = True
            alarms.append(self._alarm("long_closure", track.eyes_closed_s, now, face.track_id))
        if track.perclos is not None and track.perclos > self._max_perclos:
            told_s = self._perclos_told_s
            if told_s is None or now - told_s >= self._repeat_s:
                self._perclos_told_s = now
                alarms.append(self._alarm("perclos", track.perclos, now, face.track_id))
        return alarms

    def summary(self) -> dict[str, Any]:
        return {
            "alarms": dict(self._alarms),
            "perclos": self._perclos,
            "longest_closure_s": round(self._longest_s, 3),
        }

    def _alarm(self, reason: str, value: float, now: float, track_id: int | None) -> Event:
        self._alarms[reason] += 1
        return Event("alarm", now, track_id, {"reason": reason, "value": round(value, 4)})
