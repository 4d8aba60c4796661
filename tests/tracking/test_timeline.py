"""Blinks, closures, yawns, episodes and shares of series whose truth is known."""

import dataclasses
import pickle

import pytest

from mien.labels import Expression
from mien.tracking import Event, Moment, TrackTimeline
from mien.tracking.eyes import EyeState
from mien.tracking.window import Window

FPS = 30
OPEN, CLOSED = 0.30, 0.10


def eyes(closures: list[tuple[float, float]], length_s: float, *, opened: float = OPEN) -> EyeState:
    """The state after closures, given as start and duration in seconds."""
    state = EyeState()
    for n in range(int(length_s * FPS)):
        now = n / FPS
        shut = any(start <= now < start + duration for start, duration in closures)
        state.update(CLOSED * opened / OPEN if shut else opened, 0.0, now)
    return state


def test_blinks_are_counted_and_long_closures_are_none() -> None:
    blinks = [(2.0 + 3 * n, 0.15) for n in range(6)]
    state = eyes([*blinks, (22.0, 1.2)], 30)
    assert state.blinks == 6
    assert state.longest_closure_s == pytest.approx(1.2, abs=1 / FPS)


def test_blink_rate_and_perclos_are_those_of_the_last_minute() -> None:
    state = eyes([(1.0 + 4 * n, 0.2) for n in range(40)], 160)
    assert state.blink_rate_per_min == pytest.approx(15, abs=1)
    assert state.perclos == pytest.approx(0.05, abs=0.01)
    assert eyes([], 9).perclos is None


def test_perclos_forgets_what_is_older_than_a_minute() -> None:
    state = eyes([(10.0 + 2 * n, 1.0) for n in range(10)], 120)
    assert state.perclos == pytest.approx(0, abs=0.005)
    assert state.closed_s == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("opened", [0.2, 0.45])
def test_closed_is_judged_against_the_person_s_own_open_eyes(opened: float) -> None:
    # The first seconds are for getting to know the person.
    state = eyes([(20.0 + 2 * n, 0.2) for n in range(5)], 32, opened=opened)
    assert state.blinks == 5


def test_a_turned_head_says_nothing_about_the_lids() -> None:
    state = EyeState()
    for n in range(300):
        state.update(CLOSED if n % 30 < 5 else OPEN, 50.0, n / FPS)
    assert state.blinks == 0
    assert state.perclos is None


def test_a_long_closure_is_told_while_it_lasts_and_once() -> None:
    state, told = EyeState(), []
    for n in range(150):
        told += state.update(CLOSED if 60 <= n < 120 else OPEN, 0.0, n / FPS)
    assert [event.kind for event in told] == ["eyes_closed"]
    assert told[0].timestamp_s == pytest.approx(2.5, abs=0.04)


def test_a_window_holds_the_sum_of_its_length() -> None:
    window = Window(60.0, ("n",))
    for second in range(600):
        window.add(float(second), n=1)
    assert window.total("n") == 60


def moments(labels: list[tuple[Expression, float]], **facts: float) -> list[Moment]:
    """Frames of each label for so many seconds."""
    frames, now = [], 0.0
    for label, seconds in labels:
        for _ in range(round(seconds * FPS)):
            frames.append(Moment(now, label, 0.8, **facts))  # type: ignore[arg-type]
            now += 1 / FPS
    return frames


def play(frames: list[Moment]) -> tuple[TrackTimeline, list[Event]]:
    timeline, events = TrackTimeline(3, 0.0), []
    for moment in frames:
        events += timeline.update(moment)[1]
    events += timeline.finish()
    return timeline, events


def test_episodes_have_start_peak_end_and_duration() -> None:
    frames = moments(
        [(Expression.NEUTRAL, 2), (Expression.HAPPINESS, 1.5), (Expression.NEUTRAL, 1)]
    )
    frames[80] = dataclasses.replace(frames[80], probability=0.95)
    timeline, events = play(frames)
    (episode,) = [event for event in events if event.kind == "episode"]
    assert episode.track_id == 3
    assert episode.details["expression"] == "happiness"
    assert episode.details["start_s"] == pytest.approx(2.0)
    assert episode.details["peak_s"] == pytest.approx(80 / FPS, abs=1e-3)
    assert episode.details["peak_probability"] == 0.95
    assert episode.details["duration_s"] == pytest.approx(1.5)
    summary = timeline.summary()
    assert summary["share_happiness"] == pytest.approx(1.5 / 4.5, abs=0.01)
    assert summary["expression_changes"] == 2
    assert summary["episodes"] == 1


def test_what_happens_unseen_is_a_gap_and_no_expression() -> None:
    before = moments([(Expression.HAPPINESS, 2)])
    after = [
        dataclasses.replace(moment, timestamp_s=moment.timestamp_s + 12)
        for moment in moments([(Expression.HAPPINESS, 2)])
    ]
    timeline, events = play([*before, *after])
    assert timeline.summary()["gaps"] == 1
    assert timeline.summary()["visible_s"] == pytest.approx(4, abs=0.1)
    assert [event.kind for event in events].count("episode") == 2


def test_a_yawn_is_a_mouth_that_stays_wide_open() -> None:
    speech = [
        dataclasses.replace(m, mouth_opening=0.7 * (n % 10 < 5))
        for n, m in enumerate(moments([(Expression.NEUTRAL, 5)]))
    ]
    yawn = [
        dataclasses.replace(m, timestamp_s=m.timestamp_s + 5, mouth_opening=0.8)
        for m in moments([(Expression.SURPRISE, 2)])
    ]
    assert play(speech)[0].yawns == 0
    assert play([*speech, *yawn])[0].yawns == 1


def test_memory_does_not_grow_with_time() -> None:
    timeline = TrackTimeline(1, 0.0)
    sizes = []
    for n in range(3000):
        # One frame a half second, so that half an hour is quickly played.
        label = (Expression.NEUTRAL, Expression.HAPPINESS, Expression.SADNESS)[n // 7 % 3]
        opening = CLOSED if n % 5 == 0 else OPEN
        timeline.update(Moment(n / 2, label, 0.7, eye_opening=opening, valence=0.1, arousal=0.2))
        if n in (400, 2999):
            sizes.append(len(pickle.dumps(timeline)))
    assert sizes[1] < 1.2 * sizes[0]
