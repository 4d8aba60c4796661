"""Statistics of the tracks of a stream, in memory that does not grow with its length."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mien.labels import Expression
from mien.tracking.events import Event, SamplingInterval
from mien.tracking.eyes import LONG_CLOSURE_S, EyeState
from mien.types import ExpressionState, Face, FrameResult, TrackStatistics

_MOOD_TIME_S = 30.0
# The jaw dropped to 0.6 and more for 4.5 s in a yawn, and not for two seconds in speech. A laugh
# smiles, and a long vowel rounds the lips. The distance of the lips alone does not tell them apart:
# without blendshapes, yawns are not counted.
_YAWN_JAW = 0.55
_YAWN_S = 2.0
_NO_YAWN = {"mouthSmile": 0.4, "mouthFunnel": 0.3, "mouthPucker": 0.3}
# In a smaller face an eye is about a dozen pixels wide, and the gap of its lids one or two: of the
# closures of benchmarks/data/closures.csv, those were found in faces of 74 pixels and not of 56.
_MIN_SIZE_PX = 72.0
# An eye that winks closes to at most 0.6 of the other one; closed ones differ by less than this.
_WINK_BY, _WINK_SHARE = 0.08, 0.35
# Frames further apart say little of closures and yawns.
_MAX_INTERVAL_S = 0.15
# Of the 7 blinks of benchmarks/streams that were marked frame by frame, all are found at 10 and 12
# frames a second, and 3 to 6 at 7.5 and 8.
_MAX_BLINK_INTERVAL_S = 0.105
# Within 20 degrees of the camera: facing it, as far as the head shows.
_FACING_COSINE = math.cos(math.radians(20))


class StreamStatistics:
    """The running statistics of every track of a stream.

    A live stream calls :meth:`begin_frame`, :meth:`update` and :meth:`end`; a recording goes
    through the same code by :meth:`replay`.

    Attributes:
        sampling: the stream's sampling interval.
    """

    def __init__(self) -> None:
        self.sampling = SamplingInterval()
        self._tracks: dict[int, _Track] = {}

    @property
    def track_ids(self) -> list[int]:
        """The tracks that are not over."""
        return list(self._tracks)

    def begin_frame(self, timestamp_s: float) -> None:
        """Add a frame, before its faces."""
        self.sampling.update(timestamp_s)

    def update(
        self, face: Face, state: ExpressionState, timestamp_s: float
    ) -> tuple[TrackStatistics, list[Event]]:
        """Add a face of the current frame.

        Args:
            face: with its `track_id`, and with smoothed values.
            state: how far its label can be relied upon.
            timestamp_s: of the frame.

        Returns:
            The running statistics of its track, and what happened.
        """
        assert face.track_id is not None
        events: list[Event] = []
        track = self._tracks.get(face.track_id)
        if track is None:
            track = self._tracks[face.track_id] = _Track(face.track_id, timestamp_s)
            events.append(Event("track_started", timestamp_s, face.track_id))
        statistics, more = track.update(face, state, timestamp_s, self.sampling)
        return statistics, events + more

    def end(self, track_ids: Sequence[int | None]) -> list[Event]:
        """End tracks: the episodes under way, and ``track_ended`` with the summary as details."""
        events: list[Event] = []
        for track_id in track_ids:
            track = self._tracks.pop(track_id, None) if track_id is not None else None
            if track is not None:
                events += track.finish()
        return events

    def drop(self, track_ids: Iterable[int | None]) -> None:
        """Forget tracks whose end is known."""
        for track_id in track_ids:
            self._tracks.pop(track_id or 0, None)

    def replay(self, result: FrameResult, events: Iterable[Event]) -> None:
        """Add a frame of a recording with the events that were recorded with it."""
        timestamp_s = result.timestamp_s or 0.0
        self.begin_frame(timestamp_s)
        self.drop([event.track_id for event in events if event.kind == "track_ended"])
        for face in result.faces:
            if face.track_id is not None:
                self.update(face, face.track.state if face.track else "clear", timestamp_s)


class _Track:
    """The running statistics of one track."""

    def __init__(self, track_id: int, timestamp_s: float) -> None:
        self._track_id = track_id
        self._first_s = self._last_s = timestamp_s
        self._interval_s = 0.0
        self._frames = self._gaps = 0
        self._visible_s = self._facing_s = 0.0
        self._expressions = _ExpressionHistory()
        self._labels: tuple[Expression, ...] = ()
        self._eyes = EyeState()
        self._yawns: int | None = None
        self._mouth_open_since_s: float | None = None
        self._in_yawn = False
        self._valence, self._arousal = _SlowMean(_MOOD_TIME_S), _SlowMean(_MOOD_TIME_S)

    def update(
        self, face: Face, state: ExpressionState, timestamp_s: float, sampling: SamplingInterval
    ) -> tuple[TrackStatistics, list[Event]]:
        before_s, elapsed = self._last_s, timestamp_s - self._last_s
        is_gap = elapsed > sampling.longest_step_s()
        if is_gap:
            self._gaps += 1
            elapsed = 0.0
        self._frames += 1
        self._last_s, self._interval_s = timestamp_s, sampling.seconds
        self._visible_s += elapsed
        signals, affect = face.signals, face.affect
        if signals and signals.facing is not None and signals.facing > _FACING_COSINE:
            self._facing_s += elapsed
        events = self._follow_lids(face, timestamp_s, sampling)
        if is_gap:
            events += self._expressions.finish(before_s)
        if face.expression is not None:
            label, self._labels = face.expression.label, face.expression.labels
            probability = face.expression[label]
            events += self._expressions.update(label, probability, state, timestamp_s, elapsed)
        if state != "not visible" and affect is not None:
            self._valence.update(affect.valence, elapsed)
            self._arousal.update(affect.arousal, elapsed)
        return self._statistics(state), [replace(e, track_id=self._track_id) for e in events]

    def finish(self) -> list[Event]:
        events = self._expressions.finish(self._last_s) + self._eyes.end()
        events.append(Event("track_ended", self._last_s, details=self._summary()))
        return [replace(event, track_id=self._track_id) for event in events]

    @property
    def _is_dense(self) -> bool:
        """Whether frames follow each other closely enough for PERCLOS and yawns."""
        return self._interval_s <= _MAX_INTERVAL_S

    @property
    def _blinks(self) -> int | None:
        """None where some may have passed unseen."""
        return self._eyes.blinks if self._eyes.has_watched else None

    def _summary(self) -> dict[str, Any]:
        """The track's row of the table of tracks; durations in seconds, shares in [0, 1]."""
        seconds, counts = self._expressions.seconds, self._is_dense
        readable = sum(seconds.values()) - seconds["not visible"]
        eyes = self._eyes
        return {
            "track_id": self._track_id,
            "first_s": round(self._first_s, 4),
            "last_s": round(self._last_s, 4),
            "frames": self._frames,
            "visible_s": round(self._visible_s, 4),
            "gaps": self._gaps,
            **{
                # A model without a label cannot tell that it was not there.
                f"share_{label.value}": _share(seconds[label.value], readable)
                if label in self._labels
                else None
                for label in Expression
            },
            "share_uncertain": _share(self._expressions.uncertain_s, readable),
            "share_not_visible": _share(seconds["not visible"], sum(seconds.values())),
            "expression_changes": self._expressions.changes,
            "episodes": self._expressions.episodes,
            "blinks": self._blinks,
            "eyes_seen_s": round(eyes.seen_s, 4) if counts else None,
            "share_eyes_closed": _share(eyes.closed_s, eyes.seen_s) if counts else None,
            "longest_closure_s": _rounded(
                eyes.longest_closure_s if counts and eyes.seen_s else None
            ),
            "yawns": self._yawns if counts else None,
            "share_facing": _share(self._facing_s, self._visible_s),
            "mean_valence": _rounded(self._valence.overall),
            "mean_arousal": _rounded(self._arousal.overall),
        }

    def _statistics(self, state: ExpressionState) -> TrackStatistics:
        counts = self._is_dense
        return TrackStatistics(
            age_s=self._last_s - self._first_s,
            state=state,
            blinks=self._blinks,
            blink_rate_per_min=None if self._blinks is None else self._eyes.blink_rate_per_min,
            perclos=self._eyes.perclos if counts else None,
            eyes_closed_s=self._eyes.closure_s(self._last_s),
            yawns=self._yawns if counts else None,
            mood_valence=self._valence.slow,
            mood_arousal=self._arousal.slow,
        )

    def _follow_lids(
        self, face: Face, timestamp_s: float, sampling: SamplingInterval
    ) -> list[Event]:
        """Follow eyes and mouth, where the face shows them and frames are close enough."""
        signals, quality = face.signals, face.quality
        eye_opening = None
        shapes = None
        if signals and shows_lids(face) and sampling.seconds <= LONG_CLOSURE_S:
            shapes = face.blendshapes
        # Landmarks without blendshapes do not follow the lids: see EyeState.
        if signals and shapes is not None:
            eye_opening = _opening(signals.eye_opening_left, signals.eye_opening_right)
        events = self._eyes.update(
            eye_opening,
            quality.yaw_deg if quality else None,
            timestamp_s,
            count=self._interval_s <= _MAX_BLINK_INTERVAL_S,
        )
        return events + self._follow_mouth(shapes, timestamp_s)

    def _follow_mouth(self, shapes: Mapping[str, float] | None, timestamp_s: float) -> list[Event]:
        if shapes is not None:
            self._yawns = self._yawns or 0
        if self._yawns is None or not self._is_dense or not _is_yawning(shapes):
            self._mouth_open_since_s, self._in_yawn = None, False
            return []
        if self._mouth_open_since_s is None:
            self._mouth_open_since_s = timestamp_s
        if timestamp_s - self._mouth_open_since_s < _YAWN_S or self._in_yawn:
            return []
        self._in_yawn = True
        self._yawns += 1
        return [Event("yawn", timestamp_s, details={"start_s": self._mouth_open_since_s})]


class _ExpressionHistory:
    """How long each label was held, how often it changed, and the stretches of one expression.

    Attributes:
        seconds: of each label while it was clear or uncertain, and of ``"not visible"``.
        uncertain_s: of these, in which the label was uncertain.
        changes: how often the label changed; a gap breaks the chain.
        episodes: how many stretches of an expression other than neutral are over.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.uncertain_s = 0.0
        self.changes = self.episodes = 0
        self._label: Expression | None = None
        self._start_s = 0.0
        self._peak = (0.0, 0.0)

    def update(
        self,
        label: Expression,
        probability: float,
        state: ExpressionState,
        timestamp_s: float,
        elapsed: float,
    ) -> list[Event]:
        """Add a frame; return that the label changed, and the episode that this ended."""
        if state == "not visible":
            self.seconds["not visible"] += elapsed
            return self.finish(timestamp_s)
        self.seconds[label.value] += elapsed
        self.uncertain_s += elapsed if state == "uncertain" else 0.0
        events: list[Event] = []
        if label is not self._label:
            before = self._label
            self.changes += before is not None
            events += self.finish(timestamp_s)
            details = {"expression": label.value, "before": before and before.value}
            events.append(Event("expression", timestamp_s, details=details))
            self._label, self._start_s, self._peak = label, timestamp_s, (0.0, timestamp_s)
        if probability > self._peak[0]:
            self._peak = (probability, timestamp_s)
        return events

    def finish(self, timestamp_s: float) -> list[Event]:
        """End the episode under way: the face is gone or hidden, or shows another expression."""
        label, self._label = self._label, None
        if label is None or label is Expression.NEUTRAL:
            return []
        self.episodes += 1
        details = {
            "expression": label.value,
            "start_s": round(self._start_s, 4),
            "peak_s": round(self._peak[1], 4),
            "peak_probability": round(self._peak[0], 4),
            "duration_s": round(timestamp_s - self._start_s, 4),
        }
        return [Event("episode", timestamp_s, details=details)]


class _SlowMean:
    """An exponential mean over time and the plain mean of everything."""

    def __init__(self, time_constant_s: float) -> None:
        self.slow: float | None = None
        self._time_constant_s = time_constant_s
        self._sum = 0.0
        self._weight = 0.0

    def update(self, value: float, elapsed: float) -> None:
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


def shows_lids(face: Face) -> bool:
    """Whether lids and lips can be measured: a large enough face without quality warnings."""
    quality = face.quality
    return quality is None or (quality.size_px >= _MIN_SIZE_PX and not quality.reasons)


def _is_yawning(shapes: Mapping[str, float] | None) -> bool:
    """Whether the mouth has the shape of a yawn in this frame."""
    if shapes is None:
        return False
    smile = (shapes["mouthSmileLeft"] + shapes["mouthSmileRight"]) / 2
    shown = {"mouthSmile": smile, **shapes}
    return shapes["jawOpen"] >= _YAWN_JAW and all(shown[k] < v for k, v in _NO_YAWN.items())


def _opening(left: float | None, right: float | None) -> float | None:
    """Of the eyes together; in a wink, of the open one. Noise parts closed eyes by less."""
    both = [value for value in (left, right) if value is not None]
    if not both:
        return None
    wide, difference = max(both), max(both) - min(both)
    return wide if difference >= max(_WINK_BY, _WINK_SHARE * wide) else sum(both) / len(both)


def _share(amount: float, of: float) -> float | None:
    return round(amount / of, 4) if of > 0 else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
