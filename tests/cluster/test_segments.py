"""Videos that are entered at a key frame, and long ones in segments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.cluster.attempts import WatchedSelection
from mien.cluster.folder import Folder
from mien.cluster.inputs import Input
from mien.cluster.plan import make_plan
from mien.cluster.worker import Worker, WorkSettings
from mien.config import Settings
from mien.media.clock import find_key_frame
from mien.media.sources import Frame, Selection
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
SECONDS = 20
RATE = 7


@pytest.fixture(scope="module")
def clip(samples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people sway, and a third one is there from 11 s to 16 s; a key frame every 2 s."""
    people = [
        np.asarray(PillowImage.open(samples[name]).convert("RGB").resize((240, 240)))
        for name in ("person-a-smiling", "person-b-neutral", "person-c-smiling")
        if name in samples
    ]

    def frame(timestamp_s: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
        canvas = np.full((280, 800, 3), 120, np.uint8)
        for number, person in enumerate(people):
            if number == 2 and not 11 <= timestamp_s < 16:
                continue
            x = 10 + 262 * number + round(8 * np.sin(timestamp_s + number))
            y = 20 + round(6 * np.cos(1.7 * timestamp_s + number))
            canvas[y : y + 240, x : x + 240] = person
        return canvas

    path = tmp_path_factory.mktemp("long") / "long.mp4"
    av: Any = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "g": str(2 * RATE), "bf": "2"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 800, 280, "yuv420p"
        for number in range(SECONDS * RATE):
            made = av.VideoFrame.from_ndarray(frame(number / RATE), format="rgb24")
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))
    return path


def test_a_video_entered_at_a_key_frame_has_the_same_frames(clip: Path) -> None:
    entry = find_key_frame(clip, 17.0)
    assert entry is not None
    assert 0 < entry.timestamp_s <= 17.0

    def frames(video: VideoSource) -> list[tuple[int, float, int]]:
        def described(frame: Frame) -> tuple[int, float, int]:
            return frame.index, frame.timestamp_s, int(frame.image.sum())

        return [described(frame) for frame in video.frames()]

    whole = frames(VideoSource(clip, Selection(start_s=17.0)))
    assert frames(VideoSource(clip, Selection(start_s=17.0), entry)) == whole
    assert len(whole) == 3 * RATE


def test_videos_are_entered_at_the_start_where_times_are_unclear(
    clip: Path, tmp_path: Path
) -> None:
    av: Any = pytest.importorskip("av")
    stream_path = tmp_path / "joined.ts"
    with av.open(str(clip)) as given, av.open(str(stream_path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    assert find_key_frame(stream_path, 17.0) is None


def test_frames_that_are_left_out_are_progress(clip: Path) -> None:
    """A late segment may be read from the beginning for longer than a worker may stand still."""
    read: list[int] = []
    selection = WatchedSelection(Selection(start_s=17.0), lambda: read.append(0))
    first = next(VideoSource(clip, selection).frames())
    assert first.timestamp_s == pytest.approx(17.0, abs=1 / RATE)
    assert len(read) == 17 * RATE + 1
    read.clear()
    find_key_frame(clip, 17.0, lambda: read.append(0))
    assert len(read) >= SECONDS * RATE


@pytest.mark.soak
def test_segments_have_the_tracks_of_one_piece(clip: Path, tmp_path: Path) -> None:
    found = Input("long.mp4", str(clip), {})
    pipeline = FacePipeline()
    tables = {}
    for segment_s in (0.0, 10.0):
        out = tmp_path / f"{segment_s:g}"
        plan = make_plan([found], workers=1, segment_s=segment_s)
        assert plan.inputs == 1
        worker = Worker(WorkSettings(str(out), Settings(), {}), pipeline)
        counts = [worker.run(plan.part(number))["counts"] for number in range(len(plan))]
        assert sum(count["inputs"] for count in counts) == 1
        assert sum(count["videos"] for count in counts) == 1
        for name in ("faces", "frames", "tracks"):
            parts = [parquet.read_table(path) for path in sorted((out / name).glob("*.parquet"))]
            tables[segment_s, name] = pyarrow.concat_tables(parts).to_pylist()
        assert Folder(str(out)).names("segments/long") == []
    assert len(plan) == 3

    one, several = tables[0.0, "tracks"], tables[10.0, "tracks"]
    assert len(one) >= 3
    assert [row["track_id"] for row in several] == [row["track_id"] for row in one]
    for before, after in zip(one, several, strict=True):
        # A new face is found when the detector next looks, up to half a second later.
        for name in ("first_s", "last_s"):
            assert after[name] == pytest.approx(before[name], abs=0.5), name
        assert after["share_happiness"] == pytest.approx(before["share_happiness"], abs=0.02)
        assert (after["gaps"], after["blinks"]) == (before["gaps"], before["blinks"])
    for name in ("frames", "visible_s"):
        sums = [sum(row[name] for row in rows) for rows in (one, several)]
        assert sums[1] == pytest.approx(sums[0], rel=0.01)
    times = [
        [(row["frame_index"], row["timestamp_s"]) for row in tables[segment_s, "frames"]]
        for segment_s in (0.0, 10.0)
    ]
    assert times[0] == times[1]
