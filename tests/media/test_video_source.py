"""Frames of video files: times, rotation, selection, and errors."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from mien.errors import VideoReadError
from mien.media import open_source
from mien.media.sources import ArraySource, PacedSource, Selection, SourceInfo
from mien.media.video import VideoSource

pytest.importorskip("av", reason="videos need PyAV")

Write = Callable[..., Path]
Pixels = npt.NDArray[np.uint8]


def numbered(count: int, size_wh: tuple[int, int] = (64, 48)) -> list[tuple[Pixels, float]]:
    """Frames at 25 a second whose gray level is four times their number."""
    return [(np.full((size_wh[1], size_wh[0], 3), 4 * n, np.uint8), n / 25) for n in range(count)]


def test_frames_are_in_order_with_their_times(tmp_path: Path, write_clip: Write) -> None:
    source = VideoSource(write_clip(tmp_path / "a.mp4", numbered(50)))
    frames = list(source.frames())
    assert source.info.size_wh == (64, 48)
    assert source.info.frame_rate == pytest.approx(25, rel=0.02)
    assert source.info.duration_s == pytest.approx(2, rel=0.03)
    assert [frame.index for frame in frames] == list(range(50))
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 25 for n in range(50)])
    levels = [frame.image.mean() for frame in frames]
    assert levels == pytest.approx([4 * n for n in range(50)], abs=4)


def test_keeps_the_times_of_variable_frame_rates(tmp_path: Path, write_clip: Write) -> None:
    times = [0.0, 0.04, 0.5, 0.51, 2.0, 2.25]
    clip = write_clip(
        tmp_path / "v.mp4", [(image, t) for (image, _), t in zip(numbered(6), times, strict=True)]
    )
    found = [frame.timestamp_s for frame in VideoSource(clip).frames()]
    assert found == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_rotates_frames_upright(tmp_path: Path, write_clip: Write, rotation_deg: int) -> None:
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:12, :16] = 255
    clip = write_clip(
        tmp_path / "r.mp4", [(stored, 0.0), (stored, 0.04)], rotation_deg=rotation_deg
    )
    shown = next(iter(VideoSource(clip).frames())).image
    # The flag is the counterclockwise rotation to apply.
    expected = np.rot90(stored, rotation_deg // 90)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 8


def test_selection_skips_frames_and_keeps_indices(tmp_path: Path, write_clip: Write) -> None:
    clip = write_clip(tmp_path / "s.mp4", numbered(50))

    def indices(**options: float) -> list[int]:
        selection = Selection(**options)  # type: ignore[arg-type]
        return [frame.index for frame in VideoSource(clip, selection).frames()]

    assert indices(every=10) == [0, 10, 20, 30, 40]
    assert indices(start_s=1.0, end_s=1.2) == [25, 26, 27, 28, 29]
    assert indices(max_fps=5) == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]
    assert len(indices(max_fps=1000)) == 50


def test_reads_gifs_as_videos(tmp_path: Path) -> None:
    frames = [PillowImage.new("P", (32, 24), color) for color in (0, 1, 2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=80)
    times = [frame.timestamp_s for frame in VideoSource(tmp_path / "a.gif").frames()]
    assert times[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def test_reports_files_that_are_not_videos(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    for name in ("missing.mp4", "text.mp4", "empty.mp4", "noise.mp4"):
        with pytest.raises(VideoReadError, match=name):
            list(VideoSource(tmp_path / name).frames())


def test_playlists_do_not_open_other_files(tmp_path: Path, write_clip: Write) -> None:
    clip = write_clip(tmp_path / "inner.ts", numbered(5))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n"
    (tmp_path / "outer.mp4").write_text(playlist)
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    for name in ("outer.mp4", "list.mp4"):
        with pytest.raises(VideoReadError, match=name):
            VideoSource(tmp_path / name)


def test_reads_the_intact_part_of_truncated_files(tmp_path: Path, write_clip: Write) -> None:
    whole = write_clip(tmp_path / "whole.ts", numbered(50))
    data = whole.read_bytes()
    (tmp_path / "cut.ts").write_bytes(data[: len(data) // 2])
    assert 5 <= len(list(VideoSource(tmp_path / "cut.ts").frames())) < 50


def test_opens_the_source_by_type(tmp_path: Path, write_clip: Write) -> None:
    clip = write_clip(tmp_path / "a.mp4", numbered(2))
    assert isinstance(open_source(clip), VideoSource)
    assert open_source(0).info.live
    own = ArraySource([(np.zeros((4, 4, 3), np.uint8), 0.0)], SourceInfo("mine"))
    assert open_source(own) is own
    network = open_source("rtsp://user:secret@10.0.0.1/stream")
    assert "secret" not in network.info.name


def test_paced_source_plays_in_real_time(tmp_path: Path, write_clip: Write) -> None:
    source = PacedSource(VideoSource(write_clip(tmp_path / "a.mp4", numbered(10))))
    started = time.monotonic()
    assert len(list(source.frames())) == 10
    assert source.info.live
    assert time.monotonic() - started >= 0.34
