"""Applications that need eyes and pose only: driver and attention."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from mien.signals import facing
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

    Examples:
        >>> import mien
        >>> from mien.applications import DriverApplication, open_stream
        >>> application = DriverApplication(max_closure_s=1.0)
        >>> stream = open_stream(application)
        >>> image = mien.read_image("photo.jpg")
        >>> alarms = []
        >>> for number in range(5):
        ...     result = stream.update(image, number / 10)
        ...     alarms += application.update(result, stream.events)
        >>> alarms
        []
        >>> application.summary()["yawns"]
        0
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
        self._longest_s: float | None = None
        self._yawns: int | None = None

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        """Process the next frame.

        Args:
            result: of a stream that :func:`open_stream` opens; with other landmarks than its,
                closed eyes and yawns are unknown and raise no alarm.
            events: of the same frame.

        Returns:
            New events of the kind `alarm`, with `reason` and `value`.
        """
        face = max(result.faces, key=lambda face: face.box.area, default=None)
        now = result.timestamp_s or 0.0
        if face is None or face.track is None:
            self._closure_reported = self._off_road_reported = False
            return []
        track = face.track
        if track.yawns is not None:
            self._yawns = (self._yawns or 0) + sum(
                event.kind == "yawn" and event.track_id == face.track_id for event in events
            )
        self._perclos, closed_s = track.perclos, track.eyes_closed_s or 0.0
        if track.eyes_closed_s is not None:
            self._longest_s = max(self._longest_s or 0.0, closed_s)
        alarms = []
        if closed_s < self._max_closure_s:
            self._closure_reported = False
        elif not self._closure_reported:
            self._closure_reported = True
            alarms.append(self._alarm("long_closure", closed_s, now, face.track_id))
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
        """Numbers of alarms by reason, PERCLOS in [0, 1], seconds and yawns, ready for JSON.

        None is what was never measured.
        """
        return {
            "alarms": dict(self._alarms),
            "perclos": self._perclos,
            "longest_closure_s": None if self._longest_s is None else round(self._longest_s, 3),
            "yawns": self._yawns,
        }

    def _alarm(self, reason: str, value: float, now: float, track_id: int | None) -> Event:
        self._alarms[reason] += 1
        return Event("alarm", now, track_id, {"reason": reason, "value": round(value, 4)})


class _Road:
    """For how long a driver has looked away from where the driver mostly looks."""

    # Share of a change of the gaze up and down that is measured: see docs/results/movements.md.
    _PITCH_SHOWN = 0.6
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
        shown = self._PITCH_SHOWN if face.gaze else 1.0
        here = seen.yaw_deg, seen.pitch_deg / shown
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


# Cosine of 25 degrees.
_FACING_COSINE = 0.906
_CLOSED_S = 1.0
_MAX_STEP_S = 1.0


class AttentionApplication:
    """Sums up, per track, the time in each state: facing, turned away, eyes closed, absent.

    The gaze decides where it is known, within 25 degrees of the camera, and otherwise the head.

    It uses eyes and pose, and never loads the expression model: inferring the emotions of people in
    education is prohibited in the European Union (Regulation 2024/1689, Article 5(1)(f)).

    Args:
        steady_s: seconds that a new state must last before an event reports it.

    Examples:
        >>> import mien
        >>> from mien.applications import AttentionApplication, open_stream
        >>> application = AttentionApplication()
        >>> stream = open_stream(application)
        >>> image = mien.read_image("photo.jpg")
        >>> for number in range(5):
        ...     result = stream.update(image, number / 10)
        ...     found = application.update(result, stream.events)
        >>> sorted(application.summary())
        ['session_s', 'tracks']
    """

    name: ClassVar[str] = "attention"
    limits: ClassVar[str] = (
        "It measures the head and roughly the gaze, not the mind: people listen with closed eyes "
        "and daydream with open ones. Do not use it to grade, pay or discipline anyone."
    )
    reads_expressions: ClassVar[bool] = False

    def __init__(self, *, steady_s: float = 2.0) -> None:
        self._steady_s = steady_s
        self._seconds: dict[int, dict[str, float]] = {}
        self._reported: dict[int, str] = {}
        self._pending: dict[int, tuple[str, float]] = {}
        self._last_s: float | None = None
        self._session_s = 0.0

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        """Process the next frame.

        Args:
            result: of a stream that :func:`open_stream` opens; with other landmarks than its,
                closed eyes are unknown.
            events: of the same frame.

        Returns:
            New events of the kind `attention`, with `state` and the one `before`.
        """
        now = result.timestamp_s or 0.0
        elapsed = 0.0 if self._last_s is None else now - self._last_s
        elapsed = elapsed if elapsed <= _MAX_STEP_S else 0.0
        self._last_s = now
        self._session_s += elapsed
        states = {face.track_id: _state(face) for face in result.faces if face.track_id}
        for track_id in self._reported:
            states.setdefault(track_id, "absent")
        changes = []
        for track_id, state in states.items():
            if track_id is None:
                continue
            sums = self._seconds.setdefault(track_id, defaultdict(float))
            sums[state] += elapsed
            changes += self._follow(track_id, state, now)
        for event in events:
            if event.kind == "track_ended" and event.track_id is not None:
                self._reported.pop(event.track_id, None)
                self._pending.pop(event.track_id, None)
        return changes

    def summary(self) -> dict[str, Any]:
        """Seconds in each state by track, ready for JSON."""
        return {
            "session_s": round(self._session_s, 3),
            "tracks": {
                track_id: {f"{state}_s": round(seconds, 3) for state, seconds in sums.items()}
                for track_id, sums in self._seconds.items()
            },
        }

    def _follow(self, track_id: int, state: str, now: float) -> list[Event]:
        if self._reported.get(track_id) == state:
            self._pending.pop(track_id, None)
            return []
        pending = self._pending.get(track_id)
        if pending is None or pending[0] != state:
            self._pending[track_id] = (state, now)
            return []
        if now - pending[1] < self._steady_s:
            return []
        before = self._reported.get(track_id)
        self._reported[track_id] = state
        return [Event("attention", now, track_id, {"state": state, "before": before})]


def _state(face: Face) -> str:
    if face.track is not None and (face.track.eyes_closed_s or 0.0) >= _CLOSED_S:
        return "eyes_closed"
    if face.gaze is not None:
        return "facing" if facing(face.gaze) >= _FACING_COSINE else "turned_away"
    head = face.signals.facing if face.signals else None
    if head is None:
        return "unknown"
    return "facing" if head >= _FACING_COSINE else "turned_away"
