"""Frames of video files: times, rotation, selection, and errors."""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from mien.errors import VideoReadError
from mien.media import open_source
from mien.media.sources import ArraySource, PacedSource, Selection, SourceInfo
from mien.media.video import VideoSource, _oriented

av = pytest.importorskip("av", reason="videos need PyAV")

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


def encode(
    path: Path, images: list[npt.NDArray[Any]], codec: str, pixel_format: str, **context: Any
) -> Path:
    """Encode frames at 25 a second with attributes of the codec context."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixel_format
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for number, image in enumerate(images):
            source = "rgb48le" if image.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(image, format=source)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            if "color_trc" in context:
                frame = frame.reformat(format=pixel_format)
                frame.color_trc = context["color_trc"]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("ratio", "size_wh"), [("3/2", (96, 48)), ("1/2", (64, 96)), ("1/1", (64, 48))]
)
@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_frames_have_square_pixels(
    tmp_path: Path, ratio: str, size_wh: tuple[int, int], ending: str
) -> None:
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:24, :32] = 255
    path = tmp_path / f"a.{ending}"
    clip = encode(path, [stored] * 3, "mpeg4", "yuv420p", sample_aspect_ratio=Fraction(ratio))
    source = VideoSource(clip)
    frames = list(source.frames())
    assert source.info.size_wh == size_wh
    assert all(frame.image.shape == (size_wh[1], size_wh[0], 3) for frame in frames)
    shown = frames[0].image[..., 0] > 128
    assert shown[:, 0].mean() == pytest.approx(0.5, abs=0.05)
    assert shown[0].mean() == pytest.approx(0.5, abs=0.05)


def test_mirrors_frames_as_the_display_matrix_says() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)

    def oriented(*matrix: int) -> Pixels:
        a, b, c, d = matrix
        values = np.array([a, b, 0, c, d, 0, 0, 0, 1], np.int32)
        return _oriented(image, SimpleNamespace(side_data={"DISPLAYMATRIX": values.tobytes()}))

    assert np.array_equal(oriented(1, 0, 0, 1), image)
    assert np.array_equal(oriented(-1, 0, 0, 1), image[:, ::-1])
    assert np.array_equal(oriented(1, 0, 0, -1), image[::-1])
    assert np.array_equal(oriented(-1, 0, 0, -1), np.rot90(image, 2))
    assert np.array_equal(oriented(0, 1, -1, 0), np.rot90(image, 3))
    assert np.array_equal(oriented(0, 1, 1, 0), image.transpose(1, 0, 2))


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.58), (18, 0.75), (1, 1.0)])
def test_hdr_frames_are_mapped_to_standard_rgb(tmp_path: Path, transfer: int, white: float) -> None:
    levels = np.zeros((48, 64, 3), np.uint16)
    levels[:, 32:] = round(white * 65535)
    clip = encode(tmp_path / "a.mkv", [levels] * 3, "ffv1", "yuv420p10le", color_trc=transfer)
    (first, *_) = VideoSource(clip).frames()
    assert first.image[:, :30].mean() <= 4
    assert 225 <= first.image[:, 34:].mean() <= 255


def test_warns_of_cut_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(75)]
    for name, codec in (("a.avi", "mpeg4"), ("a.mkv", "mpeg4"), ("b.avi", "mjpeg")):
        pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        data = encode(tmp_path / name, images, codec, pixel_format).read_bytes()
        whole = VideoSource(tmp_path / name)
        assert len(list(whole.frames())) == 75
        assert whole.warnings == ()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        cut = VideoSource(tmp_path / name)
        assert len(list(cut.frames())) < 75
        assert any("the file is cut" in warning for warning in cut.warnings)
        stopped = VideoSource(tmp_path / name, Selection(end_s=0.2))
        assert len(list(stopped.frames())) == 5
        assert stopped.warnings == ()


def test_warns_of_damaged_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(50)]
    data = bytearray(encode(tmp_path / "a.ts", images, "libx264", "yuv420p").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    (tmp_path / "a.ts").write_bytes(data)
    source = VideoSource(tmp_path / "a.ts")
    assert list(source.frames())
    assert any("damaged" in w or "skipped" in w for w in source.warnings)


def test_rejects_a_start_after_the_end(tmp_path: Path, write_clip: Write) -> None:
    clip = write_clip(tmp_path / "a.mp4", numbered(10))
    with pytest.raises(VideoReadError, match=r"start before the end of .*a\.mp4, got 5 s"):
        list(VideoSource(clip, Selection(start_s=5)).frames())


def test_selection_skips_frames_and_keeps_indices(tmp_path: Path, write_clip: Write) -> None:
    clip = write_clip(tmp_path / "s.mp4", numbered(50))

    def indices(**options: float) -> list[int]:
        selection = Selection(**options)  # type: ignore[arg-type]
        return [frame.index for frame in VideoSource(clip, selection).frames()]

    assert indices(every=10) == [0, 10, 20, 30, 40]
    assert indices(start_s=1.0, end_s=1.2) == [25, 26, 27, 28, 29]
    assert indices(max_fps=5) == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]
    assert len(indices(max_fps=1000)) == 50


@pytest.mark.parametrize("name", ["a.gif", "a.avif"])
def test_reads_animated_pictures_as_videos(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frames = [PillowImage.new("L", (32, 24), color) for color in (0, 90, 200)]
    try:
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=80)
    except (KeyError, ValueError):
        pytest.skip(f"this Pillow cannot write {name}")
    source = VideoSource(path)
    assert [frame.timestamp_s for frame in source.frames()] == pytest.approx([0, 0.08, 0.16])
    assert source.warnings == ()


def test_the_cover_of_a_sound_file_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44_100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24")
        container.mux([*cover.encode(picture), *cover.encode()])
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 44_100
        container.mux([*sound.encode(silence), *sound.encode()])
    with pytest.raises(VideoReadError, match="it has no video stream"):
        VideoSource(path)


def test_names_a_format_without_a_decoder(tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    with pytest.raises(VideoReadError, match="cannot be decoded: convert it to MP4"):
        VideoSource(path)


def test_reports_files_that_are_not_videos(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (tmp_path / "web.mp4").write_text("<!DOCTYPE html><title>404</title>")
    (tmp_path / "folder.mp4").mkdir()
    for name, found in (
        ("missing.mp4", "but there is none"),
        ("folder.mp4", "but there is a folder"),
        ("text.mp4", "it is text"),
        ("empty.mp4", "it is an empty file"),
        ("web.mp4", "it is a web page"),
        ("noise.mp4", "cannot be read"),
    ):
        with pytest.raises(VideoReadError, match=rf"{name}, but .*{found}|{name}, {found}"):
            list(VideoSource(tmp_path / name).frames())


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_says_that_a_cut_file_has_no_index(tmp_path: Path, write_clip: Write, share: float) -> None:
    data = write_clip(tmp_path / "whole.mp4", numbered(50)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VideoReadError, match=r"cut\.mp4.*without its index, as if it was cut"):
        VideoSource(tmp_path / "cut.mp4")


def test_a_video_that_starts_late_is_not_cut(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "late.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, (pixels, _) in enumerate(numbered(50)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = 125 + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = VideoSource(tmp_path / "late.mkv")
    frames = list(source.frames())
    assert source.info.duration_s == pytest.approx(2, abs=0.05)
    assert (frames[0].timestamp_s, len(frames)) == (0, 50)
    assert source.warnings == ()


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


def test_rejects_a_codec_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "damaged.avi"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("mjpeg", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        image = np.full((64, 64, 3), 90, np.uint8)
        target.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        target.mux(stream.encode())
    data = path.read_bytes()
    header = data.index(b"strf") + 24
    path.write_bytes(data[:header] + bytes(4) + data[header + 4 :])
    with pytest.raises(VideoReadError, match="no frame can be decoded"):
        list(VideoSource(path).frames())


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.m2ts", "mpeg2video", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.ogv", "libtheora", "yuv420p"),
    ],
)
def test_warns_of_cut_files_that_announce_no_length(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(40)]
    try:
        data = encode(tmp_path / name, images, codec, pixel_format).read_bytes()
    except ValueError:
        pytest.skip(f"this PyAV has no encoder {codec}")
    whole = VideoSource(tmp_path / name)
    assert len(list(whole.frames())) >= 39
    assert not any("the file is cut" in warning for warning in whole.warnings)
    (tmp_path / name).write_bytes(data[: len(data) * 4 // 7 + 5])
    cut = VideoSource(tmp_path / name)
    assert 5 < len(list(cut.frames())) < 39
    assert any("the file is cut" in warning for warning in cut.warnings)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_warns_of_cut_matroska_files_without_a_length(tmp_path: Path, share: float) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(40)]
    data = encode(tmp_path / "whole.mkv", images, "mpeg4", "yuv420p").read_bytes()
    segment = data.index(b"\x18\x53\x80\x67") + 4
    # As a program that streams writes it: unknown size, duration 0.
    data = data[:segment] + b"\x01" + b"\xff" * 7 + data[segment + 8 :]
    duration = data.index(b"\x44\x89\x88") + 3
    data = data[:duration] + bytes(8) + data[duration + 8 :]
    streamed = tmp_path / "streamed.mkv"
    streamed.write_bytes(data)
    assert warnings_of(streamed) == (40, ())
    streamed.write_bytes(data[: int(len(data) * share)])
    count, warnings = warnings_of(streamed)
    assert count < 40
    assert any("the file is cut" in warning for warning in warnings)


def test_warns_of_lost_clusters(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(400)]
    clip = encode(tmp_path / "a.mkv", images, "mjpeg", "yuvj420p")
    data = clip.read_bytes()
    second = [at for at in range(len(data)) if data.startswith(b"\x1f\x43\xb6\x75", at)][1]
    clip.write_bytes(data[:second] + bytes(4) + data[second + 4 :])
    count, warnings = warnings_of(clip)
    assert count < 400
    assert f"what stands at byte {second} is no part of it" in warnings[-1]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mov"])
def test_says_that_a_still_image_is_no_video(
    tmp_path: Path, samples: dict[str, Path], name: str
) -> None:
    still = tmp_path / name
    still.write_bytes(samples["person-a-smiling"].read_bytes())
    assert warnings_of(still) == (
        1, ("a still image, read as a video of one frame: mien image is for images",)
    )  # fmt: skip


def warnings_of(clip: Path) -> tuple[int, tuple[str, ...]]:
    """The number of frames, and what is wrong with the file."""
    source = VideoSource(clip)
    return len(list(source.frames())), source.warnings
