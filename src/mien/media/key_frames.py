"""Where a video can be entered in its middle, without decoding what stands before."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame at which decoding can begin.

    Attributes:
        index: number of the frame in the video, from 0.
        timestamp_s: as :class:`mien.media.video.VideoSource` has it.
        pts: of the frame, in the time base of its stream.
        offset_s: time of the first frame in the file's own time.
    """

    index: int
    timestamp_s: float
    pts: int
    offset_s: float


def find_key_frame(path: Path, before_s: float) -> KeyFrame | None:
    """The last key frame at or before a time. Reads the file without decoding it.

    Returns:
        None where the video must be read from its beginning, for numbers and times to be right:
        its timestamps are missing, repeated or joined, or an edit list leaves out frames.

    Raises:
        VideoReadError: not a readable video.
        MissingExtraError: PyAV is not installed.
    """
    from mien.media.video import open_container, require_av, video_stream

    times: list[tuple[int, bool]] = []
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None or stream.time_base is None or _jumps(container):
            return None
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None or packet.is_discard or packet.is_corrupt:
                    return None
                times.append((packet.pts, bool(packet.is_keyframe)))
        except require_av().FFmpegError:
            return None
        declared, base = stream.frames, float(stream.time_base)
    times.sort()
    increasing = all(a[0] < b[0] for a, b in itertools.pairwise(times))
    if not times or not increasing or (declared and declared != len(times)):
        return None
    first = times[0][0]
    found = None
    for index, (pts, is_key) in enumerate(times):
        timestamp_s = round(pts * base - first * base, 6)
        if timestamp_s > before_s:
            break
        if is_key:
            found = KeyFrame(index, timestamp_s, pts, first * base)
    return found


def _jumps(container: Any) -> bool:
    from mien.media.video import DISCONTINUOUS

    return bool(container.format.flags & DISCONTINUOUS)
