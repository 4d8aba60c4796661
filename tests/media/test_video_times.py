"""The order and the times of frames, where packets have others."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.media.test_video_damage import FRAMES, write

from mien.media.clock import find_key_frame, with_times_in_order
from mien.media.video import VideoSource

av = pytest.importorskip("av", reason="videos need PyAV")

START_OF_VOP = b"\x00\x00\x01\xb6"
WH = 320, 176


def test_frames_of_avi_files_are_in_order_where_they_depend_on_later_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as file:
        try:
            stream = file.add_stream("libx264", rate=25, options={"bf": "3", "b_strategy": "0"})
        except ValueError:
            pytest.skip("this PyAV has no encoder libx264")
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(FRAMES):
            image = np.full((48, 64, 3), 6 * n, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    source = VideoSource(path)
    frames = list(source.frames())
    assert [frame.timestamp_s for frame in frames] == pytest.approx(np.arange(FRAMES) / 25)
    assert np.diff([int(frame.image.mean()) for frame in frames]).min() > 0
    assert source.warnings == ()


@pytest.mark.parametrize("suffix", [".webm", ".avi"])
def test_packets_that_are_never_shown_shift_no_times(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "shown.webm", "libvpx", "yuv420p")
    hidden = (10, 20, 30)
    path = tmp_path / f"hidden{suffix}"
    with av.open(str(tmp_path / "shown.webm")) as shown, av.open(str(path), "w") as file:
        stream = file.add_stream_from_template(shown.streams.video[0])
        packets = (packet for packet in shown.demux(video=0) if packet.size)
        for n, packet in enumerate(packets):
            data = bytearray(bytes(packet))
            # The bit of VP8 that says whether a frame is shown (RFC 6386, 9.1).
            data[0] &= ~0x10 if n in hidden else 0xFF
            copy = av.Packet(bytes(data))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            file.mux(copy)
    times = [frame.timestamp_s for frame in VideoSource(path).frames()]
    expected = [n / 25 for n in range(FRAMES) if n not in hidden]
    assert times == pytest.approx(expected, abs=0.002)
    assert find_key_frame(path, 1.0) is None


def mpeg4(path: Path, b_frames: int) -> list[bytes]:
    """The packets of a stripe that moves by four pixels in each frame."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25, options={"bf": str(b_frames)})
        stream.width, stream.height, stream.bit_rate = *WH, 2_000_000
        for n in range(FRAMES):
            image = np.full((WH[1], WH[0], 3), 60, np.uint8)
            image[:, 4 * n : 4 * n + 8] = 235
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


def write_avi(path: Path, packets: Sequence[bytes]) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height = WH
        for n, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, n, n, Fraction(1, 25)
            packet.is_keyframe = kind_of(data) == "I"
            file.mux(packet)


def kind_of(packet: bytes) -> str:
    return "IPB"[packet[packet.index(START_OF_VOP) + 4] >> 6]


def not_coded(packet: bytes) -> bytes:
    """A frame of this time that repeats the one before it (ISO/IEC 14496-2, 6.2.5)."""
    start = packet.index(START_OF_VOP) + 4
    bits = "".join(f"{byte:08b}" for byte in packet[start : start + 4])
    # The kind, whole seconds as ones, and a number of 25 parts between two marker bits.
    length = bits.index("0", 2) + 1 + 1 + 5 + 1
    bits = "01" + bits[2:length] + "0"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "1")
    return START_OF_VOP + int(bits, 2).to_bytes(len(bits) // 8, "big")


def packed(packets: Sequence[bytes]) -> list[bytes]:
    """As Xvid and DivX write them for programs that expect a frame for each packet."""
    marked = packets[0].split(b"\x00\x00\x01\xb2", 1)[0]
    rest = packets[0][packets[0].index(START_OF_VOP) :]
    found, n = [marked + b"\x00\x00\x01\xb2DivX503b1393p" + rest], 1
    while n < len(packets):
        following = n + 1
        while following < len(packets) and kind_of(packets[following]) == "B":
            following += 1
        between = packets[n + 1 : following]
        if between:
            found += [packets[n] + between[0], *between[1:], not_coded(packets[n])]
        else:
            found.append(packets[n])
        n = following
    return found


def positions(path: Path) -> tuple[list[float], list[int], tuple[str, ...]]:
    """The times of the frames, the number that the stripe shows, and warnings."""
    source = VideoSource(path)
    found = [(f.timestamp_s, int(f.image[80, :, 1].argmax()) // 4) for f in source.frames()]
    return [time for time, _ in found], [number for _, number in found], source.warnings


@pytest.mark.parametrize("b_frames", [1, 2, 4])
def test_packed_frames_of_mpeg4_have_their_times(tmp_path: Path, b_frames: int) -> None:
    path = tmp_path / "packed.avi"
    write_avi(path, packed(mpeg4(tmp_path / "a.avi", b_frames)))
    times, numbers, warnings = positions(path)
    assert times == pytest.approx(np.arange(FRAMES) / 25)
    assert numbers == list(range(FRAMES))
    assert warnings == ()
    assert find_key_frame(path, 1.0) is None


@pytest.mark.parametrize("b_frames", [0, 2])
def test_frames_of_mpeg4_that_are_not_packed_have_their_times(
    tmp_path: Path, b_frames: int
) -> None:
    mpeg4(tmp_path / "a.avi", b_frames)
    times, numbers, _ = positions(tmp_path / "a.avi")
    assert np.diff(times) == pytest.approx(1 / 25)
    assert numbers == sorted(numbers)


def test_a_wrong_time_of_mpeg4_moves_one_frame_only() -> None:
    frames = [SimpleNamespace(pts=pts) for pts in [0, 1, 2, 1000, 4, 6, 5, 7, 8, 9]]
    found = [frame.pts for frame in with_times_in_order(iter(frames))]
    assert found == [0, 1, 2, 1000, 4, 5, 6, 7, 8, 9]


def test_frames_of_mpeg4_that_are_not_coded_shift_no_times(tmp_path: Path) -> None:
    path, repeats = tmp_path / "repeats.avi", (5, 6, 20)
    packets = mpeg4(tmp_path / "a.avi", 0)
    write_avi(path, [not_coded(p) if n in repeats else p for n, p in enumerate(packets)])
    times, _, warnings = positions(path)
    assert times == pytest.approx([n / 25 for n in range(FRAMES) if n not in repeats])
    assert warnings == ()
    assert find_key_frame(path, 1.0) is None
