"""Statistics of tracks whose truth is known, at several sampling rates."""

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from mien.labels import Expression, exact_label
from mien.tracking import Event, SamplingInterval, StreamStatistics
from mien.tracking.eyes import EyeState, _Window
from mien.types import (
    BLENDSHAPES,
    Affect,
    Box,
    Detection,
    ExpressionScores,
    ExpressionState,
    Face,
    Quality,
    Signals,
    TrackStatistics,
)

FPS, OPEN, CLOSED = 30, 0.30, 0.10


def eyes(closures: list[tuple[float, float]], length_s: float, *, opened: float = OPEN) -> EyeState:
    """The state after closures, given as start and duration in seconds."""
    state = EyeState()
    for n in range(int(length_s * FPS)):
        now = n / FPS
        shut = any(start <= now < start + duration for start, duration in closures)
        state.update(CLOSED * opened / OPEN if shut else opened, 0.0, now)
    return state


def test_counts_blinks_but_not_long_closures() -> None:
    blinks = [(2.0 + 3 * n, 0.15) for n in range(6)]
    state = eyes([*blinks, (22.0, 1.2)], 30)
    assert state.blinks == 6
    assert state.longest_closure_s == pytest.approx(1.2, abs=1 / FPS)


def test_blink_rate_and_perclos_cover_the_last_minute() -> None:
    state = eyes([(1.0 + 4 * n, 0.2) for n in range(40)], 160)
    assert state.blink_rate_per_min == pytest.approx(15, abs=1)
    assert state.perclos == pytest.approx(0.05, abs=0.01)
    assert eyes([], 9).perclos is None


def test_perclos_drops_what_is_older_than_a_minute() -> None:
    state = eyes([(10.0 + 2 * n, 1.0) for n in range(10)], 120)
    assert state.perclos == pytest.approx(0, abs=0.005)
    assert state.closed_s == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("opened", [0.2, 0.45])
def test_closed_is_relative_to_the_open_eyes_of_the_person(opened: float) -> None:
    # The first seconds are for getting to know the person.
    state = eyes([(20.0 + 2 * n, 0.2) for n in range(5)], 32, opened=opened)
    assert state.blinks == 5


def test_ignores_the_lids_of_a_turned_head() -> None:
    state = EyeState()
    for n in range(300):
        state.update(CLOSED if n % 30 < 5 else OPEN, 50.0, n / FPS)
    assert state.blinks == 0
    assert state.perclos is None


def test_reports_a_long_closure_once_while_it_lasts() -> None:
    state, events = EyeState(), []
    for n in range(150):
        events += state.update(CLOSED if 60 <= n < 120 else OPEN, 0.0, n / FPS)
    assert [event.kind for event in events] == ["eyes_closed", "closure"]
    assert events[0].timestamp_s == pytest.approx(2.5, abs=0.04)
    assert events[1].timestamp_s == pytest.approx(4.0)
    assert events[1].details == {"start_s": 2.0, "duration_s": 2.0}


@pytest.mark.parametrize("unseen", [True, False])
def test_a_long_closure_ends_where_the_eyes_are_not_seen_any_longer(unseen: bool) -> None:
    state, events = EyeState(), []
    for n in range(180):
        opening = None if unseen and n >= 150 else CLOSED if n >= 60 else OPEN
        events += state.update(opening, 0.0, n / FPS)
    events += state.end()
    last_s = (149 if unseen else 179) / FPS
    assert [event.kind for event in events] == ["eyes_closed", "closure"]
    assert events[1].timestamp_s == pytest.approx(last_s)
    assert state.longest_closure_s == pytest.approx(last_s - 2.0)
    assert not state.end()


def test_a_short_closure_whose_end_is_not_seen_is_none() -> None:
    state, events = EyeState(), []
    for n in range(70):
        events += state.update(CLOSED if n >= 60 else OPEN, 0.0, n / FPS)
    assert not events + state.end()
    assert state.longest_closure_s == 0
    assert state.blinks == 0


def test_window_holds_the_sum_of_its_length() -> None:
    window = _Window(60.0, ("n",))
    for second in range(600):
        window.add(float(second), n=1)
    assert window.total("n") == 60


@dataclass(frozen=True)
class Moment:
    """What one frame shows of a person."""

    timestamp_s: float
    label: Expression
    probability: float = 0.8
    state: ExpressionState = "clear"
    opening: float | None = None
    mouth: float | None = None
    facing: float | None = None
    shapes: Mapping[str, float] | None = field(
        default_factory=lambda: dict.fromkeys(BLENDSHAPES, 0.0)
    )

    @property
    def face(self) -> Face:
        probabilities = np.full(8, (1 - self.probability) / 7, np.float32)
        probabilities[tuple(Expression).index(self.label)] = self.probability
        return Face(
            Detection(Box(0, 0, 120, 120), 0.9),
            expression=ExpressionScores(tuple(Expression), probabilities, held=self.label),
            quality=Quality(120, yaw_deg=0.0),
            affect=Affect(0.1, 0.2, "test"),
            signals=Signals(self.opening, self.opening, self.mouth, self.facing),
            track_id=3,
            blendshapes=self.shapes,
        )


def moments(labels: Iterable[tuple[Expression, float]], fps: float = FPS) -> list[Moment]:
    """Frames of each label for a number of seconds."""
    ends, end_s = [], 0.0
    for label, seconds in labels:
        end_s += seconds
        ends.append((end_s, label))
    times = [n / fps for n in range(round(end_s * fps))]
    return [Moment(t, next(label for end, label in ends if t < end - 1e-9)) for t in times]


def play(frames: list[Moment]) -> tuple[dict[str, Any], list[Event], list[TrackStatistics]]:
    """The row of the track, the other events, and the running statistics."""
    statistics, events, running = StreamStatistics(), [], []
    for moment in frames:
        statistics.begin_frame(moment.timestamp_s)
        now, more = statistics.update(moment.face, moment.state, moment.timestamp_s)
        running.append(now)
        events += more
    events += statistics.end(statistics.track_ids)
    assert events[-1].kind == "track_ended"
    assert statistics.track_ids == []
    return dict(events[-1].details), events[:-1], running


def later(frames: list[Moment], seconds: float) -> list[Moment]:
    return [replace(moment, timestamp_s=moment.timestamp_s + seconds) for moment in frames]


def test_episodes_have_start_peak_end_and_duration() -> None:
    frames = moments(
        [(Expression.NEUTRAL, 2), (Expression.HAPPINESS, 1.5), (Expression.NEUTRAL, 1)]
    )
    frames[80] = replace(frames[80], probability=0.95)
    summary, events, _ = play(frames)
    (episode,) = [event for event in events if event.kind == "episode"]
    assert episode.track_id == 3
    assert episode.details["expression"] == "happiness"
    assert episode.details["start_s"] == pytest.approx(2.0)
    assert episode.details["peak_s"] == pytest.approx(80 / FPS, abs=1e-3)
    assert episode.details["peak_probability"] == 0.95
    assert episode.details["duration_s"] == pytest.approx(1.5)
    assert summary["share_happiness"] == pytest.approx(1.5 / 4.5, abs=0.01)
    assert summary["expression_changes"] == 2
    assert summary["episodes"] == 1


def test_hidden_time_is_neither_readable_nor_an_expression() -> None:
    frames = [
        replace(moment, state="not visible" if moment.timestamp_s >= 3 else "clear")
        for moment in moments([(Expression.HAPPINESS, 4)])
    ]
    summary, events, _ = play(frames)
    assert summary["share_happiness"] == 1
    assert summary["share_not_visible"] == pytest.approx(0.25, abs=0.01)
    assert [event.kind for event in events] == ["track_started", "expression", "episode"]


def test_a_pause_is_a_gap_and_ends_the_episode() -> None:
    first = moments([(Expression.HAPPINESS, 2)])
    summary, events, _ = play([*first, *later(first, 12)])
    assert summary["gaps"] == 1
    assert summary["visible_s"] == pytest.approx(4, abs=0.1)
    assert [event.kind for event in events].count("episode") == 2


@pytest.mark.parametrize("fps", [30, 5, 1, 0.5])
def test_sums_do_not_depend_on_the_sampling_rate(fps: float) -> None:
    labels = [(Expression.NEUTRAL, 40), (Expression.HAPPINESS, 30), (Expression.SADNESS, 50)]
    frames = [
        replace(m, facing=1.0 if m.timestamp_s < 60 else 0.5, opening=0.3)
        for m in moments(labels, fps)
    ]
    summary, _, _ = play(frames)
    step = 1 / fps
    assert summary["gaps"] == 0
    assert summary["visible_s"] == pytest.approx(120, abs=1.01 * step)
    for name, share in (("neutral", 40), ("happiness", 30), ("sadness", 50), ("facing", 60)):
        assert summary[f"share_{name}"] == pytest.approx(share / 120, abs=1.5 * step / 120)
    assert summary["mean_valence"] == pytest.approx(0.1)
    assert summary["expression_changes"] == summary["episodes"] == 2


@pytest.mark.parametrize("fps", [5, 1, 0.5])
def test_leaves_out_counts_that_the_sampling_rate_cannot_show(fps: float) -> None:
    frames = [
        replace(m, opening=CLOSED if n % 2 else OPEN, mouth=0.9)
        for n, m in enumerate(moments([(Expression.NEUTRAL, 60)], fps))
    ]
    summary, events, running = play(frames)
    empty = ("blinks", "eyes_seen_s", "share_eyes_closed", "longest_closure_s", "yawns")
    assert {summary[name] for name in empty} == {None}
    last = running[-1]
    counts = last.blinks, last.yawns, last.blink_rate_per_min, last.perclos
    assert counts == (None, None, None, None)
    assert not {"blink", "yawn"} & {event.kind for event in events}


@pytest.mark.parametrize("steps_s", [(0.125,), (0.033, 0.033, 0.4)])
def test_blinks_that_may_have_passed_between_frames_are_unknown(steps_s: tuple[float, ...]) -> None:
    times_s = np.cumsum([steps_s[n % len(steps_s)] for n in range(150)])
    frames = [Moment(float(now), Expression.NEUTRAL, opening=OPEN) for now in times_s]
    summary, _, running = play(frames)
    assert summary["blinks"] is running[-1].blinks is running[-1].blink_rate_per_min is None
    assert running[-1].perclos == 0
    assert summary["eyes_seen_s"] > 10


def test_counts_blinks_and_perclos_at_full_rate() -> None:
    frames = [
        replace(m, opening=CLOSED if n % 90 in (60, 61, 62) else OPEN)
        for n, m in enumerate(moments([(Expression.NEUTRAL, 30)]))
    ]
    summary, events, running = play(frames)
    assert summary["blinks"] == running[-1].blinks == 10
    assert running[-1].perclos == pytest.approx(1 / 30, abs=0.005)
    assert [event.kind for event in events].count("blink") == 10


def test_a_wink_is_neither_a_blink_nor_a_closure() -> None:
    statistics, events = StreamStatistics(), []
    for moment in moments([(Expression.NEUTRAL, 12)]):
        statistics.begin_frame(moment.timestamp_s)
        # The lids of the other eye follow by a sixth, as in rendered winks.
        winks = moment.timestamp_s % 3 > 2.6
        pair = (CLOSED, OPEN * 5 / 6) if winks else (OPEN, OPEN)
        face = replace(moment.face, signals=Signals(*pair))
        now, more = statistics.update(face, "clear", moment.timestamp_s)
        events += more
    assert not {"blink", "closure"} & {event.kind for event in events}
    assert (now.blinks, now.perclos) == (0, 0)


def test_noise_does_not_open_closed_eyes() -> None:
    statistics, kinds = StreamStatistics(), []
    for number, moment in enumerate(moments([(Expression.NEUTRAL, 6)])):
        is_closed = 2 < moment.timestamp_s < 5
        uneven = (0.38 * OPEN, 0.6 * OPEN) if number % 2 else (0.4 * OPEN, 0.3 * OPEN)
        face = replace(moment.face, signals=Signals(*(uneven if is_closed else (OPEN, OPEN))))
        kinds += [e.kind for e in statistics.update(face, "clear", moment.timestamp_s)[1]]
    assert (kinds.count("blink"), kinds.count("closure")) == (0, 1)


def test_the_sampling_interval_is_robust_against_pauses() -> None:
    sampling, now = SamplingInterval(), 0.0
    for n in range(40):
        now += 8.0 if n in (3, 20) else 0.04
        sampling.update(now)
    assert sampling.seconds == pytest.approx(0.04)
    assert sampling.longest_step_s() == 1.0
    for _ in range(10):
        now += 2.0
        sampling.update(now)
    assert sampling.longest_step_s() == pytest.approx(5.0)


def test_what_was_never_seen_is_empty_and_not_zero() -> None:
    summary, _, running = play(moments([(Expression.NEUTRAL, 5)]))
    assert summary["eyes_seen_s"] == 0
    assert (summary["blinks"], summary["longest_closure_s"]) == (None, None)
    assert running[-1].blinks is None
    # Facemesh, without blendshapes, shows no lids, and no yawn from a song.
    asleep = [
        replace(m, opening=CLOSED, mouth=0.8, shapes=None)
        for m in moments([(Expression.SURPRISE, 12)])
    ]
    summary, events, running = play(asleep)
    assert (summary["blinks"], summary["longest_closure_s"], summary["yawns"]) == (None,) * 3
    assert (running[-1].perclos, running[-1].eyes_closed_s, running[-1].yawns) == (None,) * 3
    assert not {"eyes_closed", "closure"} & {event.kind for event in events}


def test_shares_of_labels_that_the_model_does_not_know_are_empty() -> None:
    face = moments([(Expression.NEUTRAL, 1)])[0].face
    labels = (exact_label("beaming"), Expression.NEUTRAL)
    shown = ExpressionScores(labels, np.array([0.9, 0.1], np.float32))
    statistics = StreamStatistics()
    for frame in range(20):
        statistics.begin_frame(frame / 10)
        statistics.update(replace(face, expression=shown), "clear", frame / 10)
    (ended,) = [e for e in statistics.end(statistics.track_ids) if e.kind == "track_ended"]
    assert ended.details["share_neutral"] == 0
    assert ended.details["share_happiness"] is None


@pytest.mark.parametrize(
    ("shown", "seconds", "yawns"),
    [
        ({"jawOpen": 0.7}, 4, 1),
        ({"jawOpen": 0.7}, 1.5, 0),
        ({"jawOpen": 0.3}, 6, 0),
        ({"jawOpen": 0.7, "mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}, 6, 0),
        ({"jawOpen": 0.7, "mouthFunnel": 0.5}, 6, 0),
    ],
    ids=["yawn", "word", "talk", "laugh", "long vowel"],
)
def test_a_yawn_drops_the_jaw_without_a_smile_or_round_lips(
    shown: dict[str, float], seconds: float, yawns: int
) -> None:
    shapes = dict.fromkeys(BLENDSHAPES, 0.0) | shown
    statistics, count = StreamStatistics(), 0
    for moment in moments([(Expression.SURPRISE, seconds)]):
        statistics.begin_frame(moment.timestamp_s)
        face = replace(replace(moment, mouth=0.8).face, blendshapes=shapes)
        track, events = statistics.update(face, "clear", moment.timestamp_s)
        count += sum(event.kind == "yawn" for event in events)
    assert count == track.yawns == yawns


def sharp(openings: Iterable[float]) -> EyeState:
    """The state after openings of lids, a second of open eyes first."""
    state = EyeState()
    for n, opening in enumerate([0.30] * FPS + list(openings) + [0.30] * FPS):
        state.update(opening, 0.0, n / FPS)
    return state


def test_counts_blinks_whose_lowest_point_the_camera_missed() -> None:
    # The openings of a driver's blink in a clip of 30 frames a second.
    assert sharp([0.31, 0.25, 0.23, 0.235, 0.255, 0.27, 0.28, 0.29]).blinks == 1
    assert sharp([0.29, 0.28, 0.27, 0.28, 0.29, 0.31]).blinks == 0
    assert sharp([0.2, 0.1, 0.04, 0.05, 0.1, 0.2]).blinks == 1


def test_looking_down_is_neither_closed_nor_a_blink() -> None:
    state = sharp([0.26, 0.2] + [0.18] * 60 + [0.22, 0.27])
    assert (state.blinks, state.longest_closure_s, state.closed_s) == (0, 0, 0)
    closed = sharp([0.2, 0.1] + [0.06] * 60 + [0.1, 0.2])
    assert closed.blinks == 0
    assert closed.longest_closure_s == pytest.approx(2.1, abs=0.07)


def test_narrow_eyes_are_not_closed_from_the_start() -> None:
    # Open eyes of half the usual opening, with two blinks.
    state, blink = EyeState(), [0.08, 0.04, 0.03, 0.06]
    events = []
    for n, opening in enumerate([0.13] * FPS + blink + [0.13] * FPS + blink + [0.13] * FPS):
        events += state.update(opening, 0.0, n / FPS)
    assert [event.kind for event in events] == ["blink", "blink"]
    # Eyes that are closed from the start are closed.
    asleep = EyeState()
    for n in range(2 * FPS):
        asleep.update(0.06, 0.0, n / FPS)
    last_s = (2 * FPS - 1) / FPS
    assert asleep.closure_s(last_s) == pytest.approx(last_s)


def test_memory_does_not_grow_with_time() -> None:
    statistics, sizes = StreamStatistics(), []
    labels = (Expression.NEUTRAL, Expression.HAPPINESS, Expression.SADNESS)
    for n in range(6000):
        moment = Moment(
            n / 10, labels[n // 7 % 3], 0.7, opening=CLOSED if n % 5 == 0 else OPEN, mouth=0.1
        )
        statistics.begin_frame(moment.timestamp_s)
        statistics.update(moment.face, "clear", moment.timestamp_s)
        if n in (1000, 5999):
            sizes.append(len(pickle.dumps(statistics)))
    assert sizes[1] < 1.2 * sizes[0]


def test_events_survive_json() -> None:
    _, events, _ = play(moments([(Expression.HAPPINESS, 2), (Expression.NEUTRAL, 1)]))
    for event in events:
        again = Event.from_dict(event.to_dict())
        assert again.to_dict() == event.to_dict()
        assert (again.kind, again.track_id) == (event.kind, 3)
