"""Interlaced videos: one field of combed frames, and all rows of others."""

from pathlib import Path

import numpy as np
import pytest

from mien.media.video import VideoSource
from mien.types import Image

av = pytest.importorskip("av", reason="videos need PyAV")

FRAMES = 24
WH = (160, 128)


def scene(step: int) -> Image:
    """A bright square with a soft texture, which moves by 9 pixels in each step."""
    rows, columns = np.mgrid[: WH[1], : WH[0]]
    image = (90 + 30 * np.sin(rows / 7) + 30 * np.cos(columns / 9)).astype(np.uint8)
    image[30:100, 9 * step % 100 : 9 * step % 100 + 50] = 220
    return np.repeat(image[:, :, None], 3, axis=2)


def write(
    path: Path,
    frames: list[Image],
    *,
    flagged: bool = False,
    codec: str = "ffv1",
    pixels: str = "yuv420p",
) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height = frames[0].shape[1::-1]
        stream.pix_fmt = pixels
        if flagged:
            stream.codec_context.flags |= int(av.codec.context.Flags.interlaced_dct)
            stream.codec_context.flags |= int(av.codec.context.Flags.interlaced_me)
            stream.codec_context.bit_rate = 8_000_000
        for image in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))


def woven(first: Image, second: Image) -> Image:
    image = first.copy()
    image[1::2] = second[1::2]
    return image


def read(path: Path) -> tuple[list[Image], tuple[str, ...]]:
    source = VideoSource(path)
    return [frame.image for frame in source.frames()], source.warnings


def difference(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("codec", ["ffv1", "mpeg2video"])
def test_takes_one_field_of_combed_frames(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.mkv"
    frames = [woven(scene(2 * n), scene(2 * n + 1)) for n in range(FRAMES)]
    write(path, frames, flagged=codec == "mpeg2video", codec=codec)
    images, warnings = read(path)
    first = 0 if codec == "mpeg2video" else 10
    for n in range(first, FRAMES):
        assert images[n].shape == (WH[1], WH[0], 3)
        assert difference(images[n], scene(2 * n)) < 0.7 * difference(frames[n], scene(2 * n))
    [warning] = warnings
    assert warning.startswith("interlaced frames, of which one field was used: ")
    assert int(warning.rpartition(" ")[2]) >= FRAMES - first - 1


@pytest.mark.parametrize("codec", ["ffv1", "mpeg2video"])
def test_keeps_all_rows_of_progressive_frames(tmp_path: Path, codec: str) -> None:
    """Also where the file says that it is interlaced."""
    path = tmp_path / "a.mkv"
    write(path, [scene(2 * n) for n in range(FRAMES)], flagged=codec == "mpeg2video", codec=codec)
    images, warnings = read(path)
    assert warnings == ()
    assert all(difference(images[n], scene(2 * n)) < 4 for n in range(FRAMES))


@pytest.mark.parametrize("kind", ["lines", "noise", "letters"])
def test_fine_patterns_are_not_combed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mkv"
    random = np.random.default_rng(0)
    frames = []
    for n in range(FRAMES):
        image = scene(2 * n)
        if kind == "lines":  # that stand still
            image[:28:2] = 20
        elif kind == "noise":
            image = (image + random.normal(0, 25, image.shape)).clip(0, 255).astype(np.uint8)
        else:
            image[n % 12 :: 12] = 10
        frames.append(image)
    write(path, frames)
    assert read(path)[1] == ()


def test_only_the_combed_frames_of_pulldown_are_changed(tmp_path: Path) -> None:
    """Film at 24 frames per second in 30 interlaced ones: two of five are combed."""
    path = tmp_path / "a.mkv"
    frames = []
    for n in range(0, 32, 4):
        a, b, c, d = (scene(2 * (n + k)) for k in range(4))
        frames += [a, woven(b, a), woven(c, b), c, d]
    write(path, frames)
    images, warnings = read(path)
    combed = [n for n in range(12, len(frames)) if n % 5 in (1, 2)]
    whole = [n for n in range(12, len(frames)) if n % 5 not in (1, 2)]
    assert max(difference(images[n], frames[n]) for n in whole) < 1
    assert min(difference(images[n], frames[n]) for n in combed) > 1
    assert len(warnings) == 1


def test_gif_is_never_interlaced(tmp_path: Path) -> None:
    # Dither alternates from row to row, as these frames do.
    frames = [woven(scene(2 * n), scene(2 * n + 1)) for n in range(FRAMES)]
    write(tmp_path / "a.gif", frames, codec="gif", pixels="rgb8")
    images, warnings = read(tmp_path / "a.gif")
    assert warnings == ()
    assert len(images) == FRAMES
    assert difference(images[-1], frames[-1]) < 20  # of the colors


def test_reads_frames_that_are_stored_upside_down(tmp_path: Path) -> None:
    frames = [scene(n) for n in range(FRAMES)]
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("amv", rate=16, options={"strict": "-1"})
        stream.width, stream.height = WH
        stream.pix_fmt = "yuvj420p"
        for image in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    images, warnings = read(path)
    assert (len(images), warnings) == (FRAMES, ())
    assert difference(images[-1], frames[-1]) < 15
