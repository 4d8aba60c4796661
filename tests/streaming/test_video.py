"""A video becomes a folder of tables, pictures and a report, and survives being stopped."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mien.errors import MienError, SettingError, VideoReadError
from mien.media.sources import Selection
from mien.pipeline import FacePipeline
from mien.recording import Recording
from mien.streaming.outputs import VideoOptions
from mien.streaming.video import VideoProgress, analyze_video
from mien.tables import TableOptions, write_tables
from mien.testing import FakePipeline, face_frames

av = pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")


def rows(folder: Path, name: str = "faces.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_state(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """Three seconds of a fake face that changes from neutral to happiness."""
    return write_clip(tmp_path_factory.mktemp("clip") / "fake.mp4", face_frames(75))


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FakePipeline()


@pytest.fixture(scope="module")
def whole(pipeline: FacePipeline, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the clip, analyzed in one go."""
    folder = tmp_path_factory.mktemp("whole") / "smile"
    outcome = analyze_video(
        clip, folder, VideoOptions(tables=TableOptions(parquet=True)), pipeline=pipeline
    )
    assert (outcome.frames, outcome.tracks, outcome.complete) == (75, 1, True)
    return folder


def test_everything_is_written_and_agrees(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == [
        "annotated.mp4",
        "events.csv",
        "events.jsonl",
        "faces.csv",
        "faces.parquet",
        "frames.csv",
        "frames.jsonl",
        "report.html",
        "run.json",
        "thumbnails",
        "tracks.csv",
    ]
    faces = rows(whole)
    assert [int(row["frame_index"]) for row in faces] == list(range(75))
    lines = [json.loads(line) for line in (whole / "frames.jsonl").read_text().splitlines()]
    labels = [line["faces"][0]["expression"]["label"] for line in lines]
    assert labels == [row["expression"] for row in faces]
    (track,) = rows(whole, "tracks.csv")
    assert track["frames"] == "75"
    assert float(track["share_happiness"]) + float(track["share_neutral"]) == pytest.approx(1)
    assert run_state(whole)["status"] == "complete"
    assert "data:image/jpeg;base64," in (whole / "report.html").read_text()
    with av.open(str(whole / "annotated.mp4")) as container:
        assert container.streams.video[0].frames == 75


def test_the_original_sound_is_kept(smile_clip: Path, tmp_path: Path) -> None:
    analyze_video(smile_clip, tmp_path, pipeline=FakePipeline())
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        assert len(container.streams.audio) == 1


def test_a_stopped_run_is_readable_and_can_be_resumed(
    pipeline: FacePipeline, clip: Path, whole: Path, tmp_path: Path
) -> None:
    seen: list[VideoProgress] = []
    outcome = analyze_video(
        clip,
        tmp_path,
        pipeline=pipeline,
        on_progress=seen.append,
        should_stop=lambda: len(seen) >= 20,
    )
    assert not outcome.complete
    assert run_state(tmp_path)["status"] == "partial"
    assert "This report is partial" in (tmp_path / "report.html").read_text()
    assert len(rows(tmp_path)) == 20
    assert len(rows(tmp_path, "tracks.csv")) == 1
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        assert container.streams.video[0].frames == len(rows(tmp_path))

    resumed = analyze_video(clip, tmp_path, VideoOptions(resume=True), pipeline=pipeline)
    assert resumed.complete
    assert_same_as(tmp_path, whole)


def test_a_failed_run_is_readable_and_can_be_resumed(
    pipeline: FacePipeline, clip: Path, whole: Path, tmp_path: Path
) -> None:
    def fail(progress: VideoProgress) -> None:
        if progress.frames == 30:
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        analyze_video(clip, tmp_path, pipeline=pipeline, on_progress=fail)
    assert run_state(tmp_path)["status"] == "partial"
    assert len(rows(tmp_path)) == 30
    analyze_video(clip, tmp_path, VideoOptions(resume=True), pipeline=pipeline)
    assert_same_as(tmp_path, whole)


FULL_DISK = """
import resource, sys
from pathlib import Path
from mien.errors import MienError
from mien.streaming.outputs import VideoOptions
from mien.streaming.video import analyze_video
from mien.testing import FakePipeline

# Like a full disk, but for the number of the error.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
options = VideoOptions(annotate=sys.argv[4] == "annotate")
try:
    analyze_video(Path(sys.argv[1]), Path(sys.argv[2]), options, pipeline=FakePipeline())
except MienError as error:
    sys.exit(f"{error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of the size of files")
@pytest.mark.parametrize(("limit", "annotate"), [(7000, ""), (40_000, ""), (7000, "annotate")])
def test_a_full_disk_is_named_and_the_state_is_true(
    pipeline: FacePipeline, clip: Path, tmp_path: Path, limit: int, annotate: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(clip), str(tmp_path), str(limit), annotate],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "--resume" in ran.stderr
    state = run_state(tmp_path)
    assert state["status"] == "partial"
    for text in (ran.stderr, state["error"]):
        assert os.strerror(errno.EFBIG) in text
        # Which of the two is first depends on how long lines are gathered.
        assert "frames.jsonl" in text or (annotate and "annotated.part-" in text)
    content = (tmp_path / "frames.jsonl").read_bytes()
    assert content.endswith(b"\n") or not content
    indices = [json.loads(line)["frame_index"] for line in content.splitlines()]
    assert indices == list(range(state["frames"])) != list(range(75))
    assert not list(tmp_path.glob("*partial*"))
    options = VideoOptions(annotate=bool(annotate), resume=True)
    assert analyze_video(clip, tmp_path, options, pipeline=pipeline).complete
    assert run_state(tmp_path)["error"] is None
    assert [int(row["frame_index"]) for row in rows(tmp_path)] == list(range(75))


@pytest.mark.parametrize("selection", [Selection(start_s=9), Selection(start_s=1.01, end_s=1.02)])
def test_a_selection_without_a_frame_is_an_error_and_leaves_no_folder(
    pipeline: FacePipeline, clip: Path, tmp_path: Path, selection: Selection
) -> None:
    folder = tmp_path / "results" / "clip"
    with pytest.raises(VideoReadError, match=r"expected a .*fake\.mp4"):
        analyze_video(clip, folder, VideoOptions(selection=selection), pipeline=pipeline)
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_stopped_after_the_last_frame_can_be_resumed(
    pipeline: FacePipeline, clip: Path, whole: Path, tmp_path: Path
) -> None:
    done: list[int] = []
    outcome = analyze_video(
        clip,
        tmp_path,
        pipeline=pipeline,
        on_progress=lambda now: done.append(now.frames),
        should_stop=lambda: len(done) == 75,
    )
    assert not outcome.complete
    assert analyze_video(clip, tmp_path, VideoOptions(resume=True), pipeline=pipeline).complete
    assert_same_as(tmp_path, whole)


def test_a_second_run_is_refused_and_changes_nothing(
    pipeline: FacePipeline, clip: Path, whole: Path
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir()}
    with pytest.raises(SettingError, match="--overwrite"):
        analyze_video(clip, whole, VideoOptions(annotate=False), pipeline=pipeline)
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def assert_same_as(folder: Path, whole: Path) -> None:
    """The tables are those of a run in one go, but for smoothing that starts over at the seam."""
    got, expected = rows(folder), rows(whole)
    assert [row["frame_index"] for row in got] == [row["frame_index"] for row in expected]
    assert {row["track_id"] for row in got} == {"1"}
    same = sum(a["expression"] == b["expression"] for a, b in zip(got, expected, strict=True))
    assert same >= 70
    lines = (folder / "frames.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame_index"] for line in lines] == list(range(75))
    (track,) = rows(folder, "tracks.csv")
    assert track["frames"] == "75"
    kinds = [
        json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()
    ]
    assert kinds.count("track_started") == 1
    assert run_state(folder)["status"] == "complete"
    assert run_state(folder)["frames"] == 75
    assert "This report is partial" not in (folder / "report.html").read_text()
    with av.open(str(folder / "annotated.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([n / 25 for n in range(75)], abs=1e-3)


_CHILD = """
import sys, time
from pathlib import Path
from mien.streaming.video import analyze_video
from mien.testing import FakePipeline
analyze_video(Path(sys.argv[1]), Path(sys.argv[2]), pipeline=FakePipeline(),
              on_progress=lambda p: time.sleep(0.04 if p.frames < 60 else 600))
"""


def test_a_killed_run_leaves_whole_lines_and_can_be_resumed(
    pipeline: FacePipeline, clip: Path, whole: Path, tmp_path: Path
) -> None:
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(clip), str(tmp_path)])
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and _frames_written(tmp_path) < 30:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert run_state(tmp_path)["status"] == "running"
    assert (tmp_path / "frames.jsonl").read_text().endswith("\n")
    (tmp_path / "tables").mkdir()
    assert write_tables(Recording(tmp_path), tmp_path / "tables") == 1
    assert len(rows(tmp_path / "tables")) >= 29
    outcome = analyze_video(clip, tmp_path, VideoOptions(resume=True), pipeline=pipeline)
    assert outcome.complete
    assert_same_as(tmp_path, whole)


def _frames_written(folder: Path) -> int:
    try:
        return int(run_state(folder)["frames"])
    except (OSError, ValueError):
        return 0


def test_a_finished_run_is_not_analyzed_again(
    pipeline: FacePipeline, clip: Path, whole: Path
) -> None:
    before = (whole / "frames.jsonl").stat().st_mtime_ns
    outcome = analyze_video(clip, whole, VideoOptions(resume=True), pipeline=pipeline)
    assert (outcome.frames, outcome.tracks, outcome.complete) == (75, 1, True)
    assert (whole / "frames.jsonl").stat().st_mtime_ns == before


def test_rejects_resuming_another_plan(pipeline: FacePipeline, clip: Path, whole: Path) -> None:
    options = VideoOptions(resume=True, selection=Selection(every=2))
    with pytest.raises(SettingError, match="every"):
        analyze_video(clip, whole, options, pipeline=pipeline)


def test_analyzes_a_part_without_thumbnails(
    pipeline: FacePipeline, clip: Path, tmp_path: Path
) -> None:
    options = VideoOptions(
        selection=Selection(every=2, start_s=1.0, end_s=2.0), annotate=False, thumbnails=False
    )
    assert analyze_video(clip, tmp_path, options, pipeline=pipeline).frames == 12
    assert [int(row["frame_index"]) for row in rows(tmp_path)] == list(range(26, 50, 2))
    assert not (tmp_path / "annotated.mp4").exists()
    page = (tmp_path / "report.html").read_text()
    assert "image/jpeg" not in page
    # Without an annotated video the report plays the original.
    assert "data:video/mp4;base64," in page


def test_blurring_leaves_no_face_in_the_report(
    pipeline: FacePipeline, clip: Path, tmp_path: Path
) -> None:
    analyze_video(clip, tmp_path, pipeline=pipeline)
    assert "image/jpeg" in (tmp_path / "report.html").read_text()
    # A run over an older one must not show its pictures.
    options = VideoOptions(
        selection=Selection(every=5), blur_faces=True, annotate=False, overwrite=True
    )
    analyze_video(clip, tmp_path, options, pipeline=pipeline)
    page = (tmp_path / "report.html").read_text()
    assert "image/jpeg" not in page
    assert "data:video" not in page
    assert not (tmp_path / "thumbnails").exists()
    assert not (tmp_path / "annotated.mp4").exists()


def test_blurred_faces_cannot_be_recognized(
    smile_clip: Path, smile_frames: list[tuple[npt.NDArray[np.uint8], float]], tmp_path: Path
) -> None:
    real = FacePipeline()
    options = VideoOptions(selection=Selection(every=25), blur_faces=True)
    analyze_video(smile_clip, tmp_path, options, pipeline=real)
    (face,) = real.analyze(smile_frames[0][0]).faces
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    left, top, right, bottom = (int(value) for value in face.box.to_array())
    before, after = (
        image[top:bottom, left:right].mean(axis=2) for image in (smile_frames[0][0], shown)
    )
    # What changes from one pixel to the next carries the features; a quarter of it is left at most.
    assert np.abs(np.diff(after)).mean() < 0.25 * np.abs(np.diff(before)).mean()


def test_rejects_files_that_are_not_videos(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(VideoReadError, match=r"a\.mp4"):
        analyze_video(tmp_path / "a.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_analyzes_small_short_and_fast_videos(
    pipeline: FacePipeline, tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    tiny = write_clip(tmp_path / "tiny.mp4", [(np.zeros((2, 2, 3), np.uint8), 0.0)])
    fast = write_clip(
        tmp_path / "fast.mp4", [(np.zeros((48, 64, 3), np.uint8), n / 1000) for n in range(60)]
    )
    for clip, frames in ((tiny, 1), (fast, 60)):
        outcome = analyze_video(clip, tmp_path / clip.stem, pipeline=pipeline)
        assert (outcome.frames, outcome.tracks) == (frames, 0)
        assert "No face was found" in (tmp_path / clip.stem / "report.html").read_text()


@pytest.mark.soak
def test_corrupted_videos_give_an_error_or_a_result(
    pipeline: FacePipeline, smile_clip: Path, tmp_path: Path
) -> None:
    import random

    dice, data, outcomes = random.Random(0), smile_clip.read_bytes(), []
    options = VideoOptions(annotate=False, selection=Selection(every=8))
    for number in range(100):
        broken = bytearray(data)
        if number % 4 == 0:
            del broken[dice.randrange(len(broken)) :]
        elif number % 4 == 1:
            for _ in range(dice.choice([1, 10, 200])):
                broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        elif number % 4 == 2:
            start = dice.randrange(len(broken))
            broken[start : start + dice.randrange(1, 5000)] = b""
        else:
            broken[dice.randrange(len(broken)) :] = dice.randbytes(dice.randrange(5000))
        clip = tmp_path / f"{number}.{dice.choice(['mp4', 'avi', 'gif', 'txt'])}"
        clip.write_bytes(broken)
        try:
            outcome = analyze_video(clip, tmp_path / f"out{number}", options, pipeline=pipeline)
            outcomes.append(outcome.frames)
        except MienError as error:
            outcomes.append(-1 if clip.name in str(error) else -2)
    assert len(outcomes) == 100
    assert -2 not in outcomes
    assert sum(frames > 0 for frames in outcomes) >= 15
