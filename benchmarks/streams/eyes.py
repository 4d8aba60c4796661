"""Closed eyes, blinks and yawns of streams.

Clips whose frames or blinks were marked by eye, and rendered heads (`rendered_eyes.py`).
"""

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings

sys.path.append(str(Path(__file__).parents[1]))
from rendered_eyes import by_rendered, is_closed

CLOSURES = Path(__file__).parents[1] / "data" / "closures.csv"
# The lids of facemesh show no blinks.
MODELS = ("face-landmarker",)
# Blinks and yawns counted by eye; None where blinks were not counted.
COUNTED: dict[str, tuple[int | None, int]] = {
    "neutral-to-smile.mp4": (1, 0),
    "woman-laughing.mp4": (6, 0),
    "driver-looks-about.avi": (4, 0),
    "driver-yawns.avi": (None, 1),
    "doze-to-end.mp4": (4, 0),
}


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
        for name, figures in by_rendered(head, MODELS).items():
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
            counts[kinds[0] if kinds else "open", is_closed(stream)] += 1
    return {
        "median_size_px": float(np.median(sizes)),
        "closed_frames": counts["closed", True] + counts["closed", False],
        "closed_found": counts["closed", True],
        "open_frames": counts["open", True] + counts["open", False],
        "open_taken_for_closed": counts["open", True],
    }


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
