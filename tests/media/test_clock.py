"""Times of frames from timestamps of any kind."""

from collections.abc import Sequence
from typing import Any

import pytest

from mien.media.clock import Clock

RATE = 25.0


def times(stamps: Sequence[float | None], *, jumps: bool = False) -> tuple[Any, int]:
    """The times of frames with these timestamps, and how many warnings there were."""
    clock = Clock(RATE, jumps=jumps)
    found = [time for _, time in clock.times((0, stamp) for stamp in stamps)]
    return found, len(clock.warnings)


EVEN = [n / RATE for n in range(20)]


def test_keeps_increasing_timestamps() -> None:
    assert times(EVEN) == (pytest.approx(EVEN), 0)
    assert times([3.0, 3.5, 3.51, 20.0, 20.1]) == (pytest.approx([0, 0.5, 0.51, 17, 17.1]), 0)
    assert times([-0.08, -0.04, 0.0]) == (pytest.approx([0, 0.04, 0.08]), 0)


def test_continues_where_timestamps_start_over() -> None:
    assert times([*EVEN[:10], *EVEN[:10]]) == (pytest.approx(EVEN), 1)
    assert times([5 + t for t in EVEN[:10]] + EVEN[:10]) == (pytest.approx(EVEN), 1)
    assert times([*EVEN[:7], *EVEN[:7], *EVEN[:6]]) == (pytest.approx(EVEN), 1)


def test_continues_after_jumps_of_joined_recordings_only() -> None:
    joined = [*EVEN[:10], *(3600 + t for t in EVEN[:10])]
    assert times(joined, jumps=True) == (pytest.approx(EVEN), 1)
    assert times(joined) == (pytest.approx(joined), 0)


@pytest.mark.parametrize("wrong", [None, 0.0, 9 / RATE, 500.0, -3.0])
def test_one_wrong_timestamp_moves_one_frame(wrong: float | None) -> None:
    found, warnings = times([*EVEN[:10], wrong, *EVEN[11:]])
    assert found == pytest.approx(EVEN, abs=0.5 / RATE)
    assert found == sorted(set(found))
    assert warnings == 1


def test_uses_the_frame_rate_without_timestamps() -> None:
    assert times([None] * 20) == (pytest.approx(EVEN), 1)
    assert times([1.0] * 20) == (pytest.approx(EVEN), 1)
