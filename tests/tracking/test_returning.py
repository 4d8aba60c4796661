"""A hidden face that comes back keeps its track, and another one gets a new one."""

from collections.abc import Sequence

import numpy as np
import pytest

from mien.tracking import Observation, Tracker
from mien.types import Box, Detection, Landmarks

pytest.importorskip("lap", reason="tracking needs lapx")

RNG = np.random.default_rng(5)
SHAPES = [RNG.normal(0, 0.25, (468, 3)).astype(np.float32) for _ in range(2)]
FACES = [RNG.integers(0, 255, (100, 100, 3), np.uint8) for _ in range(2)]


def face(x: float, shape: int) -> Observation:
    points = 50 * SHAPES[shape] + np.array([x, 100, 0], np.float32)
    points[33], points[263] = (x - 25, 90, 0), (x + 25, 90, 0)
    box = Box(x - 50, 50, x + 50, 150)
    return Observation(Detection(box, 0.9), Landmarks(points, "mesh468", 1.0))


def picture(x: float, pixels: int) -> np.ndarray:
    image = np.full((200, 800, 3), 90, np.uint8)
    left, right = max(0, int(x) - 50), min(800, int(x) + 50)
    image[50:150, left:right] = FACES[pixels][:, left - int(x) + 50 : right - int(x) + 50]
    return image


def track_ids(faces: Sequence[tuple[float, float, int, int]]) -> list[int | None]:
    """The track IDs of faces: time, position, shape and pixels."""
    tracker, found = Tracker(), []
    for now, x, shape, pixels in faces:
        owners, _ = tracker.update([face(x, shape)], now, picture(x, pixels))
        found.append(owners[0].track_id)
    return found


BEFORE = [(n / 25, 100.0 + 6 * n, 0, 0) for n in range(20)]


@pytest.mark.parametrize("hidden_s", [0.5, 1.0, 1.5])
def test_the_same_face_returns_where_it_is_expected(hidden_s: float) -> None:
    after = BEFORE[-1][0] + hidden_s
    # It moved on with 150 pixels per second.
    x = BEFORE[-1][1] + 150 * hidden_s
    assert track_ids([*BEFORE, (after, x, 0, 0)])[-1] == 1


@pytest.mark.parametrize(("pixels", "expected"), [(0, 1), (1, 2)])
def test_who_returns_where_a_face_left_the_picture_is_known_by_the_look(
    pixels: int, expected: int
) -> None:
    # It leaves with 600 pixels per second, half of it in view at last; a second later it is back.
    out = [(n / 25, 500.0 + 24 * n, 0, 0) for n in range(13)]
    back = [(1.5 + n / 25, 790.0 - 20 * n, 0, pixels) for n in range(12)]
    found = track_ids([*out, *back])
    assert found[:13] == [1] * 13
    assert found[-1] == expected


def test_a_half_hidden_face_is_the_lost_one_once_it_is_whole() -> None:
    start_s, x = BEFORE[-1][0] + 1.0, BEFORE[-1][1] + 60
    after = [(start_s + n / 25, x + 4 * n, 1 if n < 2 else 0, 1 if n < 2 else 0) for n in range(6)]
    found = track_ids([*BEFORE, *after])
    assert found[20:22] == [None, None]
    assert found[22:] == [1] * 4


def test_another_face_gets_a_new_track() -> None:
    start_s, x = BEFORE[-1][0] + 1.0, BEFORE[-1][1] + 60
    found = track_ids([*BEFORE, *((start_s + n / 25, x, 1, 1) for n in range(10))])
    assert 1 not in found[20:]
    assert found[-1] == 2
