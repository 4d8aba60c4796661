"""Cost of streams: CPU time per frame, and memory over an hour."""

import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream
from mien.streaming.outputs import VideoOptions
from mien.streaming.video import VideoProgress, analyze_video
from scenes import write_long_clip, write_scene

PEER = Path(__file__).parent / "facemesh.py"
CLIPS = ("neutral-to-smile.mp4", "woman-laughing.mp4", "street-crowd-1080p.mp4")
# FaceMesh is configured for one face, so only clips with one face are comparable.
ONE_FACE = ("640x360, 1 face", "1920x1080, 1 face", "neutral-to-smile.mp4", "woman-laughing.mp4")


def cost(media: Path | None, rounds: int, peer_python: Path | None) -> dict[str, Any]:
    """CPU milliseconds per frame with decoding, without annotation, in alternating runs."""
    pipeline = FacePipeline()
    pipeline.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        clips = {
            "640x360, 1 face": write_scene(Path(folder) / "a.mp4", (640, 360), 1),
            "640x360, 5 faces": write_scene(Path(folder) / "b.mp4", (640, 360), 5),
            "1920x1080, 1 face": write_scene(Path(folder) / "c.mp4", (1920, 1080), 1),
        }
        for name in CLIPS:
            if media is not None and (media / name).is_file():
                clips[name] = media / name
        measured: dict[str, dict[str, list[float]]] = {name: {} for name in clips}
        for _ in range(rounds):
            for name, path in clips.items():
                runs: dict[str, Callable[[], float]] = {"mien": lambda p=path: own(pipeline, p)}
                if peer_python is not None and name in ONE_FACE:
                    runs["facemesh"] = lambda p=path: peer(peer_python, p)
                for contender, run in runs.items():
                    measured[name].setdefault(contender, []).append(run())
    return {name: _summary(by_contender) for name, by_contender in measured.items()}


def _summary(by_contender: dict[str, list[float]]) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in by_contender.items()}
    summary: dict[str, Any] = {"cpu_ms_per_frame": medians["mien"], "rounds": by_contender["mien"]}
    if "facemesh" in medians:
        summary["facemesh_cpu_ms_per_frame"] = medians["facemesh"]
        summary["facemesh_rounds"] = by_contender["facemesh"]
        summary["ratio"] = medians["mien"] / medians["facemesh"]
    return summary


def own(pipeline: FacePipeline, path: Path) -> float:
    stream, frames = FaceStream(pipeline), 0
    started = time.process_time()
    for frame in VideoSource(path).frames():
        stream.update(frame.image, frame.timestamp_s)
        frames += 1
    return 1000 * (time.process_time() - started) / frames


def peer(python: Path, path: Path) -> float:
    command = [str(python), str(PEER), str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(output.splitlines()[-1])["cpu_ms_per_frame"])


def soak(minutes: float) -> dict[str, Any]:
    """Resident memory during the analysis of a long video of changing people."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_long_clip(folder / "long.mp4", minutes)
        samples: list[tuple[float, float]] = []

        def sample(progress: VideoProgress) -> None:
            if not samples or progress.timestamp_s - samples[-1][0] >= 30:
                samples.append((progress.timestamp_s, resident_mb()))

        outcome = analyze_video(
            clip, folder / "out", VideoOptions(annotate=False), on_progress=sample
        )
        samples.append((60 * minutes, resident_mb()))
    after_a_minute = next(mb for now, mb in samples if now >= 60)
    return {
        "minutes": minutes,
        "frames": outcome.frames,
        "tracks": outcome.tracks,
        "rss_mb_after_1_minute": after_a_minute,
        "rss_mb_at_end": samples[-1][1],
        "rss_mb_highest": max(mb for _, mb in samples),
        "growth_mb": samples[-1][1] - after_a_minute,
        "samples": samples,
    }


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
