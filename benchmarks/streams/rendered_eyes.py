"""Blinks, closures and yawns of rendered heads: at several frame rates, in the dark, with glasses.

A head (`movable_head.py`) sways for 19 seconds. It blinks, by 0.12 to 0.3 s, at rest, in a smile
with raised cheeks, with narrowed eyes, and while it talks; winks, which is no blink; looks 20
degrees down for a second, which is no closure; sings a vowel for 2 s, which is no yawn; closes its
eyes for 1.3 s; and yawns.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from movable_head import MovableHead

from mien.landmarks.schemes import MESH_LINES
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.streaming import FaceStream, StreamSettings
from mien.tracking import Event
from mien.types import FloatArray, Image

SECONDS, HEADS = 19, 1
# Start and length in seconds.
BLINKS_S = {
    "at rest": ((0.8, 0.2), (1.6, 0.12), (2.4, 0.3)),
    "smiling": ((4.0, 0.25), (4.6, 0.25)),
    "squinting": ((6.2, 0.25), (6.8, 0.25)),
    "talking": ((9.8, 0.2), (10.4, 0.2)),
}
WINK_S, SMILE_S, SQUINT_S, LOOK_DOWN_S = (2.9, 3.3), (3.4, 5.2), (5.6, 7.4), (7.8, 9.0)
TALK_S, SONG_S, CLOSURE_S, YAWN_S = (9.2, 11.0), (11.2, 13.4), (13.7, 15.0), (15.4, 18.6)


def dark(picture: Image, points: FloatArray | None) -> Image:
    return np.asarray(picture // 8)


def small(picture: Image, points: FloatArray | None) -> Image:
    return np.asarray(cv2.resize(picture, (240, 240), interpolation=cv2.INTER_AREA))


def glasses(picture: Image, points: FloatArray | None) -> Image:
    """Thick dark rims around the eyes that were found in the frame before."""
    if points is None:
        return picture
    worn = picture.copy()
    for line in ("left_eye", "right_eye"):
        eye = points[list(MESH_LINES[line].indices), :2]
        (x, y), wide = eye.mean(axis=0).tolist(), float(np.ptp(eye[:, 0]))
        place, axes = (int(x), int(y + 0.1 * wide)), (int(0.85 * wide), int(0.6 * wide))
        cv2.ellipse(worn, place, axes, 0, 0, 360, (25, 25, 30), max(2, int(0.09 * wide)))
    return worn


Change = Callable[[Image, FloatArray | None], Image]
# Name, yaw in degrees, frames a second, change of the pictures.
VARIANTS: tuple[tuple[str, int, int, Change | None], ...] = (
    ("30 frames a second", 0, 30, None),
    ("60 frames a second", 0, 60, None),
    ("15 frames a second", 0, 15, None),
    ("an eighth of the light", 0, 30, dark),
    ("half of the size", 0, 30, small),
    ("glasses", 0, 30, glasses),
    ("turned by 30°", 30, 30, None),
)


def by_rendered(file: Path, models: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Figures of each landmark model and variant, over all heads."""
    pipelines = {name: FacePipeline(landmarks=name) for name in models}
    builder = FacePipeline(landmarks="face-landmarker")
    sums = {(name, variant[0]): Counter[str]() for name in models for variant in VARIANTS}
    photographs = [path for path in sample_paths() if path.stem.endswith("-neutral")][:HEADS]
    for number, path in enumerate(photographs):
        identity = np.random.default_rng(number).normal(0, 0.7, 20).tolist()
        head = MovableHead(file, identity, builder, read_image(path))
        for yaw in sorted({variant[1] for variant in VARIANTS}):
            own = [variant for variant in VARIANTS if variant[1] == yaw]
            viewers = [
                (sums[name, variant], _Viewer(pipeline, rate, change, number))
                for variant, _, rate, change in own
                for name, pipeline in pipelines.items()
            ]
            for timestamp_s, picture in _render(head, yaw, max(rate for _, _, rate, _ in own)):
                for _, viewer in viewers:
                    viewer.update(timestamp_s, picture)
            for counts, viewer in viewers:
                counts.update(viewer.finish())
    true = {f"blinks {kind}": len(times) * HEADS for kind, times in BLINKS_S.items()}
    return {
        name: [
            {"variant": variant, "heads": HEADS, "seconds": SECONDS * HEADS, "true": true}
            | {"found": dict(sums[name, variant])}
            for variant, *_ in VARIANTS
        ]
        for name in models
    }


class _Viewer:
    """What one stream says of a clip, beside what is true."""

    def __init__(self, pipeline: FacePipeline, rate: int, change: Change | None, seed: int) -> None:
        self._stream = FaceStream(pipeline, StreamSettings(expressions=False))
        self._rate, self._change = rate, change
        self._random = np.random.default_rng(seed)
        self._points: FloatArray | None = None
        self._counts, self._events, self._due_s = Counter[str](), list[Event](), 0.0

    def update(self, timestamp_s: float, picture: Image) -> None:
        if timestamp_s < self._due_s - 1e-6:
            return
        self._due_s += 1 / self._rate
        shown = self._change(picture, self._points) if self._change else picture
        noisy = shown + self._random.normal(0, 3, shown.shape)
        result = self._stream.update(noisy.clip(0, 255).astype(np.uint8), timestamp_s)
        points = result.faces[0].landmarks if result.faces else None
        self._points = None if points is None else points.points
        looks_down = LOOK_DOWN_S[0] + 0.2 <= timestamp_s <= LOOK_DOWN_S[1] - 0.2
        self._counts["looks down"] += looks_down
        self._counts["looks down, closed"] += looks_down and is_closed(self._stream)
        self._events += self._stream.events

    def finish(self) -> Counter[str]:
        """Numbers of what was found by what it is, and of what is false."""
        counts, events = self._counts, [*self._events, *self._stream.finish()]
        blinks = [event.timestamp_s for event in events if event.kind == "blink"]
        matched = 0
        for kind, times in BLINKS_S.items():
            found = sum(any(-0.1 < t - start < 0.5 for t in blinks) for start, _ in times)
            counts[f"blinks {kind}"] += found
            matched += found
        counts["false blinks"] += len(blinks) - matched
        for kind, (start_s, end_s) in (("closure", CLOSURE_S), ("yawn", YAWN_S)):
            starts = [event.details["start_s"] for event in events if event.kind == kind]
            found = min(1, sum(start_s - 0.3 < start < end_s for start in starts))
            counts[f"{kind}s"] += found
            counts[f"false {kind}s"] += len(starts) - found
        return counts


def is_closed(stream: FaceStream) -> bool:
    """Whether the eyes are closed, also if since 0 s."""
    tracks = stream._statistics._tracks.values()
    return any(track._eyes.closed_since_s is not None for track in tracks)


def _render(head: MovableHead, yaw: float, rate: int) -> Iterator[tuple[float, Image]]:
    """Times and pictures of one clip."""
    for number in range(rate * SECONDS):
        now = number / rate
        blink = max(
            math.sin(math.pi * min(1.0, max(0.0, (now - start) / length)))
            for times in BLINKS_S.values()
            for start, length in times
        )
        smile, squint, yawn = _ramp(now, SMILE_S), _ramp(now, SQUINT_S), _ramp(now, YAWN_S, 0.6)
        talk = 0.3 * max(0.0, math.sin(2 * math.pi * 4 * now)) * _ramp(now, TALK_S)
        song = _ramp(now, SONG_S)
        # The lids of some identities do not meet at 1.
        closed = 1.3 * max(blink, _ramp(now, CLOSURE_S, 0.15))
        both = {
            "eyeBlink": max(closed, 0.6 * yawn),
            "mouthSmile": 0.9 * smile,
            "cheekRaiser": 0.8 * smile,
            "cheekSquint": 0.6 * smile,
            "eyeSquint": squint,
        }
        shapes = {f"{name}_{side}": amount for name, amount in both.items() for side in "LR"}
        shapes["eyeBlink_L"] = max(shapes["eyeBlink_L"], 1.3 * _ramp(now, WINK_S, 0.1))
        shapes["jawOpen"] = max(talk, 0.15 * smile, 0.6 * song, 0.95 * yawn)
        shapes["mouthFunnel"] = 0.35 * song
        sway, down_deg = 3 * math.sin(now), 20 * _ramp(now, LOOK_DOWN_S, 0.2)
        yield now, head.render(shapes, yaw + sway, sway / 2, 0, gaze_deg=(0, -down_deg))


def _ramp(now: float, span_s: tuple[float, float], rise_s: float = 0.25) -> float:
    return max(0.0, min(1.0, min(now - span_s[0], span_s[1] - now) / rise_s))
