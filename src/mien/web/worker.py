"""Analyzes uploaded videos; ``python -m mien.web.worker`` is a process that does only this."""

import json
import os
import signal
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

from mien.adaptation import adapt
from mien.adaptation.report import to_html
from mien.config import Settings
from mien.errors import MienError, VideoReadError
from mien.landmarks import FaceMesh
from mien.media.sources import Selection
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.streaming.expressions import for_streams
from mien.streaming.outputs import VideoOptions
from mien.streaming.video import VideoProgress, analyze_video
from mien.web.config import WebConfig
from mien.web.jobs import JobRunner, Progress, VideoWork
from mien.web.metrics import configure_logging
from mien.web.store.database import Database, database_url

# Faster than cameras that film people; a file that claims more only keeps the server busy.
_MAX_FRAME_RATE = 120


def video_work(pipeline: FacePipeline, config: WebConfig) -> VideoWork:
    """The analysis of uploaded videos, in this process or on the cluster of the settings.

    Raises:
        SettingError: the address is not one of a cluster.
        MissingExtraError: the extra `cluster` is not installed.
    """
    if not config.ray_address:
        return _UploadAnalyzer(_for_videos(pipeline), config.max_video_s)
    from mien.cluster.remote import RemoteWork

    return RemoteWork(
        config.ray_address, partial(_work_of_cluster, pipeline.settings, config.max_video_s)
    )


def _work_of_cluster(settings: Settings, max_video_s: int) -> "_UploadAnalyzer":
    return _UploadAnalyzer(_for_videos(FacePipeline(settings)), max_video_s)


def _for_videos(pipeline: FacePipeline) -> FacePipeline:
    """The pipeline with the landmarks that `mien video` takes; the server's live streams, whose
    time counts, have those of photographs."""
    settings, in_streams = pipeline.settings, for_streams(pipeline)
    if settings.landmarks != "default" or not isinstance(pipeline.landmarks, FaceMesh):
        return in_streams
    return FacePipeline(
        settings.for_streams(), detector=pipeline.detector, classifier=in_streams.classifier
    )


class _UploadAnalyzer:
    """Analyzes an uploaded video into a folder of results, as ``mien video`` does."""

    def __init__(self, pipeline: FacePipeline, max_video_s: int) -> None:
        self._pipeline = pipeline
        self._max_s = max_video_s

    def __call__(
        self, video: Path, folder: Path, options: dict[str, Any], report: Progress
    ) -> None:
        """Analyze the video, or adapt a model where the options say so.

        Raises:
            VideoReadError: the file is not a readable video, or exceeds a limit.
            DataError: the labeled faces are too few.
            JobStoppedError: ``report`` asks to stop.
        """
        if options.get("task") == "adapt":
            self._adapt(video, folder, report)
            return
        duration_s = VideoSource(video).info.duration_s
        if duration_s is not None:
            self._check_length(duration_s)

        def on_progress(now: VideoProgress) -> None:
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
            on_progress=on_progress,
        )

    def _adapt(self, archive: Path, folder: Path, report: Progress) -> None:
        data = archive.parent / "labeled"
        with zipfile.ZipFile(archive) as source:
            source.extractall(data)
        result = adapt(
            data / "labels.csv",
            folder / "model.onnx",
            settings=self._pipeline.settings,
            progress=lambda done, total: report(done, done / total),
        ).to_dict()
        # Not where this server had the pictures.
        result["model"] = "model.onnx" if result["kept"] else None
        (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        (folder / "report.html").write_text(to_html(result), encoding="utf-8")

    def _check_length(self, seconds: float) -> None:
        if seconds > self._max_s:
            raise VideoReadError(
                f"expected a video of at most {self._max_s} seconds, got one of {seconds:.0f} or "
                "more: cut it, or analyze it with `mien video`"
            )

    def _check_frames(self, frames: int) -> None:
        max_frames = self._max_s * _MAX_FRAME_RATE
        if frames > max_frames:
            raise VideoReadError(
                f"expected a video of at most {max_frames} frames, got one of {frames} or more: "
                "reduce its frame rate, or analyze it with `mien video`"
            )


def main() -> None:
    """Work on jobs until interrupted."""
    configure_logging()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        config = WebConfig.from_environment()
        database = Database(database_url(config))
        pipeline = FacePipeline(Settings.from_environment())
        runner = JobRunner(database, config, video_work(pipeline, config))
    except MienError as error:
        sys.exit(f"mien: {error}")
    runner.start(workers=config.job_threads)
    stopped.wait()
    runner.stop()
    # The interpreter's own shutdown would interrupt threads inside a model.
    os._exit(0)


if __name__ == "__main__":
    main()
