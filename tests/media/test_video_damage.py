"""Videos that lost a part, which FFmpeg passes over: what remains is read, with a warning."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.media.video import VideoSource

av = pytest.importorskip("av", reason="videos need PyAV")

FRAMES = 40
Damage = Callable[[bytes], bytes]


def cut(data: bytes) -> bytes:
    return data[: int(len(data) * 0.613)]


def zeros_in_the_middle(data: bytes) -> bytes:
    return b"".join((data[: len(data) // 2], bytes(len(data) // 8), data[len(data) * 5 // 8 :]))


def never_written(data: bytes) -> bytes:
    return data[: int(len(data) * 0.6)].ljust(len(data), b"\0")


def lost_in_the_middle(data: bytes) -> bytes:
    return data[: len(data) // 2] + data[len(data) * 5 // 8 :]


def write(path: Path, codec: str, pixels: str, container: str | None = None) -> bytes:
    """A video of a moving stripe on noise."""
    noise = np.random.default_rng(0).integers(0, 200, (48, 62, 3), np.uint8)
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 62, 48, pixels
        for n in range(FRAMES):
            image = noise.copy()
            image[:, n : n + 8] = 250
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    return path.read_bytes()


def read(path: Path) -> tuple[int, tuple[str, ...]]:
    source = VideoSource(path)
    return sum(1 for _ in source.frames()), source.warnings


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "damage"),
    [
        ("a.avi", "rawvideo", "yuv420p", zeros_in_the_middle),
        ("b.avi", "rawvideo", "yuv420p", lost_in_the_middle),
        ("c.avi", "mjpeg", "yuvj420p", lost_in_the_middle),
        ("d.avi", "ffv1", "yuv420p", zeros_in_the_middle),
        ("e.ts", "mpeg2video", "yuv420p", never_written),
        ("f.mpg", "mpeg2video", "yuv420p", never_written),
        ("g.gif", "gif", "rgb8", zeros_in_the_middle),
        ("h.webp", "libwebp_anim", "yuv420p", zeros_in_the_middle),
        ("i.webp", "libwebp_anim", "yuv420p", cut),
    ],
)
def test_warns_of_lost_parts(
    tmp_path: Path, name: str, codec: str, pixels: str, damage: Damage
) -> None:
    path = tmp_path / name
    data = write(path, codec, pixels)
    assert read(path) == (FRAMES, ())
    path.write_bytes(damage(data))
    count, warnings = read(path)
    assert 0 < count < FRAMES
    assert any("damaged" in text or "cut" in text for text in warnings)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv411p", "gray"])
def test_warns_of_cut_y4m_files(tmp_path: Path, pixels: str) -> None:
    path = tmp_path / "a.y4m"
    data = write(path, "rawvideo", pixels, "yuv4mpegpipe")
    assert read(path) == (FRAMES, ())
    path.write_bytes(cut(data))
    assert read(path) == (24, ("the file is cut: it has no end after 0.96 s",))


def test_an_index_of_zeros_loses_no_frame_of_an_avi_file(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    data = write(path, "mjpeg", "yuvj420p")
    index = data.rindex(b"idx1") + 8
    path.write_bytes(data[:index] + bytes(len(data) - index))
    assert read(path) == (FRAMES, ())
