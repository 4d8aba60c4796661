"""Video files, read with PyAV (FFmpeg)."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import MissingExtraError, VideoReadError
from mien.media.sources import Frame, Selection, SourceInfo
from mien.types import Image

# 8K has 33 million; a header with many more is damaged or malicious.
_MAX_PIXELS = 64_000_000

# Formats that open other files or devices, and those that accept any text as a video.
_REFUSED_FORMATS = frozenset(
    (
        *("hls", "dash", "concat", "imf", "sdp", "rtsp", "rtp", "sap", "webm_dash_manifest"),
        *("image2", "image2pipe", "lavfi", "avs", "vapoursynth", "ffmetadata", "data"),
        *("x11grab", "fbdev", "kmsgrab", "video4linux2", "v4l2", "video4linux2,v4l2"),
        *("alsa", "oss", "sndio", "iec61883", "jack", "openal", "pulse"),
        *("tty", "bin", "xbin", "adf", "idf"),
    )
)
# A damaged file may have thousands of undecodable packets, which cost time without any frame.
_MAX_DAMAGED_IN_A_ROW = 1000


def require_av() -> Any:
    """Import the module ``av``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtraError("av", "video", "read and write videos") from None
    return av


class VideoSource:
    """The frames of a video file. Files and devices that it refers to are never opened.

    Timestamps are relative to the first frame. Variable frame rates are kept; missing or decreasing
    timestamps are replaced using the mean frame rate. Damaged packets are skipped, and counted in
    `damaged`.

    Args:
        path: path of the file.
        selection: which frames to use. The others are decoded, too, because frames depend on each
            other, so frame numbers are exact.

    Attributes:
        info: size, frame rate and duration from the file's header.
        damaged: number of packets that could not be decoded so far.

    Raises:
        VideoReadError: no such file, no video in it, or frames of more than 64 million pixels.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, path: Path, selection: Selection | None = None) -> None:
        self.path = Path(path)
        self.damaged = 0
        self._selection = selection or Selection()
        with open_container(self.path) as container:
            self.info = _info(self.path, container)

    def frames(self) -> Iterator[Frame]:
        """The selected frames, in order.

        Raises:
            VideoReadError: no frame can be decoded.
        """
        selected, index, last_s = self._selection.selector(), -1, -1.0
        with open_container(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = self.info.frame_rate or 25.0
            first_s: float | None = None
            for decoded in self._decode(container, stream):
                index += 1
                if decoded.pts is None:
                    timestamp_s = last_s + 1 / rate if index else 0.0
                else:
                    seconds = float(decoded.pts * (decoded.time_base or stream.time_base))
                    first_s = seconds if first_s is None else first_s
                    timestamp_s = seconds - first_s
                if timestamp_s <= last_s:
                    timestamp_s = last_s + 0.5 / rate
                # Rounded so that tables contain exactly the time that was used.
                last_s = timestamp_s = round(timestamp_s, 6)
                if self._selection.is_over(timestamp_s):
                    return
                if selected(index, timestamp_s):
                    yield Frame(_upright_rgb(decoded), timestamp_s, index)
        if index < 0:
            raise VideoReadError(f"expected a video in {self.path}, but no frame can be decoded")

    def _decode(self, container: Any, stream: Any) -> Iterator[Any]:
        av = require_av()
        damaged_in_a_row = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                # The rest of the file cannot be read.
                self.damaged += 1
                return
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                damaged_in_a_row += 1
                if damaged_in_a_row > _MAX_DAMAGED_IN_A_ROW:
                    return
                continue
            damaged_in_a_row = 0
            yield from decoded


def open_container(path: Path) -> Any:
    """Open a media file with PyAV, but nothing that it refers to.

    Raises:
        VideoReadError: the file does not exist, or its format is not allowed.
        MissingExtraError: PyAV is not installed.
    """
    av = require_av()
    if not path.is_file():
        raise VideoReadError(f"expected a video file at {path}, but there is none")
    options = {"protocol_whitelist": "file", "format_whitelist": _allowed_formats()}
    # PyAV 19 and later replaces metadata in unknown encodings by default.
    old = int(av.__version__.partition(".")[0]) < 19
    more = {"metadata_errors": "replace"} if old else {}
    try:
        return av.open(str(path.absolute()), container_options=options, **more)
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        raise VideoReadError(
            f"expected a video in {path}, but it cannot be read: {_reason(error)}"
        ) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


@cache
def _allowed_formats() -> str:
    return ",".join(sorted(require_av().formats_available - _REFUSED_FORMATS))


def _info(path: Path, container: Any) -> SourceInfo:
    if not container.streams.video:
        raise VideoReadError(f"expected a video in {path}, but it has no video stream")
    stream = container.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > _MAX_PIXELS:
        raise VideoReadError(
            f"expected frames of at most {_MAX_PIXELS:,} pixels in {path}, got {width}x{height}"
        )
    rate = stream.average_rate or stream.guessed_rate
    duration_s = None
    if stream.duration is not None and stream.time_base is not None:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration_s = container.duration / 1_000_000
    plausible = rate is not None and 0 < rate <= 100_000
    return SourceInfo(
        name=path.name,
        size_wh=(width, height) if width and height else None,
        frame_rate=float(rate) if plausible else None,
        duration_s=duration_s if duration_s and duration_s > 0 else None,
    )


def _upright_rgb(decoded: Any) -> Image:
    """The pixels of a frame, rotated as the file's metadata says."""
    if decoded.width * decoded.height > _MAX_PIXELS:
        raise VideoReadError(
            f"expected frames of at most {_MAX_PIXELS:,} pixels, "
            f"got {decoded.width}x{decoded.height}"
        )
    image = decoded.to_ndarray(format="rgb24")
    quarter_turns = round(decoded.rotation / 90) % 4
    if quarter_turns:
        image = np.ascontiguousarray(np.rot90(image, quarter_turns))
    return image  # type: ignore[no-any-return]
