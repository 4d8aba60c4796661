"""What a video job does: the same as ``mien video``, within this server's limits."""

from pathlib import Path
from typing import Any

from mien.errors import VideoReadError
from mien.media.sources import Selection
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.streaming.video import VideoOptions, VideoProgress, analyze_video
from mien.web.config import WebConfig
from mien.web.jobs import Progress

# How far the run came matters to a run that is resumed; a job starts anew.
_NOT_A_RESULT = "run.json"
# Faster than any camera of people; what claims to be faster is made to keep a server busy.
_MOST_FRAMES_A_SECOND = 120


class VideoWork:
    """Analyzes an uploaded video into a folder of results.

    Args:
        pipeline: analyzes the frames.
        config: how long a video may be.
    """

    def __init__(self, pipeline: FacePipeline, config: WebConfig) -> None:
        self._pipeline = pipeline
        self._max_s = config.max_video_s

    def __call__(
        self, video: Path, folder: Path, options: dict[str, Any], report: Progress
    ) -> None:
        """Analyze the video.

        Raises:
            VideoReadError: no readable video, or a longer one than allowed.
            JobStoppedError: whoever is reported to wants no more.
        """
        duration_s = VideoSource(video).info.duration_s
        if duration_s is not None:
            self._check_length(duration_s)

        def tell(now: VideoProgress) -> None:
            self._check_length(now.timestamp_s)
            self._check_frames(now.frames * options["every"])
            report(now.frames, now.share)

        analyze_video(
            video,
            folder,
            VideoOptions(
                selection=Selection(every=options["every"]),
                annotate=options["annotate"],
                blur_faces=options["blur_faces"],
            ),
            pipeline=self._pipeline,
            on_progress=tell,
        )
        (folder / _NOT_A_RESULT).unlink(missing_ok=True)

    def _check_length(self, seconds: float) -> None:
        if seconds > self._max_s:
            raise VideoReadError(
                f"expected a video of at most {self._max_s} seconds, got one of {seconds:.0f} or "
                "more: cut it, or analyze it with `mien video`"
            )

    def _check_frames(self, frames: int) -> None:
        most = self._max_s * _MOST_FRAMES_A_SECOND
        if frames > most:
            raise VideoReadError(
                f"expected a video of at most {most} frames, got one of {frames} or more: make it "
                "slower, or analyze it with `mien video`"
            )
