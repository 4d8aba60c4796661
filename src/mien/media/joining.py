"""Parts of annotated videos, and joining them with the original sound without re-encoding."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from mien.errors import VideoReadError
from mien.media.video import open_container, require_av

TIME_BASE = Fraction(1, 90_000)
"""One tick of an annotated video, in seconds."""

_PREFIX = "annotated.part-"


def part_path(folder: Path, first_tick: int) -> Path:
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
    return float(last * TIME_BASE) if last >= 0 else -1.0


def join(parts: Sequence[Path], original: Path | None, target: Path) -> None:
    """Copy the pictures of all parts, and the sound of the original, into one MP4.

    The first picture is shown at 0. A part that holds no whole fragment, as one that was killed at
    once, is passed over. Sound that MP4 cannot hold is encoded as AAC; sound that cannot be read
    is left out.
    """
    av = require_av()
    unfinished = target.with_suffix(".partial.mp4")
    with av.open(str(unfinished), "w", options={"movflags": "faststart"}) as output:
        pictures: Any = None
        sound = _Sound(original, output)
        first = last = -1
        for part in parts:
            for stream, packet, tick in _part_packets(part):
                if pictures is None:
                    pictures, first = output.add_stream_from_template(stream), tick
                if tick <= last:
                    continue
                last = tick
                packet.pts = packet.dts = round((tick - first) * TIME_BASE / packet.time_base)
                packet.stream = pictures
                output.mux(packet)
        if pictures is not None:
            sound.copy(float(first * TIME_BASE), float(last * TIME_BASE))
    unfinished.replace(target)


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
        for packet, seconds in whole_packets(source, stream):
            yield stream, packet, first_tick + round(seconds / TIME_BASE)


def whole_packets(source: Any, stream: Any) -> Iterator[tuple[Any, Fraction]]:
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
            for packet, _ in whole_packets(self._source, self._input):
                seconds = float(packet.pts * packet.time_base) - shift_s
                # A codec's first packet may lie before the first picture, to start it up.
                if -0.1 <= seconds <= end_s - start_s + 0.1:
                    self._mux(packet, shift_s)
            if not self._copied:
                self._output.mux(self._stream.encode(None))

    def _mux(self, packet: Any, shift_s: float) -> None:
        av = require_av()
        if self._copied:
            packet.pts -= round(shift_s / packet.time_base)
            packet.dts = packet.pts
            packet.stream = self._stream
            self._output.mux(packet)
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            return
        for frame in decoded:
            if frame.pts is not None:
                frame.pts -= round(shift_s / frame.time_base)
            self._output.mux(self._stream.encode(frame))


def _first_picture_s(source: Any) -> float:
    """The time of the first picture, from which frame times count."""
    for stream in source.streams.video:
        if stream.start_time is not None:
            return float(stream.start_time * stream.time_base)
    return 0.0
