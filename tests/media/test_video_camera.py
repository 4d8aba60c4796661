"""Missing and lost cameras; a video file replaces the device."""

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mien
from mien.errors import CameraError, InputError
from mien.media import camera as camera_module
from mien.media.camera import CameraSource
from mien.testing import FakePipeline


def test_reports_a_missing_camera() -> None:
    with pytest.raises(CameraError, match="camera 97"):
        next(CameraSource(97).frames())


@pytest.mark.parametrize("number", [-1, 100, 2**31, 10**20])
def test_refuses_numbers_that_no_camera_has(number: int) -> None:
    with pytest.raises(InputError, match=f"number of a camera from 0 to 99, got {number}$"):
        next(iter(mien.stream(number, pipeline=FakePipeline())))


def test_leaving_the_loop_ends_the_waiting_for_a_lost_camera(
    tmp_path: Path, write_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_module, "_FIRST_WAIT_S", 600.0)
    clip = write_clip(tmp_path / "c.mp4", [(np.zeros((48, 64, 3), np.uint8), 0.0)])
    lost = threading.Event()
    source = CameraSource(str(clip), on_state=lambda state: lost.set() if state == "lost" else None)
    results = mien.stream(source, pipeline=FakePipeline())
    next(results)
    assert lost.wait(60)
    results.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 60
    while any(thread.name == "mien-step" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_reopens_a_lost_camera(
    tmp_path: Path, write_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # For OpenCV, the end of the file is like a lost camera that is back at once.
    monkeypatch.setattr(camera_module, "_FIRST_WAIT_S", 0.01)
    image = np.full((48, 64, 3), (200, 30, 30), np.uint8)
    clip = write_clip(tmp_path / "c.mp4", [(image, n / 25) for n in range(6)])
    states: list[str] = []
    frames = CameraSource(str(clip), on_state=states.append).frames()
    got = list(itertools.islice(frames, 15))
    frames.close()  # type: ignore[attr-defined]
    assert states[:5] == ["open", "lost", "waiting", "open", "lost"]
    assert [frame.index for frame in got] == list(range(15))
    times = [frame.timestamp_s for frame in got]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    # RGB, not OpenCV's BGR.
    assert got[0].image.mean(axis=(0, 1)) == pytest.approx((200, 30, 30), abs=6)
