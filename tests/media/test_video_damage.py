"""Videos that lost a part, which FFmpeg passes over: what remains is read, with a warning."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mien.media.file_ends import damage_of, has_no_end
from mien.media.packets import has_wrong_data
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


def whole(path: Path, codec: str, pixels: str) -> bytes:
    """A file that is read without a warning."""
    try:
        data = write(path, codec, pixels)
    except ValueError:
        pytest.skip(f"this PyAV has no encoder {codec}")
    assert read(path) == (FRAMES, ())
    return data


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
        ("j.wmv", "wmv2", "yuv420p", cut),
        ("k.wmv", "wmv2", "yuv420p", zeros_in_the_middle),
        ("l.wmv", "wmv2", "yuv420p", lost_in_the_middle),
        ("m.wmv", "wmv2", "yuv420p", never_written),
        ("n.mxf", "mpeg2video", "yuv420p", cut),
        ("o.mxf", "mpeg2video", "yuv420p", lost_in_the_middle),
        ("p.nut", "mpeg4", "yuv420p", cut),
        ("q.ogv", "libvpx", "yuv420p", zeros_in_the_middle),
        ("r.ogv", "libvpx", "yuv420p", cut),
        ("s.mjpeg", "mjpeg", "yuvj420p", cut),
        ("t.mjpeg", "mjpeg", "yuvj420p", lost_in_the_middle),
        ("u.mjpeg", "mjpeg", "yuvj420p", zeros_in_the_middle),
        ("v.flv", "flv", "yuv420p", cut),
        ("w.avi", "mpeg4", "yuv420p", never_written),
    ],
)
def test_warns_of_lost_parts(
    tmp_path: Path, name: str, codec: str, pixels: str, damage: Damage
) -> None:
    path = tmp_path / name
    data = whole(path, codec, pixels)
    path.write_bytes(damage(data))
    count, warnings = read(path)
    assert 0 < count < FRAMES
    assert re.search("damaged|cut|skipped", " ".join(warnings))


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mkv", "ffv1", "yuv420p"),
        ("b.nut", "ffv1", "yuv420p"),
        ("c.avi", "huffyuv", "yuv422p"),
        ("d.mkv", "ffvhuff", "yuv420p"),
        ("e.avi", "utvideo", "yuv420p"),
        ("f.mov", "qtrle", "rgb24"),
        ("g.webm", "vp8", "yuv420p"),
    ],
)
def test_warns_of_blank_parts_of_packets(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    path = tmp_path / name
    data = whole(path, codec, pixels)
    with av.open(str(path)) as file:
        largest = max((bytes(packet) for packet in file.demux(video=0)), key=len)
    start = data.index(largest) + len(largest) // 4
    path.write_bytes(data[:start] + bytes(512) + data[start + 512 :])
    assert read(path) == (FRAMES, ("damaged frames, parts of which may be wrong: 1",))


def test_slices_of_ffv1_match_their_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    data = bytearray(write(path, "ffv1", "yuv420p"))
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert read(path) == (FRAMES, ("damaged frames, parts of which may be wrong: 1",))


def test_zeros_may_fill_a_frame_of_prores_to_its_size() -> None:
    coded = bytes(range(1, 200)) * 4
    assert not has_wrong_data(coded + bytes(4096), "prores", "mov", None)
    assert has_wrong_data(coded + bytes(4096) + coded, "prores", "mov", None)


def test_zeros_may_fill_the_space_to_a_start_code() -> None:
    padded = b"\0\0\1\xb3data" + bytes(2000) + b"\1\xb8data" + bytes(2000)
    assert not has_wrong_data(padded, "mpeg2video", "mpegts", None)
    assert has_wrong_data(padded + b"\2", "mpeg2video", "mpegts", None)
    assert not has_wrong_data(b"", "mjpeg", "mjpeg", None)


def test_blocks_of_dv_say_what_they_hold() -> None:
    kinds = [0x1F, 0x3F, 0x3F, 0x5F, 0x5F, 0x5F, *9 * [0x7F, *15 * [0x9F]]]
    frame = b"".join(bytes((kind,)).ljust(80, b"\xff") for kind in kinds * 12)
    assert len(frame) == 144_000
    assert not has_wrong_data(frame, "dvvideo", "dv", None)
    wrong = frame[:9000] + bytes(512) + frame[9512:]
    assert has_wrong_data(wrong, "dvvideo", "dv", None)


@pytest.mark.parametrize("end", [1, 5])
def test_raw_av1_ends_after_a_unit(tmp_path: Path, end: int) -> None:
    units = (b"\x12\0", b"\x0a\x03abc", b"\x32\x82\x01" + bytes(130))
    path = tmp_path / "a.obu"
    path.write_bytes(b"".join(units))
    assert damage_of(path, "obu") is None
    path.write_bytes(b"".join(units)[:-end])
    assert has_no_end(path, "obu")
    path.write_bytes(b"".join(units) + bytes((0x80, 0)))
    assert "no part of it" in (damage_of(path, "obu") or "")


@pytest.mark.parametrize("container", ["avi", "mjpeg", "matroska"])
def test_warns_of_wrong_markers_in_pictures_of_motion_jpeg(tmp_path: Path, container: str) -> None:
    path = tmp_path / "a"
    data = write(path, "mjpeg", "yuvj420p", container)
    path.write_bytes(with_wrong_marker(data, len(data) // 2))
    _, warnings = read(path)
    assert warnings == ("damaged frames, parts of which may be wrong: 1",)


def with_wrong_marker(data: bytes, after: int) -> bytes:
    middle = data.index(b"\xff\xda", after) + 200
    return data[:middle] + b"\xff\x01" + data[middle + 2 :]


@pytest.mark.parametrize("between", [b"", bytes(7), b"\xff\xff"])
def test_interlaced_motion_jpeg_has_two_pictures_in_a_packet(
    tmp_path: Path, between: bytes
) -> None:
    write(tmp_path / "fields.avi", "mjpeg", "yuvj420p")
    path = tmp_path / "a.avi"
    for is_damaged in (False, True):
        with av.open(str(tmp_path / "fields.avi")) as fields, av.open(str(path), "w") as file:
            stream = file.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 62, 96, "yuvj420p"
            for n, packet in enumerate(p for p in fields.demux(video=0) if p.size):
                field = bytes(packet)
                second = with_wrong_marker(field, 0) if is_damaged and n == 20 else field
                both = av.Packet(field + between + second)
                both.pts, both.dts, both.time_base = packet.pts, packet.dts, packet.time_base
                both.stream, both.is_keyframe = stream, True
                file.mux(both)
        source = VideoSource(path)
        assert {frame.image.shape for frame in source.frames()} == {(96, 62, 3)}
        wrong = ("damaged frames, parts of which may be wrong: 1",)
        assert source.warnings == (wrong if is_damaged else ())


@pytest.mark.parametrize(("system", "kind", "frame"), [(0x80, 0, 144_000), (0, 4, 240_000)])
def test_frames_of_dv_have_one_size_and_a_header(
    tmp_path: Path, system: int, kind: int, frame: int
) -> None:
    head = bytearray(512)
    head[:4], head[451] = bytes((0x1F, 7, 0, system)), kind
    whole = (bytes(head).ljust(frame, b"\xff")) * 5
    path = tmp_path / "a.dv"
    path.write_bytes(whole)
    assert not has_no_end(path, "dv")
    assert damage_of(path, "dv") is None
    path.write_bytes(whole[: 3 * 120_000])
    assert has_no_end(path, "dv") == (frame != 120_000)
    path.write_bytes(whole[:frame] + bytes(frame) + whole[2 * frame :])
    assert damage_of(path, "dv") == f"what stands at byte {frame} is no part of it"


@pytest.mark.parametrize(
    ("name", "codec", "sound_codec"),
    [
        ("a.flv", "flv", "adpcm_swf"),
        ("a.wmv", "wmv2", "pcm_s16le"),
        ("a.avi", "mpeg4", "pcm_s16le"),
    ],
)
def test_a_longer_sound_is_no_cut(tmp_path: Path, name: str, codec: str, sound_codec: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        video = file.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = file.add_stream(sound_codec, rate=44100)
        for n in range(25):
            image = np.full((48, 64, 3), 9 * n, np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        silence = np.zeros((1, 4410), np.int16)
        for n in range(60):
            piece = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
            piece.rate, piece.pts = 44100, 4410 * n
            file.mux(sound.encode(piece))
        file.mux([*video.encode(None), *sound.encode(None)])
    assert read(path) == (25, ())


def test_a_length_that_no_file_can_have_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.wmv"
    data = bytearray(write(path, "wmv2", "yuv420p"))
    data[16:24] = b"\xff" * 8
    path.write_bytes(data)
    frames, warnings = read(path)
    assert frames == FRAMES
    assert any("structure cannot be read" in warning for warning in warnings)


def test_says_that_a_file_holds_several_videos(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        for _ in range(2):
            stream = file.add_stream("mpeg4", rate=25)
            stream.width, stream.height = 64, 48
        for stream in file.streams:
            image = np.zeros((48, 64, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for stream in file.streams:
            file.mux(stream.encode(None))
    assert read(path) == (1, ("the first of 2 videos in the file was read",))


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


def test_repeated_frames_are_no_damage(tmp_path: Path) -> None:
    clip = tmp_path / "a.nut"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(10):
            image = np.full((48, 64, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in stream.encode(frame):
                empty = av.Packet(b"")
                empty.stream, empty.time_base = stream, packet.time_base
                empty.pts, empty.dts = packet.pts, packet.dts
                container.mux(empty if number in (4, 5) else packet)
    source = VideoSource(clip)
    times = [frame.timestamp_s for frame in source.frames()]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.24, 0.28, 0.32, 0.36])
    assert source.warnings == ()


def test_dropped_frames_of_avi_files_are_no_cut(tmp_path: Path) -> None:
    clip = tmp_path / "a.avi"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for number in [*range(10), *range(10, 100, 9)]:
            image = np.full((48, 64, 3), number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert read(clip) == (20, ())
