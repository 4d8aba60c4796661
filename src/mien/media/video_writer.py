"""Annotated videos, with the original sound."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.drawing import annotate, blur_faces
from mien.media.joining import TIME_BASE, join, part_path, parts_in
from mien.media.sources import Frame
from mien.media.video import require_av
from mien.tracking import Event
from mien.types import FrameResult, Image

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
        resumed: bool = False,
        resumable: bool = True,
        frame_rate: float | None = None,
    ) -> None:
        require_av()
        self._folder = folder
        self._original = original
        self._resumable = resumable
        self._draw: Callable[[Image, FrameResult], Image] = _Blurring() if blur else annotate
        self._rate = Fraction(frame_rate or 25.0).limit_denominator(1001)
        if not resumed:
            for part in parts_in(folder):
                part.unlink()
        self._first_tick = 0
        self._container: Any = None
        self._stream: Any = None

    def write(self, frame: Frame, result: FrameResult, events: Sequence[Event]) -> None:
        picture = self._draw(frame.image, result)
        tick = round(frame.timestamp_s / TIME_BASE)
        if self._container is None:
            self._begin(picture.shape[1], picture.shape[0], tick)
        av = require_av()
        encoded = av.VideoFrame.from_ndarray(self._fitting(picture), format="rgb24")
        encoded.pts = tick - self._first_tick
        encoded.time_base = TIME_BASE
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
        self._container = av.open(
            str(part_path(self._folder, tick)),
            "w",
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
        )
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        # The encoder wants even sides; one more row or column hides nothing.
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE
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
    """Blurs the faces of a frame, and for a while the last positions of lost faces."""

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
