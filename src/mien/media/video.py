"""Video files, read with PyAV (FFmpeg)."""

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mien import imaging
from mien.errors import VideoReadError, import_extra
from mien.media.clock import Clock, KeyFrame, Reordering, with_times_in_order
from mien.media.file_ends import damage_of, has_no_end
from mien.media.formats import HEAD_BYTES, describe, sniff
from mien.media.interlace import Fields
from mien.media.packets import has_wrong_data
from mien.media.sources import Frame, Selection, SourceInfo
from mien.media.tone_mapping import HLG, PQ, tone_map
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
# Pixels that are more than four times as wide as high, or the reverse, come from damaged headers.
_MAX_PIXEL_RATIO = 4
_MAX_MEAN_RATE = 10_000
# FFmpeg's flags of pictures attached to a sound file, and of previews for players
# (AV_DISPOSITION_ATTACHED_PIC, AV_DISPOSITION_TIMED_THUMBNAILS).
_COVER = 0x0C00
# Formats that may have the times of decoding only.
_DECODING_TIMES = ("avi", "mxf")
# FFmpeg's flag of formats whose timestamps may jump (AVFMT_TS_DISCONT).
DISCONTINUOUS = 0x0200


def require_av() -> Any:
    """Import the module ``av``.

    Raises:
        MissingExtraError: it is not installed.
    """
    return import_extra("av", "video", "read and write videos")


class VideoSource:
    """The frames of a video file. Files and devices that it refers to are never opened.

    Timestamps are relative to the first frame and always increase (:mod:`mien.media.clock`).
    Damaged packets are skipped. Frames have square pixels, are upright as the file's metadata says,
    HDR is mapped to standard RGB (:mod:`mien.media.tone_mapping`), and frames are not combed
    (:mod:`mien.media.interlace`).

    Args:
        path: path of the file.
        selection: which frames to use. The others are decoded, too, because frames depend on each
            other, so frame numbers are exact.
        entry: where reading begins; by default at the first frame.

    Attributes:
        info: size, frame rate and duration from the file's header.

    Raises:
        VideoReadError: no such file, no video in it, or frames of more than 64 million pixels.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(
        self, path: Path, selection: Selection | None = None, entry: KeyFrame | None = None
    ) -> None:
        self.path = Path(path)
        self._selection = selection or Selection()
        self._entry = entry
        with open_container(self.path) as container:
            self.info = _info(self.path, container)
            jumps = bool(container.format.flags & DISCONTINUOUS)
            stream = video_stream(container)
            self._frame_count = stream.frames
            self._codec = stream.codec_context.name
            self._reorders = stream.codec_context.codec.reorder
            self._format = container.format.name
            self._videos = len(_videos(container))
        self._clock = Clock(self.info.frame_rate or 25.0, jumps=jumps)
        if entry is not None:
            self._clock.enter(entry.timestamp_s, entry.offset_s)
        self._skipped = self._damaged = self._incomplete = self._discarded = 0
        self._cut: str | None = None
        self._fields = Fields()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the file, as far as it was read."""
        found = []
        if self._videos > 1:
            found.append(f"the first of {self._videos} videos in the file was read")
        if self._skipped:
            found.append(f"packets that could not be decoded and were skipped: {self._skipped}")
        # Packets with missing parts, as of transport streams, may lose whole frames.
        damaged = max(self._damaged, self._incomplete)
        if damaged:
            found.append(f"damaged frames, parts of which may be wrong: {damaged}")
        if self._fields.combed:
            found.append(f"interlaced frames, of which one field was used: {self._fields.combed}")
        if self._cut:
            found.append(self._cut)
        return (*found, *self._clock.warnings)

    def frames(self) -> Iterator[Frame]:
        """The selected frames, in order.

        Raises:
            VideoReadError: no frame can be decoded, or the video ends before the selection starts.
        """
        selected, timestamp_s, used = self._selection.selector(), 0.0, 0
        index = before = self._entry.index - 1 if self._entry else -1
        with open_container(self.path) as container:
            stream = video_stream(container)
            stream.thread_type = "AUTO"
            decoded_frames = self._decode(container, stream)
            if self._codec == "mpeg4":
                decoded_frames = with_times_in_order(decoded_frames)
            if self._entry is not None:
                container.seek(self._entry.pts, stream=stream)
                decoded_frames = _entered(decoded_frames, self._entry, self.path)
            timed = ((d, _seconds(d, stream)) for d in decoded_frames)
            last = None
            for index, (decoded, timestamp_s) in enumerate(self._clock.times(timed), before + 1):
                last = decoded
                if self._selection.is_over(timestamp_s):
                    break
                if selected(index, timestamp_s):
                    used += 1
                    self._damaged += decoded.is_corrupt
                    yield Frame(_pixels(decoded, stream, self._fields), timestamp_s, index)
            else:
                self._note_cut(index + 1, timestamp_s, last)
        if index == before:
            raise VideoReadError(f"expected a video in {self.path}, but no frame can be decoded")
        if not used:
            raise self._selection.nothing_in(str(self.path), timestamp_s)

    def _note_cut(self, count: int, last_s: float, last: Any) -> None:
        """Compare what was read to the end with what the header says."""
        period_s = 1 / (self.info.frame_rate or 25.0)
        shown_s = float((last.duration or 0) * (last.time_base or 0)) if last is not None else 0.0
        end_s, duration_s = last_s + max(period_s, shown_s), self.info.duration_s or 0.0
        frames, missing_s = "", duration_s - end_s
        if self._frame_count:
            expected = self._frame_count - self._discarded
            frames = f" ({count} of {expected} frames)"
            if self._format == "avi":  # FFmpeg shortens the duration of a cut one, but not this
                duration_s = max(duration_s, expected * period_s)
                missing_s = duration_s - end_s
            elif count >= expected:
                missing_s = 0.0
        # Without a number of frames, the duration may be that of a sound that is longer.
        least_s = max(0.0 if self._frame_count else 0.5, 3 * period_s, 0.02 * duration_s)
        if missing_s > least_s and (self._frame_count or self._lasts_s() < duration_s - least_s):
            self._cut = (
                f"the file is cut: {end_s:.2f} s of the {duration_s:.2f} s{frames} that its "
                "header announces could be read"
            )
        elif has_no_end(self.path, self._format):
            self._cut = f"the file is cut: it has no end after {end_s:.2f} s"
        elif damage := damage_of(self.path, self._format):
            self._cut = f"the file is damaged, and frames may be missing: {damage}"
        elif count == 1 and self._format.endswith("_pipe"):
            self._cut = "a still image, read as a video of one frame: mien image is for images"

    def _lasts_s(self) -> float:
        """The end of the last packet of any stream, in seconds from the first one."""
        times: list[float] = []
        lost = (require_av().FFmpegError, VideoReadError)
        with contextlib.suppress(*lost), open_container(self.path) as container:
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    times.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return max(times) - min(times) if times else 0.0

    def _decode(self, container: Any, stream: Any) -> Iterator[Any]:
        av = require_av()
        # Others have times of their own, and packets whose frames are never shown.
        is_possible = self._format in _DECODING_TIMES and self._reorders and self._codec != "mpeg4"
        damaged_in_a_row, order = 0, Reordering(is_possible=is_possible)
        packets = container.demux(stream)
        while damaged_in_a_row <= _MAX_DAMAGED_IN_A_ROW:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                # Packets outside of the file's edit list are decoded, but not shown.
                self._discarded += packet.is_discard
                self._incomplete += packet.is_corrupt or has_wrong_data(
                    bytes(packet), self._codec, self._format, stream.codec_context.extradata
                )
                if not packet.size and packet.pts is not None:
                    continue  # the last frame is shown again; a decoder would take it for the end
            except av.FFmpegError:
                # The rest of the file cannot be read; the decoder still holds some frames.
                self._skipped += 1
                packet = None
            try:
                decoded = stream.codec_context.decode(packet)
                damaged_in_a_row = 0
            except av.EOFError:
                return
            # ValueError: a damaged header names a codec that does not exist.
            except (av.FFmpegError, ValueError):
                self._skipped += 1
                damaged_in_a_row += 1
                continue
            if packet is not None and packet.size:
                order.note(packet.pts, packet.dts)
            for frame in decoded:
                frame.pts = order.next(frame.pts)
                yield frame
            if packet is None:
                return


def open_container(path: Path) -> Any:
    """Open a media file with PyAV, but nothing that it refers to.

    Raises:
        VideoReadError: the file does not exist, or its format is not allowed.
        MissingExtraError: PyAV is not installed.
    """
    av = require_av()
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no regular file" if path.exists() else "none"
        raise VideoReadError(f"expected a video file at {path}, but there is {found}")
    options = {"protocol_whitelist": "file", "format_whitelist": _allowed_formats()}
    # PyAV 19 and later replaces metadata in unknown encodings by default.
    old = int(av.__version__.partition(".")[0]) < 19
    more = {"metadata_errors": "replace"} if old else {}
    try:
        return av.open(str(path.absolute()), container_options=options, **more)
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        raise VideoReadError(
            f"expected a video in {path}, but it cannot be read: {_reason(path, error)}"
        ) from None


def _reason(path: Path, error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return text
    kind = sniff(head)
    if kind not in (None, "avif", "heif"):
        return f"it is an image ({kind})"
    if head[4:8] == b"ftyp":
        return "it is an MP4 or MOV file without its index, as if it was cut or never finished"
    found = describe(head)
    return text if "video" in found else f"it is {found}"


@cache
def _allowed_formats() -> str:
    return ",".join(sorted(require_av().formats_available - _REFUSED_FORMATS))


def _info(path: Path, container: Any) -> SourceInfo:
    stream = video_stream(container)
    if stream is None:
        raise VideoReadError(f"expected a video in {path}, but it has no video stream")
    context = stream.codec_context
    if context is None:
        raise VideoReadError(
            f"expected a video in {path}, got a format that cannot be decoded: convert it to MP4"
        )
    width, height = _square_pixels(context.width, context.height, stream)
    if width * height > _MAX_PIXELS:
        raise VideoReadError(
            f"expected frames of at most {_MAX_PIXELS:,} pixels in {path}, got {width}x{height}"
        )
    rate = stream.average_rate or stream.guessed_rate
    if rate and rate > _MAX_MEAN_RATE and stream.guessed_rate:
        rate = stream.guessed_rate  # the mean is that of a clock, as in raw DV
    durations_s = []
    if stream.duration is not None and stream.time_base is not None:
        durations_s.append(float(stream.duration * stream.time_base))
    elif "DURATION" in stream.metadata:
        # Matroska: of this track, where the whole may have a longer sound track.
        durations_s.append(_clock_time_s(stream.metadata["DURATION"]))
    if durations_s and "matroska" in container.format.name:
        # Its durations count from 0, and not from the first frame.
        durations_s[0] -= max(0.0, float((stream.start_time or 0) * (stream.time_base or 0)))
    if container.duration is not None:
        # The whole is the shorter one if an edit list omits a part of the track.
        durations_s.append(container.duration / 1_000_000)
    duration_s = min((d for d in durations_s if d > 0), default=None)
    plausible = rate is not None and 0 < rate <= 100_000
    return SourceInfo(
        name=path.name,
        size_wh=(width, height) if width and height else None,
        frame_rate=float(rate) if plausible else None,
        duration_s=duration_s,
    )


def video_stream(container: Any) -> Any:
    """The first video stream that is not the cover of a sound file, or None."""
    return next(iter(_videos(container)), None)


def _videos(container: Any) -> list[Any]:
    found = [s for s in container.streams.video if not s.disposition.value & _COVER]
    # Animated AVIF and HEIC files also hold a still, which has no duration.
    return [s for s in found if s.frames != 1 or s.duration is not None] or found


def _clock_time_s(text: str) -> float:
    """Seconds of a time such as ``00:01:02.500``; 0 for other text."""
    try:
        hours, minutes, seconds = text.strip("\0").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return 0.0


def _entered(frames: Iterator[Any], entry: KeyFrame, path: Path) -> Iterator[Any]:
    """The frames from an entry on; those before it are needed by none after it."""
    entered = False
    for frame in frames:
        if not entered and (frame.pts is None or frame.pts < entry.pts):
            continue
        if not entered and frame.pts != entry.pts:
            raise VideoReadError(
                f"expected a key frame at {entry.timestamp_s:g} s in {path}, but it cannot be read"
            )
        entered = True
        yield frame


def _seconds(decoded: Any, stream: Any) -> float | None:
    if decoded.pts is None:
        return None
    return float(decoded.pts * (decoded.time_base or stream.time_base))


def _pixels(decoded: Any, stream: Any, fields: Fields) -> Image:
    """The frame in RGB with square pixels, rotated and mirrored as the file's metadata says.

    Of a frame that is combed, one field is taken.
    """
    width, height = _square_pixels(decoded.width, decoded.height, stream)
    if width * height > _MAX_PIXELS:
        raise VideoReadError(
            f"expected frames of at most {_MAX_PIXELS:,} pixels, got {width}x{height}"
        )
    size: dict[str, Any] = {"width": width, "height": height, "interpolation": "BICUBIC"}
    if (width, height) == (decoded.width, decoded.height):
        size = {}
    field = fields.separated(decoded)
    if field is not None:
        image = imaging.resize(field, (width, height)) if size else field
    elif int(decoded.color_trc) in {PQ, HLG}:
        image = tone_map(decoded.to_ndarray(format="rgb48le", **size), int(decoded.color_trc))
    else:
        image = decoded.to_ndarray(format="rgb24", **size)
    return _oriented(image, decoded)


def _square_pixels(width: int, height: int, stream: Any) -> tuple[int, int]:
    """The size with square pixels; the side that is short of pixels is enlarged."""
    # The container's ratio, as players use it, or else the codec's; frames have none in PyAV.
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not ratio or not 1 / _MAX_PIXEL_RATIO <= ratio <= _MAX_PIXEL_RATIO:
        return width, height
    return (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))


def _oriented(image: Image, decoded: Any) -> Image:
    """The image as the display matrix says: turned by quarters, and mirrored."""
    matrix = decoded.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    # (x, y) is shown at (a x + c y, b x + d y).
    if abs(b) > abs(a):
        image, right, down = image.transpose(1, 0, 2), c, b
    else:
        right, down = a, d
    image = image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
    return np.ascontiguousarray(image)
