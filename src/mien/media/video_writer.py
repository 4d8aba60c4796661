"""Annotated videos, with the original sound."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.drawing import annotate, blur_faces
from mien.errors import VideoReadError
from mien.media.sources import Frame
from mien.media.video import open_container, require_av
from mien.tracking import Event
from mien.types import FrameResult, Image

_TIME_BASE = Fraction(1, 90_000)
# A face that is lost for a moment stays blurred for this long where it was last.
_BLUR_AFTER_S = 1.0


class AnnotatedVideoSink:
    """Writes every frame with its results drawn over it, and joins it with the sound at the end.

    While it runs, pictures go into a fragmented MP4 (``annotated.part-N.mp4``), which stays
    readable to the last whole second whatever happens. At the end the parts of this and of
    earlier runs become ``annotated.mp4``, without being encoded again.

    Args:
        folder: where the files go.
        original: the video whose sound is taken, if any.
        blur: whether to blur the faces instead of drawing on them.
        resumed: whether parts of an earlier run are kept.
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
        resumed: bool = False,
        frame_rate: float | None = None,
    ) -> None:
        require_av()
        self._folder = folder
        self._original = original
        self._draw: Callable[[Image, FrameResult], Image] = _Blurring() if blur else annotate
        self._rate = Fraction(frame_rate or 25.0).limit_denominator(1001)
        earlier = sorted(folder.glob("annotated.part-*.mp4"))
        if not resumed:
            for part in earlier:
                part.unlink()
            earlier = []
        self._part = folder / f"annotated.part-{len(earlier):03}.mp4"
        self._container: Any = None
        self._stream: Any = None

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        picture = self._draw(frame.image, result)
        if self._container is None:
            self._begin(picture.shape[1], picture.shape[0])
        av = require_av()
        encoded = av.VideoFrame.from_ndarray(self._fitting(picture), format="rgb24")
        encoded.pts = round(frame.timestamp_s / _TIME_BASE)
        encoded.time_base = _TIME_BASE
        self._container.mux(self._stream.encode(encoded))

    def close(self, events: Sequence[Event], *, complete: bool) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None
        parts = sorted(self._folder.glob("annotated.part-*.mp4"))
        if parts:
            join(parts, self._original, self._folder / "annotated.mp4")
        # What is partial may be resumed, and then its parts are needed again.
        for part in parts if complete else ():
            part.unlink()

    def _begin(self, width: int, height: int) -> None:
        av = require_av()
        self._container = av.open(
            str(self._part),
            "w",
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
        )
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        # The encoder wants even sides; one more row or column hides nothing.
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TIME_BASE
        # A key frame each second: what was written before the last one survives a kill.
        self._stream.codec_context.gop_size = max(1, math.ceil(self._rate))
        # Without B-frames the parts of several runs can follow each other as they are.
        self._stream.options = {"preset": "veryfast", "crf": "21", "bf": "0"}

    def _fitting(self, picture: Image) -> Image:
        """The picture in the size of the first one, repeated at the edge or cut."""
        height, width = self._stream.height, self._stream.width
        if picture.shape[:2] == (height, width):
            return picture
        cut = picture[:height, :width]
        pad = ((0, height - cut.shape[0]), (0, width - cut.shape[1]), (0, 0))
        return np.ascontiguousarray(np.pad(cut, pad, mode="edge"))


class _Blurring:
    """Blurs the faces of a frame, and for a while the places of those that were just lost."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, Any]] = {}

    def __call__(self, image: Image, result: FrameResult) -> Image:
        now = result.timestamp_s or 0.0
        for face in result.faces:
            if face.track_id is not None:
                self._last[face.track_id] = (now, face)
        self._last = {
            key: (seen_s, face)
            for key, (seen_s, face) in self._last.items()
            if now - seen_s <= _BLUR_AFTER_S
        }
        faces = tuple(face for _, face in self._last.values())
        return blur_faces(image, FrameResult(faces, result.image_size_wh))


def join(parts: Sequence[Path], original: Path | None, target: Path) -> None:
    """Copy the pictures of all parts, and the sound of the original, into one MP4.

    A part that holds no whole fragment, as one that was killed at once, is passed over. Sound that
    MP4 cannot hold is encoded as AAC; sound that cannot be read is left out.
    """
    av = require_av()
    unfinished = target.with_suffix(".partial.mp4")
    with av.open(str(unfinished), "w", options={"movflags": "faststart"}) as output:
        picture_stream: Any = None
        sound = _Sound(original, output)
        last = -1
        span = [math.inf, 0.0]
        for part in parts:
            try:
                source = av.open(str(part))
            except av.FFmpegError:
                continue
            with source:
                stream = source.streams.video[0]
                if picture_stream is None:
                    picture_stream = output.add_stream_from_template(stream)
                for packet in _packets(source, stream):
                    if packet.dts is None or packet.dts <= last:
                        continue
                    last = packet.dts
                    seconds = float(packet.pts * packet.time_base)
                    span = [min(span[0], seconds), max(span[1], seconds)]
                    packet.stream = picture_stream
                    output.mux(packet)
        sound.copy(*span)
    unfinished.replace(target)


def _packets(source: Any, stream: Any) -> Any:
    """Packets up to the first damage, as at the end of a file that was cut."""
    av = require_av()
    packets = source.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        yield packet


class _Sound:
    """The sound of a file on its way into another."""

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
        """Mux the sound between two times of the original."""
        if self._source is None:
            return
        with self._source:
            video = self._source.streams.video
            # Our pictures count from the first one of the original.
            first_s = (
                float(video[0].start_time * video[0].time_base)
                if (video and video[0].start_time is not None)
                else 0.0
            )
            for packet in _packets(self._source, self._input):
                if packet.pts is None:
                    continue
                seconds = float(packet.pts * packet.time_base) - first_s
                if seconds < max(0.0, start_s - 0.05) or seconds > end_s + 0.1:
                    continue
                self._mux(packet, round(first_s / packet.time_base))
            if not self._copied:
                self._output.mux(self._stream.encode(None))

    def _mux(self, packet: Any, shift: int) -> None:
        av = require_av()
        if self._copied:
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._stream
            self._output.mux(packet)
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            return
        for frame in decoded:
            frame.pts = (
                None
                if frame.pts is None
                else frame.pts - round(shift * float(packet.time_base / frame.time_base))
            )
            self._output.mux(self._stream.encode(frame))
