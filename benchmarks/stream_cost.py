"""What streams cost, for benchmarks/streams.py: CPU time per frame, and memory over an hour."""

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
from mien.streaming.video import VideoOptions, VideoProgress, analyze_video
from stream_scenes import write_long_clip, write_scene

PEER = Path(__file__).parent / "stream_peer.py"
CLIPS = ("neutral-to-smile.mp4", "woman-laughing.mp4", "street-crowd-1080p.mp4")
# FaceMesh is told to follow one face, so that it may only be compared where there is one.
ONE_FACE = ("640x360, 1 face", "1920x1080, 1 face", "neutral-to-smile.mp4", "woman-laughing.mp4")


def cost(media: Path | None, rounds: int, peer_python: Path | None) -> dict[str, Any]:
    """CPU milliseconds per frame, decoding included, annotation not; all take turns."""
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
                turns: dict[str, Callable[[], float]] = {"mien": lambda p=path: own(pipeline, p)}
                if peer_python is not None and name in ONE_FACE:
                    turns["facemesh"] = lambda p=path: peer(peer_python, p)
                for who, turn in turns.items():
                    measured[name].setdefault(who, []).append(turn())
    return {name: _summary(by_whom) for name, by_whom in measured.items()}


def _summary(by_whom: dict[str, list[float]]) -> dict[str, Any]:
    medians = {who: statistics.median(values) for who, values in by_whom.items()}
    summary: dict[str, Any] = {"cpu_ms_per_frame": medians["mien"], "rounds": by_whom["mien"]}
    if "facemesh" in medians:
        summary["facemesh_cpu_ms_per_frame"] = medians["facemesh"]
        summary["facemesh_rounds"] = by_whom["facemesh"]
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
    """Resident memory while a long video of changing people is analyzed into a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_long_clip(folder / "long.mp4", minutes)
        samples: list[tuple[float, float]] = []

        def note(progress: VideoProgress) -> None:
            if not samples or progress.timestamp_s - samples[-1][0] >= 30:
                samples.append((progress.timestamp_s, resident_mb()))

        outcome = analyze_video(
            clip, folder / "out", VideoOptions(annotate=False), on_progress=note
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
