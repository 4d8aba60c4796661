"""Blinks, long closures and PERCLOS of one track."""

import math
from collections import deque

from mien.tracking.events import Event

# Blinks last 0.1 to 0.4 s (Schiffman 2001); a closure of half a second or more is not a blink.
_MIN_BLINK_S = 0.04
LONG_CLOSURE_S = 0.5
# Rates over a shorter time mean little.
_MIN_SEEN_S = 10.0
# A longer step may hide a blink, and so may many of them.
_MAX_STEP_S, _MIN_WATCHED = 0.15, 0.8
# Beyond this turn the far eye is foreshortened and the aspect ratio no longer measures its opening.
MAX_YAW_DEG = 35.0


class EyeState:
    """Follows the opening of a person's eyes, in bounded memory.

    Closed is judged against the person's own open eyes, because open eyes differ between people
    by more than a factor of two: below a half of the running level of the open eye, and open again
    above 0.57 of it. In all clips, closed eyes of ``"mesh478"`` fell below 0.12, and eyes that
    looked down stayed above 0.16. A blink also counts where the camera missed its lowest point; see
    :class:`_Dip`. The blendshape eyeBlink, made from the same points, did not tell the two apart:
    0.46 for looking down, and 0.47 for a closed eye of a turned head.

    The lids of ``"mesh468"`` are not followed: whether they move in a blink at all depends on the
    person. A half of the blinks of benchmarks/streams moved them, and none of some people.

    Attributes:
        blinks: number of blinks so far.
        closed_since_s: start of the closure under way; None while the eyes are open.
        seen_s, closed_s: seconds in which the eyes were measured, and in which they were closed.
        watched_s: of those seen, in which no blink could pass between two frames.
        longest_closure_s: of those that are over, in seconds; one of less than half a second is
            not over where its end was not seen.
    """

    _CLOSED_SHARE, _OPEN_SHARE = 0.5, 0.57
    # Eye aspect ratio of narrow open eyes, until the person's own is known: a wider level is known
    # within a second.
    _NARROW_OPENING = 0.2

    def __init__(self) -> None:
        self.blinks = 0
        self.closed_since_s: float | None = None
        self.seen_s = self.watched_s = 0.0
        self.closed_s = 0.0
        self.longest_closure_s = 0.0
        self._level: float | None = None
        self._window = _Window(60.0, ("seen", "watched", "closed", "blinks"))
        self._last_s: float | None = None
        self._measured_s = -math.inf
        self._is_long = False
        self._dip = _Dip()

    def update(
        self,
        opening: float | None,
        yaw_deg: float | None,
        timestamp_s: float,
        *,
        count: bool = True,
    ) -> list[Event]:
        """Add a frame.

        Args:
            opening: eye aspect ratio in ``"mesh478"`` of both eyes, or in a wink, which is neither
                a blink nor a closure, of the open one; None where they were not measured.
            yaw_deg: turn of the head, if known.
            timestamp_s: of the frame.
            count: whether frames follow each other closely enough for blinks to be counted.

        Returns:
            The blink, the long closure, or its end that this frame shows; without a track_id.
        """
        elapsed = 0.0 if self._last_s is None else timestamp_s - self._last_s
        self._last_s = timestamp_s
        if opening is None or abs(yaw_deg or 0.0) > MAX_YAW_DEG or elapsed > 1.0:
            # What was not seen is neither a blink nor a closure.
            self._dip = _Dip()
            return self.end()
        self.seen_s += elapsed
        watched_s = elapsed if count and elapsed <= _MAX_STEP_S else 0.0
        self.watched_s += watched_s
        if self._level is None:
            self._level = self._NARROW_OPENING
        blinks, was_long = self.blinks, self._is_long
        events = self._follow(opening, timestamp_s, self._level, count=count)
        dip_s = self._dip.update(opening, timestamp_s)
        if self.blinks > blinks or was_long:
            self._dip.is_counted = True
        elif dip_s is not None and count and self.closed_since_s is None:
            events += self._blink(timestamp_s, dip_s)
        self._measured_s = timestamp_s
        closed = self.closed_since_s is not None
        self._level = self._adapted(self._level, opening, elapsed, closed=closed)
        self.closed_s += elapsed if closed else 0.0
        closed_s = elapsed if closed else 0.0
        self._window.add(timestamp_s, seen=elapsed, watched=watched_s, closed=closed_s)
        return events

    def end(self) -> list[Event]:
        """End the closure under way where the eyes were last measured.

        Returns:
            The long closure, if it is one; without a track_id.
        """
        return self._close(self._measured_s) if self._is_long else self._forget()

    def _forget(self) -> list[Event]:
        self.closed_since_s, self._is_long = None, False
        return []

    def _close(self, end_s: float) -> list[Event]:
        """End the closure under way at a time; returns it if it is a long one."""
        start_s, is_long = self.closed_since_s or 0.0, self._is_long
        self.longest_closure_s = max(self.longest_closure_s, end_s - start_s)
        self._forget()
        details = {"start_s": round(start_s, 4), "duration_s": round(end_s - start_s, 4)}
        return [Event("closure", end_s, details=details)] if is_long else []

    def closure_s(self, timestamp_s: float) -> float | None:
        """How long the eyes have been closed; None where they were not measured at that time."""
        if self._measured_s != timestamp_s:
            return None
        return 0.0 if self.closed_since_s is None else timestamp_s - self.closed_since_s

    @property
    def perclos(self) -> float | None:
        """Share in [0, 1] of the seen part of the last minute in which the eyes were closed.

        After Wierwille et al., "Research on vehicle-based driver status/performance monitoring",
        DOT HS 808 247, 1994; theirs is the share of time with the pupil covered by 80 %.
        """
        seen = self._window.total("seen")
        return self._window.total("closed") / seen if seen >= _MIN_SEEN_S else None

    @property
    def blink_rate_per_min(self) -> float | None:
        """Blinks a minute over the watched part of the last minute."""
        watched = self._window.total("watched")
        return 60 * self._window.total("blinks") / watched if watched >= _MIN_SEEN_S else None

    @property
    def has_watched(self) -> bool:
        """Whether nearly all blinks could be seen while the eyes were."""
        return self.seen_s > 0 and self.watched_s >= _MIN_WATCHED * self.seen_s

    def _blink(self, timestamp_s: float, duration_s: float) -> list[Event]:
        self.blinks += 1
        self._window.add(timestamp_s, blinks=1)
        return [Event("blink", timestamp_s, details={"duration_s": round(duration_s, 3)})]

    def _follow(
        self, opening: float, timestamp_s: float, level: float, *, count: bool
    ) -> list[Event]:
        if self.closed_since_s is None:
            if opening < level * self._CLOSED_SHARE:
                self.closed_since_s = timestamp_s
            return []
        closure_s = timestamp_s - self.closed_since_s
        if opening > level * self._OPEN_SHARE:
            over = self._close(timestamp_s)
            if count and _MIN_BLINK_S <= closure_s < LONG_CLOSURE_S:
                return self._blink(timestamp_s, closure_s)
            return over
        if closure_s >= LONG_CLOSURE_S and not self._is_long:
            self._is_long = True
            return [Event("eyes_closed", timestamp_s, details={"duration_s": round(closure_s, 3)})]
        return []

    def _adapted(self, level: float, opening: float, elapsed: float, *, closed: bool) -> float:
        """The level of the open eye after a frame: up within a second, down within a minute.

        While the eyes are closed it hardly moves, so that sleep does not become the new normal;
        but in the first minute it does, so that narrow eyes do not count as closed.
        """
        if opening > level:
            time_s = 1.0
        elif not closed:
            time_s = 10.0
        else:
            time_s = 60.0 if self.seen_s < 60 else 300.0
        return max(0.1, level + (1 - math.exp(-elapsed / time_s)) * (opening - level))


class _Dip:
    """Finds short dips of the opening, in which a camera of 30 frames a second sees many a blink.

    A dip falls by a fifth below the widest opening of the last quarter of a second, and is over
    when six tenths of the fall are regained within half a second; eyes that look down stay low.

    Attributes:
        is_counted: whether the dip under way already counts as a blink or a long closure.
    """

    _FALL = 0.2
    _REGAINED = 0.6
    _BEFORE_S = 0.25

    def __init__(self) -> None:
        self.is_counted = False
        self._recent: deque[tuple[float, float]] = deque()
        self._start_s: float | None = None
        self._peak = self._low = 0.0

    def update(self, opening: float, timestamp_s: float) -> float | None:
        """Add a frame; returns the duration of the dip that it ends, unless it is counted."""
        recent = self._recent
        while recent and timestamp_s - recent[0][0] > self._BEFORE_S:
            recent.popleft()
        duration_s = None
        if self._start_s is None:
            self._peak = max((value for _, value in recent), default=0.0)
            if opening < (1 - self._FALL) * self._peak:
                self._start_s, self._low, self.is_counted = timestamp_s, opening, False
        else:
            self._low = min(self._low, opening)
            lasted_s = timestamp_s - self._start_s
            regained = opening - self._low >= self._REGAINED * (self._peak - self._low)
            if regained and _MIN_BLINK_S <= lasted_s < LONG_CLOSURE_S and not self.is_counted:
                duration_s = lasted_s
            if regained or lasted_s >= LONG_CLOSURE_S:
                self._start_s = None
                recent.clear()
        recent.append((timestamp_s, opening))
        return duration_s


class _Window:
    """Running sums by name over the last `length_s` of a stream, in bins of a sixtieth of it."""

    _BINS = 60

    def __init__(self, length_s: float, names: tuple[str, ...]) -> None:
        self._bin_s = length_s / self._BINS
        self._names = names
        self._bins: deque[tuple[int, dict[str, float]]] = deque(maxlen=self._BINS + 1)
        self._totals = dict.fromkeys(names, 0.0)

    def add(self, timestamp_s: float, **amounts: float) -> None:
        """Add amounts at a time, which never goes back by more than a bin."""
        number = int(timestamp_s // self._bin_s)
        if not self._bins or number > self._bins[-1][0]:
            self._drop_before(number - self._BINS)
            self._bins.append((number, dict.fromkeys(self._names, 0.0)))
        for name, amount in amounts.items():
            self._bins[-1][1][name] += amount
            self._totals[name] += amount

    def total(self, name: str) -> float:
        """The sum over the window up to the last time that something was added."""
        return max(0.0, self._totals[name])

    def _drop_before(self, number: int) -> None:
        while self._bins and self._bins[0][0] <= number:
            _, amounts = self._bins.popleft()
            for name, amount in amounts.items():
                self._totals[name] -= amount
