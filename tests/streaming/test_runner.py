"""Every way in which a stream can end leaves its sinks closed and its threads gone."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import mien
from mien.errors import VideoReadError
from mien.media.sources import ArraySource, Frame, SourceInfo
from mien.pipeline import FacePipeline
from mien.streaming import stream
from mien.tracking import Event
from mien.types import Detection, FrameResult, Image

pytest.importorskip("lap", reason="tracking needs lapx")

Frames = list[tuple[npt.NDArray[np.uint8], float]]


class Recorder:
    """A sink that keeps what it receives, and fails on request."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.indices: list[int] = []
        self.complete: bool | None = None
        self._fail_at = fail_at

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        if frame.index == self._fail_at:
            raise OSError("disk full")
        self.indices.append(frame.index)

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        self.complete = complete


@pytest.fixture(autouse=True)
def _no_threads_are_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and any(
        thread.name.startswith("mien-") for thread in threading.enumerate()
    ):
        time.sleep(0.01)
    assert not any(thread.name.startswith("mien-") for thread in threading.enumerate())


def test_analyzes_every_frame_of_a_file_in_order(pipeline: FacePipeline, smile_clip: Path) -> None:
    sink = Recorder()
    events: list[Event] = []
    results = list(mien.stream(smile_clip, pipeline=pipeline, sinks=[sink], on_event=events.append))
    assert [result.frame_index for result in results] == list(range(75)) == sink.indices
    assert sink.complete is True
    assert {result.source for result in results} == {"smile.mp4"}
    kinds = [event.kind for event in events]
    assert kinds.count("track_started") == kinds.count("track_ended") == 1
    assert [e.details["expression"] for e in events if e.kind == "expression"] == [
        "neutral",
        "happiness",
    ]


def test_breaking_the_loop_closes_the_sinks_as_incomplete(
    pipeline: FacePipeline, smile_clip: Path
) -> None:
    sink = Recorder()
    results = stream(smile_clip, pipeline=pipeline, sinks=[sink])
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert sink.complete is False


def test_a_failing_sink_stops_the_stream_and_closes_the_others(
    pipeline: FacePipeline, smile_clip: Path
) -> None:
    failing, other = Recorder(fail_at=5), Recorder()
    with pytest.raises(OSError, match="disk full"):
        list(stream(smile_clip, pipeline=pipeline, sinks=[other, failing]))
    assert other.complete is False
    assert failing.complete is False


def test_a_failing_stage_stops_the_stream(smile_frames: Frames) -> None:
    class Broken(FacePipeline):
        def detect(self, image: Image, *, still: bool = False) -> list[Detection]:
            raise RuntimeError("out of memory")

    sink = Recorder()
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stream(ArraySource(smile_frames), pipeline=Broken(), sinks=[sink]))
    assert sink.complete is False


def test_a_failing_source_yields_its_frames_first(
    pipeline: FacePipeline, smile_frames: Frames
) -> None:
    def frames() -> Iterator[tuple[npt.NDArray[np.uint8], float]]:
        yield from smile_frames[:3]
        raise VideoReadError("the rest is gone")

    sink = Recorder()
    with pytest.raises(VideoReadError, match="the rest is gone"):
        list(stream(ArraySource(frames()), pipeline=pipeline, sinks=[sink]))
    assert sink.indices == [0, 1, 2]


def test_drops_old_frames_of_a_live_source(pipeline: FacePipeline, smile_frames: Frames) -> None:
    ended = threading.Event()

    def camera() -> Iterator[tuple[npt.NDArray[np.uint8], float]]:
        yield from smile_frames[:40]
        ended.set()

    source = ArraySource(camera(), SourceInfo("camera", live=True))
    indices = []
    for result in stream(source, pipeline=pipeline):
        ended.wait()
        indices.append(result.frame_index)
    assert indices[-1] == 39
    assert len(indices) < 25


def test_rejects_files_that_are_not_videos(tmp_path: Path) -> None:
    with pytest.raises(VideoReadError, match=r"gone\.mp4"):
        next(stream(tmp_path / "gone.mp4"))
