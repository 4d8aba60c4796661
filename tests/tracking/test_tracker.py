"""Track IDs over gaps and crossings, with and without landmarks."""

import numpy as np
import pytest

from mien.tracking import Observation, SamplingInterval, Tracker
from mien.tracking.motion import blend_shapes, face_shape, shape_distance
from mien.tracking.tracker import _assign
from mien.types import Box, Detection, Landmarks


def seen(x: float, y: float = 100, *, size: float = 60, score: float = 0.9) -> Observation:
    return Observation(Detection(Box(x, y, x + size, y + size), score))


def run(
    frames: list[list[Observation]], *, fps: float = 25, max_gap_s: float = 2.0
) -> list[list[int]]:
    """The track_id of each observation in each frame; 0 where it has none yet."""
    sampling = SamplingInterval()
    tracker = Tracker(max_gap_s=max_gap_s, sampling=sampling)
    ids = []
    for number, frame in enumerate(frames):
        sampling.update(number / fps)
        ids.append([track.track_id or 0 for track in tracker.update(frame, number / fps)[0]])
    return ids


@pytest.mark.parametrize("fps", [30, 5, 1, 0.5, 0.1])
def test_a_face_is_one_track_at_every_sampling_rate(fps: float) -> None:
    assert run([[seen(100 + n % 3)] for n in range(20)], fps=fps) == [[1]] * 20


@pytest.mark.parametrize("fps", [30, 1, 0.2])
def test_a_face_of_low_score_is_confirmed_at_every_sampling_rate(fps: float) -> None:
    assert run([[seen(100, score=0.5)] for _ in range(4)], fps=fps) == [[0], [0], [1], [1]]


def test_a_missing_frame_at_a_low_rate_keeps_the_track_and_a_pause_does_not() -> None:
    assert run([[seen(100)], [seen(100)], [], [seen(100)]], fps=0.5)[-1] == [1]
    assert run([[seen(100)], [seen(100)], [], [], [seen(100)]], fps=0.5)[-1] == [2]


def test_assignment_minimizes_the_total_and_respects_max_cost() -> None:
    # Row by row the greedy choice would be (0, 0) and then (1, 1) at 10.1; together 1 + 2 is less.
    assert _assign([[1.0, 1.1], [1.2, 9.0]], max_cost=5) == [(0, 1), (1, 0)]
    assert _assign([[1.0, np.inf], [np.inf, 7.0]], max_cost=5) == [(0, 0)]
    assert _assign(np.zeros((0, 3)), max_cost=5) == []
    assert _assign([[1.0], [0.5], [2.0]], max_cost=5) == [(1, 0)]


def test_still_faces_keep_their_ids_in_any_order() -> None:
    frames = [[seen(100), seen(400)], [seen(401), seen(101)], [seen(102), seen(402)]]
    assert run(frames) == [[1, 2], [2, 1], [1, 2]]


def test_crossing_faces_keep_their_ids() -> None:
    # 400 px/s toward each other at 25 fps; they pass 10 px apart in height.
    frames = [
        [seen(100 + 16 * n, 100), seen(740 - 16 * n, 110)] for n in range(40) if abs(n - 20) > 2
    ]
    times = [n for n in range(40) if abs(n - 20) > 2]
    tracker = Tracker()
    numbers = [
        [track.track_id for track in tracker.update(frame, n / 25)[0]]
        for n, frame in zip(times, frames, strict=True)
    ]
    assert numbers == [[1, 2]] * len(frames)


def test_face_keeps_its_id_after_a_short_gap() -> None:
    frames = [[seen(100 + n)] for n in range(25)] + [[]] * 25 + [[seen(150 + n)] for n in range(5)]
    assert run(frames)[-1] == [1]


def test_face_gets_a_new_id_after_a_long_gap() -> None:
    frames = [[seen(100)]] * 10 + [[]] * 60 + [[seen(100)]] * 3
    assert run(frames)[-1] == [2]
    assert run(frames, max_gap_s=3.0)[-1] == [1]


def test_ended_tracks_are_reported_once() -> None:
    tracker = Tracker(max_gap_s=0.5)
    tracker.update([seen(100)], 0.0)
    ended = [tracker.update([], n / 10)[1] for n in range(1, 10)]
    assert [[track.track_id for track in tracks] for tracks in ended].count([1]) == 1
    assert tracker.tracks == []


def test_face_with_a_low_score_is_confirmed_after_three_frames() -> None:
    assert run([[seen(100, score=0.55)]] * 4) == [[0], [0], [1], [1]]


def test_detections_without_presence_are_never_confirmed() -> None:
    points = np.random.default_rng(0).normal(100, 20, (468, 3)).astype(np.float32)
    nothing = Observation(
        Detection(Box(70, 70, 130, 130), 0.6), Landmarks(points, "mesh468", presence=0.01)
    )
    assert run([[nothing]] * 20) == [[0]] * 20


def test_a_track_begins_with_a_present_face_and_outlasts_a_covered_one() -> None:
    points = np.random.default_rng(0).normal(100, 20, (468, 3)).astype(np.float32)
    nothing, face = (
        Observation(Detection(Box(70, 70, 130, 130), 0.9), Landmarks(points, "mesh468", presence))
        for presence in (0.01, 0.9)
    )
    tracker = Tracker(min_presence=0.05)
    frames = [nothing] * 5 + [face] + [nothing] * 5
    owners = [tracker.update([seen], n / 25)[0][0].track_id for n, seen in enumerate(frames)]
    assert owners == [None] * 5 + [1] * 6


def test_restored_track_continues_and_new_ones_get_higher_ids() -> None:
    tracker = Tracker()
    tracker.restore(7, Box(100, 100, 160, 160), 10.0)
    owners, _ = tracker.update([seen(104), seen(500)], 10.04)
    assert [track.track_id for track in owners] == [7, 8]


def rigid(rng: np.random.Generator) -> Landmarks:
    return Landmarks(rng.normal(0, 50, (468, 3)).astype(np.float32), "mesh468", 1.0)


def test_shapes_are_independent_of_pose_size_and_position() -> None:
    landmarks = rigid(np.random.default_rng(1))
    angle = np.deg2rad(40)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    moved = Landmarks((landmarks.points @ turn.T * 3 + 500).astype(np.float32), "mesh468", 1.0)
    a, b = face_shape(landmarks), face_shape(moved)
    assert a is not None
    assert b is not None
    assert shape_distance(a, b) == pytest.approx(0, abs=1e-3)
    assert shape_distance(blend_shapes(a, b, 0.5), a) == pytest.approx(0, abs=1e-3)
    other = face_shape(rigid(np.random.default_rng(2)))
    assert other is not None
    assert shape_distance(a, other) > 0.3


def test_confirmed_track_wins_over_a_tentative_one_of_the_same_face() -> None:
    tracker = Tracker()
    (known,), _ = tracker.update([seen(100)], 0.0)
    # A box that has drifted and an uncertain detection nearer to the truth.
    owners, _ = tracker.update([seen(104, 90), seen(125, score=0.55)], 0.04)
    assert [track.track_id for track in owners] == [known.track_id, None]
    both = frozenset(track.key for track in owners)
    same = Observation(seen(126).detection, followed=both)
    (owner,), _ = tracker.update([same], 0.08)
    assert owner is known
