"""Annotated videos keep pictures, times and sound; thumbnails show the clearest moment."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from mien.labels import Expression
from mien.media.sources import Frame
from mien.media.thumbnails import ThumbnailSink
from mien.media.video_writer import AnnotatedVideoSink, end_of_parts_s, join, parts_in
from mien.types import Box, Detection, ExpressionScores, Face, FrameResult, Quality, TrackStatistics

av = pytest.importorskip("av", reason="videos need PyAV")

Write = Callable[..., Path]
Frames = list[tuple[npt.NDArray[np.uint8], float]]
LABELS = tuple(Expression)


def step(number: int, image: npt.NDArray[np.uint8], fps: float = 25) -> tuple[Frame, FrameResult]:
    scores = ExpressionScores(LABELS, np.full(8, 1 / 8, np.float32), held=Expression.ANGER)
    face = Face(
        Detection(Box(20, 10, 60, 50), 0.9),
        expression=scores,
        expression_raw=ExpressionScores(LABELS, np.full(8, 1 / 8, np.float32)),
        track_id=1,
        track=TrackStatistics(age_s=1.0),
    )
    timestamp_s = number / fps
    size_wh = (image.shape[1], image.shape[0])
    return Frame(image, timestamp_s, number), FrameResult((face,), size_wh, number, timestamp_s)


def written(folder: Path, frames: Frames, original: Path | None = None, **options: Any) -> Path:
    sink = AnnotatedVideoSink(folder, original, **options)
    for number, (image, _) in enumerate(frames):
        sink.write(*step(number, image), ())
    sink.close((), complete=True)
    return folder / "annotated.mp4"


def test_annotated_video_has_every_frame_and_the_original_sound(
    tmp_path: Path, smile_clip: Path, smile_frames: Frames
) -> None:
    made = written(tmp_path, smile_frames, smile_clip)
    with av.open(str(made)) as copy, av.open(str(smile_clip)) as original:
        assert copy.streams.video[0].frames == 75
        sounds = [container.streams.audio[0] for container in (copy, original)]
        packets = [
            [bytes(packet) for packet in container.demux(sound) if packet.size]
            for container, sound in zip((copy, original), sounds, strict=True)
        ]
        # Copied, not encoded again.
        assert packets[0] == packets[1][: len(packets[0])]
        assert len(packets[0]) >= 0.95 * len(packets[1])
    assert list(tmp_path.glob("*part*")) == []


@pytest.mark.parametrize("size_wh", [(81, 61), (33, 48), (2, 2)])
def test_writes_odd_sizes(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    image = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    made = written(tmp_path, [(image, 0.0)] * 5)
    with av.open(str(made)) as container:
        assert container.streams.video[0].width - size_wh[0] in (0, 1)
        assert sum(1 for _ in container.decode(video=0)) == 5


def test_blurred_faces_are_unreadable_and_have_no_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 2, (60, 80, 1)) * 255, np.ones((1, 1, 3))).astype(np.uint8)
    made = written(tmp_path, [(image, 0.0)] * 3, blur=True)
    with av.open(str(made)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert image[20:40, 30:50].std() > 100
    assert shown[20:40, 30:50].std() < 40


def test_parts_of_several_runs_become_one_video(tmp_path: Path, smile_frames: Frames) -> None:
    first = AnnotatedVideoSink(tmp_path)
    for number in range(40):
        first.write(*step(number, smile_frames[number][0]), ())
    first.close((), complete=False)
    (part,) = parts_in(tmp_path)
    # As after a kill: the last fragment is torn.
    part.write_bytes(part.read_bytes()[: part.stat().st_size * 4 // 5])
    kept = round(end_of_parts_s([part]) * 25) + 1
    assert 20 <= kept < 40
    second = AnnotatedVideoSink(tmp_path, resumed=True)
    for number in range(kept, 75):
        second.write(*step(number, smile_frames[number][0]), ())
    second.close((), complete=True)
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([n / 25 for n in range(75)], abs=1e-3)


def with_sound(path: Path, frames: Frames, codecs: tuple[str, str]) -> Path:
    """A file of pictures, and a second of sound."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream(codecs[0], rate=25)
        picture.width, picture.height, picture.pix_fmt = 480, 270, "yuv420p"
        sound = container.add_stream(codecs[1], rate=16_000, layout="mono")
        for image, _ in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        chunk = av.AudioFrame.from_ndarray(np.ones((1, 16_000), np.int16), "s16", "mono")
        chunk.sample_rate, chunk.pts = 16_000, 0
        container.mux(sound.encode(chunk))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codecs", "times"),
    [
        ("pcm.avi", ("mpeg4", "pcm_s16le"), 1),
        ("joined.ts", ("mpeg2video", "aac"), 2),
        ("joined.ts", ("mpeg2video", "mp2"), 2),
    ],
)
def test_sound_that_mp4_cannot_hold_is_encoded_and_joined_sound_goes_on(
    tmp_path: Path, smile_frames: Frames, name: str, codecs: tuple[str, str], times: int
) -> None:
    original = with_sound(tmp_path / name, smile_frames[:25], codecs)
    original.write_bytes(times * original.read_bytes())
    made = written(tmp_path, smile_frames[: 25 * times], original)
    with av.open(str(made)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 14_000 * times


def test_pictures_of_other_sizes_are_shown_whole(tmp_path: Path) -> None:
    gray, ramp = np.full((60, 80, 3), 90, np.uint8), np.full((240, 320, 3), 90, np.uint8)
    ramp[-60:, -80:] = 250
    made = written(tmp_path, [(gray, 0.0), (ramp, 0.04), (gray, 0.08)])
    with av.open(str(made)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [picture.shape for picture in shown] == [(60, 80, 3)] * 3
    assert shown[1][50:, 65:].mean() > 230


def test_join_skips_files_that_are_not_videos(tmp_path: Path, smile_frames: Frames) -> None:
    sink = AnnotatedVideoSink(tmp_path)
    for number in range(5):
        sink.write(*step(number + 50, smile_frames[number][0]), ())
    sink.close((), complete=False)
    (part,) = parts_in(tmp_path)
    junk = tmp_path / "annotated.part-000000000000.mp4"
    junk.write_bytes(b"nothing")
    join([junk, part], None, tmp_path / "joined.mp4")
    with av.open(str(tmp_path / "joined.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=1e-3)


def test_thumbnails_show_the_clearest_moment(tmp_path: Path) -> None:
    def shown(sink: ThumbnailSink, gray: int, size_px: float) -> int:
        frame, result = step(0, np.full((60, 80, 3), gray, np.uint8))
        face = replace(result.faces[0], quality=Quality(size_px=size_px, sharpness=1.0))
        sink.write(frame, replace(result, faces=(face,)), ())
        with PillowImage.open(tmp_path / "t" / "1.jpg") as picture:
            return round(float(np.asarray(picture).mean()))

    first = ThumbnailSink(tmp_path / "t")
    assert [shown(first, 50, 40), shown(first, 100, 80), shown(first, 150, 60)] == [50, 100, 100]
    # A resumed run keeps the pictures that are there.
    assert shown(ThumbnailSink(tmp_path / "t", resumed=True), 200, 90) == 100
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["1.jpg"]
    ThumbnailSink(tmp_path / "t")
    assert list((tmp_path / "t").iterdir()) == []
