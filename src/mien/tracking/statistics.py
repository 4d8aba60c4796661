"""What following one face through a stream shows: bounded state, whatever the stream's length."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from mien.labels import Expression
from mien.tracking.episodes import ExpressionRecord
from mien.tracking.events import Event
from mien.tracking.eyes import EyeState
from mien.types import ExpressionState, Face, TrackStatistics

_MOOD_TIME_S = 30.0
# A mouth this wide open (inner lips' distance over width) for this long is a yawn rather than
# speech or a laugh (Abtahi et al., "YawDD", 2014, use 0.5 to 0.6 and some seconds).
_YAWN_OPENING = 0.6
_YAWN_S = 1.5
_MAX_STEP_S = 1.0
# In a smaller face an eye is about a dozen pixels wide, and the gap of its lids one or two: of the
# closures of benchmarks/data/closures.csv, those were found in faces of 74 pixels and not of 56.
_MIN_SIZE_PX = 72.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What one frame shows of a track, as far as its timeline needs it."""

    timestamp_s: float
    expression: Expression | None = None
    probability: float = 0.0
    state: ExpressionState = "clear"
    eye_opening: float | None = None
    mouth_opening: float | None = None
    facing: float | None = None
    yaw_deg: float | None = None
    valence: float | None = None
    arousal: float | None = None

    @classmethod
    def of(cls, face: Face, state: ExpressionState, timestamp_s: float) -> "Moment":
        signals, quality, affect = face.signals, face.quality, face.affect
        scores = face.expression
        fine = quality is None or shows_lids(quality.size_px, quality.reasons)
        return cls(
            timestamp_s=timestamp_s,
            expression=scores.label if scores else None,
            probability=scores[scores.label] if scores else 0.0,
            state=state,
            eye_opening=mean_of(signals.eye_opening_left, signals.eye_opening_right)
            if signals and fine
            else None,
            mouth_opening=signals.mouth_opening if signals and fine else None,
            facing=signals.facing if signals else None,
            yaw_deg=quality.yaw_deg if quality else None,
            valence=affect.valence if affect else None,
            arousal=affect.arousal if affect else None,
        )


def shows_lids(size_px: float, reasons: Collection[str]) -> bool:
    """Whether lids and lips can be measured on a face of this size and with these doubts."""
    return size_px >= _MIN_SIZE_PX and not reasons


def mean_of(left: float | None, right: float | None) -> float | None:
    """The mean of what was measured."""
    measured = [value for value in (left, right) if value is not None]
    return sum(measured) / len(measured) if measured else None


class TrackTimeline:
    """The running state of one track.

    Args:
        track_id: whose.
        timestamp_s: when it began.
    """

    def __init__(self, track_id: int, timestamp_s: float) -> None:
        self.track_id = track_id
        self.first_s = timestamp_s
        self.last_s = timestamp_s
        self.frames = 0
        self.visible_s = 0.0
        self.gaps = 0
        self.yawns = 0
        self.facing_s = 0.0
        self.record = ExpressionRecord()
        self.eyes = EyeState()
        self._valence = _SlowMean(_MOOD_TIME_S)
        self._arousal = _SlowMean(_MOOD_TIME_S)
        self._mouth_open_since_s: float | None = None
        self._yawn_told = False

    def update(self, moment: Moment) -> tuple[TrackStatistics, list[Event]]:
        """Take in a frame that shows the face, and tell the state and what happened."""
        now = moment.timestamp_s
        elapsed = now - self.last_s if self.frames else 0.0
        if elapsed > _MAX_STEP_S:
            self.gaps += 1
            elapsed = 0.0
        self.frames += 1
        self.last_s = now
        self.visible_s += elapsed
        if moment.facing is not None and moment.facing > _FACING_COSINE:
            self.facing_s += elapsed
        events = self.eyes.update(moment.eye_opening, moment.yaw_deg, now)
        events += self._follow_mouth(moment.mouth_opening, now)
        if moment.expression is not None:
            events += self.record.update(moment.expression, moment.probability, moment.state, now)
        if moment.state != "not visible":
            self._valence.update(moment.valence, elapsed)
            self._arousal.update(moment.arousal, elapsed)
        return self._state(moment), self._owned(events)

    def finish(self) -> list[Event]:
        """End what is under way, when the track is over."""
        return self._owned(self.record.finish())

    def summary(self) -> dict[str, Any]:
        """One row of the table of tracks; durations in seconds, shares in [0, 1]."""
        seconds = self.record.seconds
        readable = sum(seconds.values()) - seconds["not visible"]

        def share(amount: float, of: float) -> float | None:
            return round(amount / of, 4) if of > 0 else None

        return {
            "track_id": self.track_id,
            "first_s": round(self.first_s, 4),
            "last_s": round(self.last_s, 4),
            "frames": self.frames,
            "visible_s": round(self.visible_s, 4),
            "gaps": self.gaps,
            **{
                f"share_{label.value}": share(seconds[label.value], readable)
                for label in Expression
            },
            "share_uncertain": share(self.record.uncertain_s, readable),
            "share_not_visible": share(seconds["not visible"], sum(seconds.values())),
            "expression_changes": sum(self.record.transitions.values()),
            "episodes": sum(self.record.episodes.values()),
            "blinks": self.eyes.blinks,
            "eyes_seen_s": round(self.eyes.seen_s, 4),
            "share_eyes_closed": share(self.eyes.closed_s, self.eyes.seen_s),
            "longest_closure_s": round(self.eyes.longest_closure_s, 4),
            "yawns": self.yawns,
            "share_facing": share(self.facing_s, self.visible_s),
            "mean_valence": _rounded(self._valence.overall),
            "mean_arousal": _rounded(self._arousal.overall),
        }

    def _state(self, moment: Moment) -> TrackStatistics:
        return TrackStatistics(
            age_s=moment.timestamp_s - self.first_s,
            state=moment.state,
            blinks=self.eyes.blinks,
            blink_rate_per_min=self.eyes.blink_rate_per_min,
            perclos=self.eyes.perclos,
            eyes_closed_s=self.eyes.closure_s(moment.timestamp_s),
            yawns=self.yawns,
            mood_valence=self._valence.slow,
            mood_arousal=self._arousal.slow,
        )

    def _follow_mouth(self, opening: float | None, timestamp_s: float) -> list[Event]:
        if opening is None or opening < _YAWN_OPENING:
            self._mouth_open_since_s, self._yawn_told = None, False
            return []
        if self._mouth_open_since_s is None:
            self._mouth_open_since_s = timestamp_s
        open_s = timestamp_s - self._mouth_open_since_s
        if open_s < _YAWN_S or self._yawn_told:
            return []
        self._yawn_told = True
        self.yawns += 1
        return [Event("yawn", timestamp_s, details={"start_s": self._mouth_open_since_s})]

    def _owned(self, events: list[Event]) -> list[Event]:
        return [replace(event, track_id=self.track_id) for event in events]


# Within 20 degrees of the camera: looking towards it, as far as the head tells.
_FACING_COSINE = math.cos(math.radians(20))


class _SlowMean:
    """An exponential mean over time and the plain mean of everything."""

    def __init__(self, time_constant_s: float) -> None:
        self.slow: float | None = None
        self._time_constant_s = time_constant_s
        self._sum = 0.0
        self._weight = 0.0

    def update(self, value: float | None, elapsed: float) -> None:
        if value is None:
            return
        self._sum += value * elapsed
        self._weight += elapsed
        if self.slow is None:
            self.slow = value
        # Early on the plain mean of what was seen is the better estimate.
        time_s = min(self._time_constant_s, max(self._weight, 1e-6))
        self.slow += (1 - math.exp(-elapsed / time_s)) * (value - self.slow)

    @property
    def overall(self) -> float | None:
        return self._sum / self._weight if self._weight > 0 else self.slow


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
