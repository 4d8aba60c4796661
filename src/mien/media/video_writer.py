"""Annotated videos: written in parts, and joined with the original sound without re-encoding."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mien import imaging
from mien.drawing import annotate, blur_faces
from mien.errors import VideoReadError
from mien.media.clock import Clock
from mien.media.sources import Frame
from mien.media.video import DISCONTINUOUS, open_container, require_av
from mien.tracking import Event
from mien.types import Box, Detection, Face, FrameResult, Image

# One tick of an annotated video, in seconds.
_TIME_BASE = Fraction(1, 90_000)
_PREFIX = "annotated.part-"
# The last position of a lost face stays blurred for this long.
_BLUR_AFTER_S = 1.0


class AnnotatedVideoSink:
    """A sink that writes every frame with its results drawn on it, and adds the original sound.

    While it runs, pictures go into a fragmented MP4 (``annotated.part-TIME.mp4``), which stays
    readable up to the last second, also after a kill. At the end the parts of this and of earlier
    runs become ``annotated.mp4``, without re-encoding.

    Args:
        folder: where the files go.
        original: the video whose sound is taken, if any.
        blur: whether to blur the faces instead of drawing on them.
        draw: what else to draw; see :func:`mien.drawing.annotate`.
        resumed: whether parts of an earlier run are kept.
        resumable: whether the parts of a run that is stopped are kept for a later one.
        frame_rate: of the frames that will come, for the encoder's rate control.

    Raises:
        MissingExtraError: PyAV is not installed.
    """

    def __init__(
        self,
        folder: Path,
        original: Path | None = None,
        *,
        blur: bool = False,
        draw: Sequence[str] = (),
        resumed: bool = False,
        resumable: bool = True,
        frame_rate: float | None = None,
    ) -> None:
        require_av()
        self._folder = folder
        self._original = original
        self._resumable = resumable
        self._draw: Callable[[Image, FrameResult], Image] = (
            _Blurring() if blur else partial(annotate, draw=draw)
        )
        self._rate = Fraction(frame_rate or 25.0).limit_denominator(1001)
        if not resumed:
            for part in parts_in(folder):
                part.unlink()
        self._first_tick = 0
        self._size_wh = 0, 0
        self._container: Any = None
        self._stream: Any = None

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        picture = self._draw(frame.image, result)
        tick = round(frame.timestamp_s / _TIME_BASE)
        if self._container is None:
            self._begin(picture.shape[1], picture.shape[0], tick)
        av = require_av()
        encoded = av.VideoFrame.from_ndarray(self._fitting(picture), format="rgb24")
        encoded.pts = tick - self._first_tick
        encoded.time_base = _TIME_BASE
        self._container.mux(self._stream.encode(encoded))

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None
        parts = parts_in(self._folder)
        if parts:
            join(parts, self._original, self._folder / "annotated.mp4")
        # What is partial may be resumed, and then its parts are needed again.
        if complete or not self._resumable:
            for part in parts:
                part.unlink()

    def _begin(self, width: int, height: int, tick: int) -> None:
        av = require_av()
        self._first_tick = tick
        self._size_wh = width, height
        self._container = av.open(
            str(_part_path(self._folder, tick)),
            "w",
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
        )
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        # The encoder requires even sides; one more row or column hides nothing.
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TIME_BASE
        # A key frame each second: what was written before the last one survives a kill.
        self._stream.codec_context.gop_size = max(1, math.ceil(self._rate))
        # Without B-frames the parts of several runs can follow each other as they are.
        self._stream.options = {"preset": "veryfast", "crf": "21", "bf": "0"}

    def _fitting(self, picture: Image) -> Image:
        """The whole picture in the size of the first one, with even sides."""
        if picture.shape[1::-1] != self._size_wh:
            picture, _ = imaging.letterbox(picture, self._size_wh)
        width, height = self._size_wh
        if width % 2 or height % 2:
            pad = ((0, height % 2), (0, width % 2), (0, 0))
            picture = np.ascontiguousarray(np.pad(picture, pad, mode="edge"))
        return picture


class _Blurring:
    """Blurs the faces of a frame, and for a while the last positions of lost faces."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, Box]] = {}
        self._size_wh = 0, 0

    def __call__(self, image: Image, result: FrameResult) -> Image:
        now = result.timestamp_s or 0.0
        before, self._size_wh = self._size_wh, (image.shape[1], image.shape[0])
        kept = {key: last for key, last in self._last.items() if now - last[0] <= _BLUR_AFTER_S}
        if before != self._size_wh:
            x, y = (new / max(1, old) for new, old in zip(self._size_wh, before, strict=True))
            kept = {
                key: (seen_s, Box(box.x_min * x, box.y_min * y, box.x_max * x, box.y_max * y))
                for key, (seen_s, box) in kept.items()
            }
        seen = {face.track_id: (now, face.box) for face in result.faces}
        self._last = kept | {key: last for key, last in seen.items() if key is not None}
        faces = tuple(Face(Detection(box, score=1.0)) for _, box in self._last.values())
        return blur_faces(image, FrameResult(faces, result.image_size_wh))


def _part_path(folder: Path, first_tick: int) -> Path:
    """The path of a part that begins at a tick; its own times start at 0."""
    return folder / f"{_PREFIX}{first_tick:012}.mp4"


def parts_in(folder: Path) -> list[Path]:
    """The parts in a folder, in order."""
    return sorted(folder.glob(f"{_PREFIX}*.mp4"))


def end_of_parts_s(parts: Sequence[Path]) -> float:
    """The time of the last frame that can be read from any part; -1 where there is none."""
    last = -1
    for part in parts:
        for _, _, tick in _part_packets(part):
            last = max(last, tick)
    return float(last * _TIME_BASE) if last >= 0 else -1.0


def join(parts: Sequence[Path], original: Path | None, target: Path) -> None:
    """Copy the pictures of all parts, and the sound of the original, into one MP4.

    The first picture is shown at 0. A part that holds no whole fragment, as one that was killed at
    once, is passed over. Sound that MP4 cannot hold is encoded as AAC; sound that cannot be read
    is left out.
    """
    av = require_av()
    unfinished = target.with_suffix(".partial.mp4")
    pictures: Any = None
    with (
        _removed_at_the_end(unfinished),
        av.open(str(unfinished), "w", options={"movflags": "faststart"}) as output,
    ):
        sound = _Sound(original, output)
        first = last = -1
        for part in parts:
            for stream, packet, tick in _part_packets(part):
                if pictures is None:
                    pictures, first = output.add_stream_from_template(stream), tick
                if tick <= last:
                    continue
                last = tick
                packet.pts = packet.dts = round((tick - first) * _TIME_BASE / packet.time_base)
                packet.stream = pictures
                output.mux(packet)
        if pictures is not None:
            sound.copy(float(first * _TIME_BASE), float(last * _TIME_BASE))
        output.close()
        if pictures is not None:
            unfinished.replace(target)


@contextmanager
def _removed_at_the_end(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _part_packets(part: Path) -> Iterator[tuple[Any, Any, int]]:
    """Stream, packet and tick of each picture in a part."""
    av = require_av()
    first_tick = int(part.stem.removeprefix(_PREFIX))
    try:
        source = av.open(str(part))
    except av.FFmpegError:
        return
    with source:
        stream = source.streams.video[0]
        for packet, seconds in _whole_packets(source, stream):
            yield stream, packet, first_tick + round(seconds / _TIME_BASE)


def _whole_packets(source: Any, stream: Any) -> Iterator[tuple[Any, Fraction]]:
    """Packets with their times, up to the first damaged one, as in a truncated file."""
    av = require_av()
    packets = source.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None or packet.is_corrupt:
            return
        if packet.pts is not None:
            yield packet, packet.pts * packet.time_base


class _Sound:
    """Copies the sound of a file into another."""

    # Codecs that players expect in MP4.
    _COPIED = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "alac", "flac"})

    def __init__(self, original: Path | None, output: Any) -> None:
        self._output = output
        self._source: Any = None
        self._last: int | None = None
        if original is None:
            return
        try:
            self._source = open_container(original)
        except VideoReadError:
            return
        if not self._source.streams.audio:
            self._source.close()
            self._source = None
            return
        self._input = self._source.streams.audio[0]
        self._copied = self._input.codec_context.name in self._COPIED
        if self._copied:
            self._stream = output.add_stream_from_template(self._input)
        else:
            rate = self._input.codec_context.sample_rate or 48_000
            self._stream = output.add_stream("aac", rate=rate)

    def copy(self, start_s: float, end_s: float) -> None:
        """Mux the sound between two times of the original, so that it begins at 0."""
        if self._source is None:
            return
        with self._source:
            shift_s = start_s + _first_picture_s(self._source)
            for packet, now_s in self._timed():
                # A codec's first packet may lie before the first picture, to start it up.
                if -0.1 <= now_s - shift_s <= end_s - start_s + 0.1:
                    self._mux(packet, now_s - shift_s)
            if not self._copied:
                self._write(self._stream.encode(None))

    def _timed(self) -> Iterator[tuple[Any, float]]:
        """Packets with times that go on where the file's start over, as those of its pictures."""
        packets = _whole_packets(self._source, self._input)
        first, start_s = next(packets, (None, Fraction(0)))
        if first is None:
            return
        jumps = bool(self._source.format.flags & DISCONTINUOUS)
        clock = Clock(float(1 / ((first.duration or 0) * first.time_base or 0.02)), jumps=jumps)
        timed = ((packet, float(s)) for packet, s in chain([(first, start_s)], packets))
        for packet, elapsed_s in clock.times(timed):
            yield packet, float(start_s) + elapsed_s

    def _mux(self, packet: Any, now_s: float) -> None:
        av = require_av()
        shift = packet.pts - round(now_s / packet.time_base)
        if self._copied:
            packet.pts -= shift
            packet.dts = packet.pts
            self._write([packet])
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            return
        for frame in decoded:
            if frame.pts is not None:
                frame.pts -= round(shift * packet.time_base / frame.time_base)
            self._write(self._stream.encode(frame))

    def _write(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            # Rounded, two may have one time, which MP4 does not accept.
            if self._last is None or packet.dts > self._last:
                self._last = packet.dts
                packet.stream = self._stream
                self._output.mux(packet)


def _first_picture_s(source: Any) -> float:
    """The time of the first picture, from which frame times count."""
    for stream in source.streams.video:
        if stream.start_time is not None:
            return float(stream.start_time * stream.time_base)
    return 0.0
