"""Attention: how long people look toward the camera with open eyes."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from mien.signals import facing
from mien.tracking import Event
from mien.types import Face, FrameResult

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
    if face.track is not None and face.track.eyes_closed_s >= _CLOSED_S:
        return "eyes_closed"
    if face.gaze is not None:
        return "facing" if facing(face.gaze) >= _FACING_COSINE else "turned_away"
    head = face.signals.facing if face.signals else None
    if head is None:
        return "unknown"
    return "facing" if head >= _FACING_COSINE else "turned_away"
