"""Two faces that pass each other keep their tracks, by how they look."""

import numpy as np
import pytest

from mien.tracking import Observation, Tracker
from mien.types import Box, Detection, Image, Landmarks

pytest.importorskip("lap", reason="tracking needs lapx")

RNG = np.random.default_rng(5)
SHAPE = RNG.normal(0, 0.25, (468, 3)).astype(np.float32)
FACES = [RNG.integers(0, 255, (100, 100, 3), np.uint8) for _ in range(2)]


def face(x: float, *followed: int) -> Observation:
    points = 50 * SHAPE + np.array([x, 100, 0], np.float32)
    points[33], points[263] = (x - 25, 90, 0), (x + 25, 90, 0)
    detection = Detection(Box(x - 50, 50, x + 50, 150), 0.9)
    return Observation(detection, Landmarks(points, "mesh468", 1.0), frozenset(followed))


def picture(*positions: float) -> Image:
    """The first face is behind the second."""
    image = np.full((200, 800, 3), 90, np.uint8)
    for x, pixels in zip(positions, FACES, strict=True):
        image[50:150, int(x) - 50 : int(x) + 50] = pixels
    return image


def cross(*, taken: bool) -> tuple[list[int | None], list[int | None]]:
    """The IDs of both faces before and after they cross at 250 pixels a second.

    Args:
        taken: whether the track of the first face goes on in the second one while it is hidden.
    """
    tracker = Tracker()
    before: list[int | None] = []
    after: list[int | None] = []
    for n in range(60):
        behind, front = 100.0 + 10 * n, 700.0 - 10 * n
        if abs(behind - front) < 70:
            observations = [face(front, 1) if taken else face(front, 1, 2)]
        else:
            observations = [face(behind), face(front)]
        owners, _ = tracker.update(observations, n / 25, picture(behind, front))
        ids = [track.track_id for track in owners]
        before, after = (ids, after) if n < 20 else (before, ids)
    return before, after


@pytest.mark.parametrize("taken", [False, True])
def test_faces_keep_their_tracks_when_they_pass_each_other(taken: bool) -> None:
    assert cross(taken=taken) == ([1, 2], [1, 2])
