"""Closed eyes, blinks and yawns of streams, with each landmark model.

Clips whose frames or blinks were marked by eye, and heads that are rendered at 30 frames a second
(`movable_head.py`). A rendered clip has 8 seconds: blinks of 0.2 to 0.3 s, a look 20 degrees down
for a second, which is no closure, and a mouth that talks, in a head that sways.
"""

import csv
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mien.media.images import read_image
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.streaming import FaceStream, StreamSettings
from mien.types import Image

sys.path.append(str(Path(__file__).parents[1]))
from movable_head import MovableHead

CLOSURES = Path(__file__).parents[1] / "data" / "closures.csv"
MODELS = ("facemesh", "face-landmarker")
# Blinks and yawns counted by eye; None where blinks were not counted.
COUNTED: dict[str, tuple[int | None, int]] = {
    "neutral-to-smile.mp4": (1, 0),
    "woman-laughing.mp4": (6, 0),
    "driver-looks-about.avi": (4, 0),
    "driver-yawns.avi": (None, 1),
    "doze-to-end.mp4": (4, 0),
}
FRAME_RATE, SECONDS = 30, 8
BLINKS_S = (0.8, 2.1, 3.3, 6.6, 7.4)
LOOK_DOWN_S = (4.2, 5.4)
YAWS_DEG, HEADS = (0, 30), 2


def eyes(media: Path, head: Path | None) -> dict[str, Any]:
    """Figures of each landmark model.

    Args:
        media: folders of clips, searched for those with marks.
        head: file of the face model for rendered clips.
    """
    report: dict[str, Any] = {name: {} for name in MODELS}
    for name in MODELS:
        pipeline = FacePipeline(landmarks=name)
        report[name]["clips"] = _by_clips(pipeline, media)
        report[name]["counted"] = {
            path.name: _counts(pipeline, VideoSource(path))
            | dict(zip(("true_blinks", "true_yawns"), COUNTED[path.name], strict=True))
            for path in sorted(media.rglob("*"))
            if path.name in COUNTED
        }
    if head is not None:
        for name, figures in _by_rendered(head).items():
            report[name]["rendered"] = figures
    return report


def _by_clips(pipeline: FacePipeline, media: Path) -> list[dict[str, Any]]:
    marks: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    with CLOSURES.open(newline="") as file:
        for row in csv.DictReader(file):
            marks[row["clip"]].append(
                (int(row["first_frame"]), int(row["last_frame"]), row["kind"])
            )
    return [
        {"clip": name, **_by_clip(pipeline, path, spans)}
        for name, spans in marks.items()
        for path in sorted(media.rglob(name))
    ]


def _by_clip(
    pipeline: FacePipeline, clip: Path, spans: list[tuple[int, int, str]]
) -> dict[str, Any]:
    """Frames that a stream counts as closed against the marks, without half-closed ones."""
    stream, sizes = FaceStream(pipeline, StreamSettings(expressions=False)), []
    counts = Counter[tuple[str, bool]]()
    for frame in VideoSource(clip).frames():
        result = stream.update(frame.image, frame.timestamp_s)
        kinds = [kind for first, last, kind in spans if first <= frame.index <= last]
        for face in result.faces[:1]:
            sizes.append(face.quality.size_px if face.quality else 0)
            counts[kinds[0] if kinds else "open", _is_closed(stream)] += 1
    return {
        "median_size_px": float(np.median(sizes)),
        "closed_frames": counts["closed", True] + counts["closed", False],
        "closed_found": counts["closed", True],
        "open_frames": counts["open", True] + counts["open", False],
        "open_taken_for_closed": counts["open", True],
    }


def _is_closed(stream: FaceStream) -> bool:
    """Whether the eyes are closed, also if since 0 s."""
    tracks = stream._statistics._tracks.values()
    return any(track._eyes.closed_since_s is not None for track in tracks)


def _counts(pipeline: FacePipeline, source: VideoSource) -> dict[str, Any]:
    stream, kinds = FaceStream(pipeline, StreamSettings(expressions=False)), Counter[str]()
    halved, halved_blinks, closures = FaceStream(pipeline, stream.settings), 0, []
    for frame in source.frames():
        if frame.index % 2 == 0:
            halved.update(frame.image, frame.timestamp_s)
            halved_blinks += sum(event.kind == "blink" for event in halved.events)
        stream.update(frame.image, frame.timestamp_s)
        kinds.update(event.kind for event in stream.events)
        closures += [e.details["duration_s"] for e in stream.events if e.kind == "closure"]
    closures += [e.details["duration_s"] for e in stream.finish() if e.kind == "closure"]
    return {
        "blinks": kinds["blink"],
        "blinks_at_half_the_rate": halved_blinks,
        "yawns": kinds["yawn"],
        "closures_s": closures,
    }


def _by_rendered(file: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in MODELS}
    builder = FacePipeline(landmarks="face-landmarker")
    pipelines = {name: FacePipeline(landmarks=name) for name in MODELS}
    photographs = [path for path in sample_paths() if path.stem.endswith("-neutral")][:HEADS]
    sums = {(name, yaw): Counter[str]() for name in MODELS for yaw in YAWS_DEG}
    for number, path in enumerate(photographs):
        identity = np.random.default_rng(number).normal(0, 0.7, 20).tolist()
        head = MovableHead(file, identity, builder, read_image(path))
        for yaw in YAWS_DEG:
            streams = {
                name: FaceStream(pipeline, StreamSettings(expressions=False))
                for name, pipeline in pipelines.items()
            }
            heard: dict[str, list[float]] = {name: [] for name in MODELS}
            for timestamp_s, picture in _rendered(head, yaw, number):
                for name, stream in streams.items():
                    stream.update(picture, timestamp_s)
                    counts = sums[name, yaw]
                    counts["frames"] += 1
                    looks_down = LOOK_DOWN_S[0] + 0.2 <= timestamp_s <= LOOK_DOWN_S[1] - 0.2
                    counts["looks_down"] += looks_down
                    counts["looks_down_taken_for_closed"] += looks_down and _is_closed(stream)
                    heard[name] += [e.timestamp_s for e in stream.events if e.kind == "blink"]
            for name, times in heard.items():
                matched = sum(any(-0.1 < t - blink < 0.5 for t in times) for blink in BLINKS_S)
                sums[name, yaw]["blinks_found"] += matched
                sums[name, yaw]["false_blinks"] += len(times) - matched
    for (name, yaw), counts in sums.items():
        facts = {
            "yaw_deg": yaw,
            "heads": len(photographs),
            "minutes": round(counts.pop("frames") / FRAME_RATE / 60, 2),
        }
        true = {"true_blinks": len(BLINKS_S) * len(photographs)}
        found[name].append(facts | true | dict(counts))
    return found


def _rendered(head: MovableHead, yaw: float, seed: int) -> Iterator[tuple[float, Image]]:
    """Times and pictures of one clip."""
    random = np.random.default_rng(seed)
    lengths_s = random.uniform(0.2, 0.3, len(BLINKS_S))
    for number in range(FRAME_RATE * SECONDS):
        now = number / FRAME_RATE
        closed = max(
            math.sin(math.pi * min(1.0, max(0.0, (now - start) / length)))
            for start, length in zip(BLINKS_S, lengths_s, strict=True)
        )
        ramp = min(now - LOOK_DOWN_S[0], LOOK_DOWN_S[1] - now) / 0.2
        down_deg = 20 * min(1.0, max(0.0, ramp))
        talk = 0.25 * max(0.0, math.sin(2 * math.pi * 3 * now)) * (math.sin(now) > 0)
        # The lids of some identities do not meet at 1.
        blink = 1.3 * closed
        shapes = {"eyeBlink_L": blink, "eyeBlink_R": blink, "jawOpen": talk}
        sway = 3 * math.sin(now)
        picture = head.render(shapes, yaw + sway, sway / 2, 0, gaze_deg=(0, -down_deg))
        noisy = picture + random.normal(0, 3, picture.shape)
        yield now, noisy.clip(0, 255).astype(np.uint8)
