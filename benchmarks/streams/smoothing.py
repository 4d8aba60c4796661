"""Stability and lag of labels, jitter of landmarks, track ids, and the effect of the baseline.

A flip is a change of the label. The true changes of a synthetic clip (scenes.py) are subtracted.
The lag of a change is the time from the middle of the cross-fade to the first frame with the new
label, if that label lasts for half a second. The added lag is the lag of the smoothed label minus
that of the single-frame label, which a second pass computes in every frame.
"""

import csv
import statistics
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mien import geometry
from mien.labels import Expression
from mien.media.images import read_image
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.types import FrameResult
from scenes import FADE_S, FPS, Script, render, scripts, still

LASTING_S = 0.5
CROWD = Path(__file__).parents[1] / "data" / "crowd-faces.csv"
EVERY_FRAME = StreamSettings(same_look=0)


def flips(labels: list[Expression | None]) -> int:
    seen = [label for label in labels if label is not None]
    return sum(a is not b for a, b in pairwise(seen))


def first_lasting(labels: list[Expression | None], start: int, happy: bool) -> int | None:
    """The first frame from which the label is (or is not) happiness for half a second."""
    need = round(LASTING_S * FPS)
    for index in range(start, len(labels) - need + 1):
        window = labels[index : index + need]
        if all((label is Expression.HAPPINESS) == happy for label in window):
            return index
    return None


def lags_s(script: Script, labels: list[Expression | None]) -> list[float | None]:
    """The lag of each change; None if the labels never show it."""
    ends = (*script.changes_s[1:], script.length_s)
    found: list[float | None] = []
    for number, (middle, end) in enumerate(zip(script.changes_s, ends, strict=True)):
        start, happy = int((middle - FADE_S / 2) * FPS), number % 2 == 0
        index = first_lasting(labels, start, happy)
        # A label that was already there is not a reaction to this change.
        already = (labels[start] is Expression.HAPPINESS) == happy
        late = already or index is None or index / FPS > end
        found.append(None if late or index is None else index / FPS - middle)
    return found


def smoothing(london: Path, media: Path | None, people: int, seed: int) -> dict[str, Any]:
    """Flips and lag of labels, and jitter of landmarks, smoothed against raw."""
    pipeline = FacePipeline()
    clips = []
    for script in scripts(london, people, seed):
        frames = list(render(script))
        raw = [label_of(r, raw=True) for r in follow(FaceStream(pipeline, EVERY_FRAME), frames)]
        results = follow(FaceStream(pipeline), frames)
        held = [label_of(result) for result in results]
        raw_lags, held_lags = lags_s(script, raw), lags_s(script, held)
        pairs = zip(raw_lags, held_lags, strict=True)
        added = [b - a for a, b in pairs if a is not None and b is not None]
        true = len(script.changes_s)
        clips.append(
            {
                "true_changes": true,
                "raw_flips": flips(raw),
                "held_flips": flips(held),
                "raw_false_flips": max(0, flips(raw) - true),
                "held_false_flips": max(0, flips(held) - true),
                "added_lag_s": statistics.median(added) if added else None,
                "raw_missed_changes": sum(lag is None for lag in raw_lags),
                "held_missed_changes": sum(lag is None for lag in held_lags),
                "tracks": len({face.track_id for result in results for face in result}),
            }
        )
    report: dict[str, Any] = {"clips": clips, "synthetic": summarize(clips)}
    report["jitter"] = jitter(pipeline, scripts(london, people, seed)[:10])
    if media is not None:
        report["media"] = {
            name: real_clip(pipeline, media / name)
            for name in ("neutral-to-smile.mp4", "woman-laughing.mp4", "face-then-none.mov")
            if (media / name).is_file()
        }
        crowd_clip = media / "street-crowd-1080p.mp4"
        if crowd_clip.is_file():
            report["crowd"] = crowd(pipeline, crowd_clip)
    return report


def summarize(clips: list[dict[str, Any]]) -> dict[str, Any]:
    lags = [clip["added_lag_s"] for clip in clips if clip["added_lag_s"] is not None]
    sums = {
        key: sum(clip[key] for clip in clips)
        for key in (
            "true_changes",
            "raw_flips",
            "held_flips",
            "raw_false_flips",
            "held_false_flips",
        )
    }
    return {
        **sums,
        "clips": len(clips),
        "median_raw_flips_per_min": statistics.median(clip["raw_flips"] for clip in clips) * 7.5,
        "median_held_flips_per_min": statistics.median(clip["held_flips"] for clip in clips) * 7.5,
        "median_raw_false_flips": statistics.median(clip["raw_false_flips"] for clip in clips),
        "median_held_false_flips": statistics.median(clip["held_false_flips"] for clip in clips),
        "false_flips_cut_by": sums["raw_false_flips"] / max(1, sums["held_false_flips"]),
        "median_added_lag_s": statistics.median(lags),
        "largest_added_lag_s": max(lags),
        "clips_with_a_lag": len(lags),
        "clips_with_raw_false_flips": sum(clip["raw_false_flips"] > 0 for clip in clips),
        "raw_missed_changes": sum(clip["raw_missed_changes"] for clip in clips),
        "held_missed_changes": sum(clip["held_missed_changes"] for clip in clips),
        "clips_with_one_track": sum(clip["tracks"] == 1 for clip in clips),
    }


def jitter(pipeline: FacePipeline, chosen: list[Script]) -> dict[str, float]:
    """Movement of the landmarks of a still, noisy image, in thousandths of the face width."""
    raw, smoothed = [], []
    for script in chosen:
        frames = still(script)
        results = follow(FaceStream(pipeline), frames)
        smoothed_points = np.array([result.faces[0].landmarks.points[:, :2] for result in results])
        single = np.array(
            [
                pipeline.landmarks.predict(image, [result.faces[0].detection])[0].points[:, :2]
                for (image, _), result in zip(frames, results, strict=True)
            ]
        )
        width = float(np.ptp(smoothed_points[0, :, 0]))
        for points, sums in ((single, raw), (smoothed_points, smoothed)):
            sums.append(1000 * float(np.abs(np.diff(points[10:], axis=0)).mean()) / width)
    return {"raw": statistics.median(raw), "smoothed": statistics.median(smoothed)}


def real_clip(pipeline: FacePipeline, path: Path) -> dict[str, Any]:
    frames = [(frame.image, frame.timestamp_s) for frame in VideoSource(path).frames()]
    counting = CountingPipeline()
    results = follow(FaceStream(counting), frames)
    every = follow(FaceStream(pipeline, EVERY_FRAME), frames)
    seen = [result for result in results if result.faces]
    minutes = frames[-1][1] / 60
    raw, held = [label_of(r, raw=True) for r in every], [label_of(r) for r in results]
    every_held = [label_of(r) for r in every]
    return {
        "frames": len(results),
        "frames_with_a_face": len(seen),
        "tracks": len({face.track_id for result in results for face in result}),
        "last_seen_s": seen[-1].timestamp_s if seen else None,
        "raw_flips": flips(raw),
        "held_flips": flips(held),
        "raw_flips_per_min": flips(raw) / minutes,
        "held_flips_per_min": flips(held) / minutes,
        "labels": [label for label in dict.fromkeys(held) if label],
        "reading": {
            "share_of_faces_read": counting.read / max(1, sum(len(r) for r in results)),
            "searches": counting.searches,
            **carried(results, every),
            "held_flips_when_all_are_read": flips(every_held),
            "held_labels_differing": sum(a is not b for a, b in zip(held, every_held, strict=True)),
        },
    }


class CountingPipeline(FacePipeline):
    """Counts detector runs and classified faces."""

    read = searches = 0

    def detect(self, image: Any) -> Any:
        self.searches += 1
        return super().detect(image)

    def classify(self, crops: Any) -> Any:
        self.read += len(crops)
        return super().classify(crops)


def carried(some: list[FrameResult], every: list[FrameResult]) -> dict[str, float]:
    """Difference between reused raw probabilities and those of classifying every frame.

    Half of the sum of absolute differences (0: equal, 1: disjoint), and for comparison the
    difference between consecutive frames when every frame is classified.
    """
    pairs = [
        (a.faces[0].expression_raw, b.faces[0].expression_raw)
        for a, b in zip(some, every, strict=True)
        if len(a) and len(b)
    ]
    apart = [float(np.abs(a.probabilities - b.probabilities).sum() / 2) for a, b in pairs]
    steps = [
        float(np.abs(a.probabilities - b.probabilities).sum() / 2)
        for (_, a), (_, b) in pairwise(pairs)
    ]
    return {
        "mean_difference": float(np.mean(apart)),
        "difference_95_percent": float(np.percentile(apart, 95)),
        "mean_step_between_frames": float(np.mean(steps)),
        "raw_labels_differing": sum(a.top is not b.top for a, b in pairs),
    }


def crowd(pipeline: FacePipeline, path: Path) -> dict[str, Any]:
    """Track ids of the people in the hand-annotated frames of a street."""
    marked = defaultdict(list)
    with CROWD.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["person"]:
                box = [float(row[side]) for side in ("x_min", "y_min", "x_max", "y_max")]
                marked[int(row["frame"])].append((row["person"], box))
    stream, numbers = FaceStream(pipeline), defaultdict(list)
    for frame in VideoSource(path).frames():
        faces = stream.update(frame.image, frame.timestamp_s).faces
        people = marked.get(frame.index, [])
        if faces and people:
            boxes = [face.box.to_array() for face in faces]
            overlaps = geometry.box_iou([box for _, box in people], boxes)
            for (person, _), shares in zip(people, overlaps, strict=True):
                if shares.max() >= 0.3:
                    numbers[person].append(faces[int(shares.argmax())].track_id)
    owners = defaultdict(set)
    for person, ids in numbers.items():
        for track_id in ids:
            owners[track_id].add(person)
    return {
        "people_followed": len(numbers),
        "numbers_of_each": dict(numbers),
        "numbers_that_changed_person": sum(len(people) > 1 for people in owners.values()),
    }


def follow(stream: FaceStream, frames: Any) -> list[FrameResult]:
    return [stream.update(image, timestamp_s) for image, timestamp_s in frames]


def label_of(result: FrameResult, *, raw: bool = False) -> Expression | None:
    if not result.faces:
        return None
    face = result.faces[0]
    scores = face.expression_raw if raw else face.expression
    return None if scores is None else scores.label


def baseline(london: Path, people: int, seed: int) -> dict[str, Any]:
    """Predictions for neutral and smiling faces with and without the resting-face baseline.

    The two parameters of the rule are fixed and not fitted. Each person has four seconds of
    rest with noise and movement, then two seconds of smiling; the end of each part counts.
    """
    pipeline = FacePipeline()
    counts: dict[str, dict[str, int]] = {}
    rng = np.random.default_rng(seed)
    names = sorted(path.name for path in (london / "neutral").glob("*.jpg"))
    for name in rng.choice(names, min(people, len(names)), replace=False):
        photographs = tuple(read_image(london / kind / name) for kind in ("neutral", "happiness"))
        script = Script((photographs[0], photographs[1]), (4.0,), 6.0, int(rng.integers(1 << 31)))
        frames = [frame for n, frame in enumerate(render(script)) if n % 2 == 0]
        for kind, on in (("off", False), ("on", True)):
            results = follow(FaceStream(pipeline, StreamSettings(baseline=on)), iter(frames))
            sums = counts.setdefault(kind, {"neutral": 0, "happiness": 0, "people": 0})
            sums["people"] += 1
            sums["neutral"] += at(results, 3.7) is Expression.NEUTRAL
            sums["happiness"] += at(results, 5.9) is Expression.HAPPINESS
    return counts


def at(results: list[FrameResult], timestamp_s: float) -> Expression | None:
    """The label at the last frame up to a time."""
    return label_of([result for result in results if (result.timestamp_s or 0) <= timestamp_s][-1])
