"""Driver drowsiness and distraction, measured from the eyelids and the gaze."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from mien.applications.base import largest_face
from mien.tracking import Event
from mien.types import Face, FrameResult


class DriverApplication:
    """Raises an alarm for long eye closures, for a high PERCLOS and for a gaze off the road.

    Thresholds: a closure of 1.5 s covers 42 m at 100 km/h; PERCLOS above 0.15 is where Wierwille et
    al. (DOT HS 808 247, 1994) call a driver drowsy; glances off the road of more than 2 s double
    the risk of a crash (Klauer et al., DOT HS 810 594, 2006). The road is where the driver mostly
    looks: the mean direction of the gaze, or of the head where the gaze is not known, over a
    minute; it is known after 10 s. Only the largest face is used. It counts yawns, without an
    alarm. It uses eyes, mouth and pose, and never loads the expression model: inferring the
    emotions of people at work is prohibited in the European Union (Regulation 2024/1689,
    Article 5(1)(f)).

    Args:
        max_closure_s: seconds; a longer closure raises one alarm.
        max_perclos: in [0, 1]; a higher share of closed eyes in the last minute raises an alarm.
        max_off_road_s: seconds; looking away for longer raises one alarm.
        off_road_deg: angle from the road beyond which a driver looks away.
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
        self,
        *,
        max_closure_s: float = 1.5,
        max_perclos: float = 0.15,
        max_off_road_s: float = 2.0,
        off_road_deg: float = 25.0,
        repeat_s: float = 30.0,
    ) -> None:
        self._max_closure_s = max_closure_s
        self._max_perclos = max_perclos
        self._max_off_road_s = max_off_road_s
        self._repeat_s = repeat_s
        self._off_road_deg = off_road_deg
        self._roads: dict[int | None, _Road] = {}
        self._off_road_reported = False
        self._closure_reported = False
        self._perclos_reported_s: float | None = None
        self._alarms = {"long_closure": 0, "perclos": 0, "off_road": 0}
        self._perclos: float | None = None
        self._longest_s = 0.0
        self._yawns = 0

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        face, now = largest_face(result), result.timestamp_s or 0.0
        if face is None or face.track is None:
            self._closure_reported = self._off_road_reported = False
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
        if face.track_id not in self._roads:
            self._roads = {face.track_id: _Road(self._off_road_deg)}
        away_s = self._roads[face.track_id].update(face, now)
        if away_s < self._max_off_road_s:
            self._off_road_reported = False
        elif not self._off_road_reported:
            self._off_road_reported = True
            alarms.append(self._alarm("off_road", away_s, now, face.track_id))
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


class _Road:
    """For how long a driver has looked away from where the driver mostly looks.

    Args:
        off_road_deg: angle beyond which a driver looks away.
    """

    _LEARN_S = 10.0
    _TIME_S = 60.0
    _MAX_STEP_S = 1.0

    def __init__(self, off_road_deg: float) -> None:
        self._off_road_deg = off_road_deg
        self._mean_deg = (0.0, 0.0)
        self._seen_s = 0.0
        self._last_s: float | None = None
        self._away_since_s: float | None = None

    def update(self, face: Face, now: float) -> float:
        """Add a frame; returns the seconds of the look away that is under way, 0 if none is."""
        elapsed = min(self._MAX_STEP_S, now - (now if self._last_s is None else self._last_s))
        self._last_s = now
        seen = face.gaze or face.quality
        if seen is None or seen.yaw_deg is None or seen.pitch_deg is None:
            self._away_since_s = None
            return 0.0
        here = seen.yaw_deg, seen.pitch_deg
        is_away = math.dist(here, self._mean_deg) > self._off_road_deg
        if self._seen_s < self._LEARN_S or not is_away:
            self._seen_s += elapsed
            share = elapsed / max(elapsed, min(self._seen_s, self._TIME_S), 1e-9)
            self._mean_deg = tuple(  # type: ignore[assignment]
                mean + share * (value - mean)
                for mean, value in zip(self._mean_deg, here, strict=True)
            )
            self._away_since_s = None
            return 0.0
        if self._away_since_s is None:
            self._away_since_s = now
        return now - self._away_since_s
