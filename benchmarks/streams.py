"""How calm, how quick and how costly streams are.

    python benchmarks/streams.py calm LONDON [--media CLIPS]   flips, lag, jitter, one track each
    python benchmarks/streams.py baseline LONDON               what a resting face's baseline does
    python benchmarks/streams.py cost [--media CLIPS]          CPU per frame, decoding included
    python benchmarks/streams.py soak --minutes 60             memory over a long video

LONDON is the Face Research Lab London Set as folders ``neutral`` and ``happiness`` (DeBruine and
Jones, CC BY 4.0); CLIPS a folder of videos. Each prints JSON, and writes it with --output.

The synthetic clips of `calm`: a person's two photographs, cross-faded over 0.4 s at times drawn at
random, two to four times in eight seconds, under slow movement of the head's picture (sway, zoom,
tilt), flicker, blur that comes and goes, and noise. A flip is a change of the label; the changes
that the clip really has are taken away. The lag of a change is the time from the middle of the
cross-fade to the first frame with the new label that lasts for half a second; the added lag is
that of the smoothed label less that of the label of single frames. Run `cost` under
``taskset -c 0``: it measures the CPU time of the whole process, in rounds that take turns.
"""

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.labels import Expression
from mien.media.images import read_image
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.streaming import FaceStream, StreamSettings
from mien.types import FrameResult

Pixels = npt.NDArray[np.uint8]
SIZE_WH = (640, 360)
FPS = 25
FADE_S = 0.4
LASTING_S = 0.5


@dataclass(frozen=True)
class Script:
    """What a synthetic clip shows: who, and when the look changes."""

    looks: tuple[Pixels, Pixels]
    changes_s: tuple[float, ...]
    length_s: float
    seed: int

    def share(self, timestamp_s: float) -> float:
        """How much of the second look is shown at a time."""
        share = 0.0
        for number, middle in enumerate(self.changes_s):
            ramp = float(np.clip((timestamp_s - middle) / FADE_S + 0.5, 0, 1))
            share += ramp if number % 2 == 0 else -ramp
        return float(np.clip(share, 0, 1))


def scripts(london: Path, people: int, seed: int) -> list[Script]:
    """Clips of people drawn at random."""
    rng = np.random.default_rng(seed)
    names = sorted(path.name for path in (london / "neutral").glob("*.jpg"))
    made = []
    for name in rng.choice(names, people, replace=False):
        looks = tuple(read_image(london / look / name) for look in ("neutral", "happiness"))
        count = int(rng.integers(2, 5))
        slots = np.sort(rng.choice(np.arange(1, 7), count, replace=False))
        changes = tuple(float(slot + rng.uniform(0.25, 0.75)) for slot in slots)
        made.append(Script((looks[0], looks[1]), changes, 8.0, int(rng.integers(1 << 31))))
    return made


def render(script: Script) -> Iterator[tuple[Pixels, float]]:
    """The frames of a clip."""
    rng = np.random.default_rng(script.seed)
    phase = rng.uniform(0, 2 * np.pi, 6)
    looks = [cv2.resize(look, (420, 420), interpolation=cv2.INTER_AREA) for look in script.looks]
    for number in range(round(script.length_s * FPS)):
        now = number / FPS
        share = script.share(now)
        mixed = cv2.addWeighted(looks[0], 1 - share, looks[1], share, 0)
        angle = 4 * np.sin(0.9 * now + phase[0])
        zoom = 0.8 + 0.05 * np.sin(0.5 * now + phase[1])
        turn = cv2.getRotationMatrix2D((210, 210), angle, zoom)
        turn[:, 2] += (
            110 + 25 * np.sin(0.8 * now + phase[2]),
            -30 + 10 * np.sin(1.1 * now + phase[3]),
        )
        canvas = cv2.warpAffine(mixed, turn, SIZE_WH, borderValue=(120, 120, 120))
        if np.sin(1.7 * now + phase[4]) > 0.8:
            canvas = cv2.GaussianBlur(canvas, (0, 0), 2.0)
        light = 1 + 0.06 * np.sin(2.3 * now + phase[5]) + rng.normal(0, 0.01)
        noisy = canvas * light + rng.normal(0, 9, canvas.shape)
        yield noisy.clip(0, 255).astype(np.uint8), now


def flips(labels: list[Expression | None]) -> int:
    seen = [label for label in labels if label is not None]
    return sum(a is not b for a, b in pairwise(seen))


def first_lasting(labels: list[Expression | None], start: int, wanted: bool) -> int | None:
    """The first frame from which on the label is (or is not) happiness for half a second."""
    need = round(LASTING_S * FPS)
    for index in range(start, len(labels) - need + 1):
        window = labels[index : index + need]
        if all((label is Expression.HAPPINESS) == wanted for label in window):
            return index
    return None


def lags_s(script: Script, labels: list[Expression | None]) -> list[float | None]:
    """The lag of each change; None for one that the labels never show."""
    ends = (*script.changes_s[1:], script.length_s)
    found: list[float | None] = []
    for number, (middle, end) in enumerate(zip(script.changes_s, ends, strict=True)):
        start, wanted = int((middle - FADE_S / 2) * FPS), number % 2 == 0
        index = first_lasting(labels, start, wanted)
        # A label that stood there already did not follow this change.
        already = (labels[start] is Expression.HAPPINESS) == wanted
        late = already or index is None or index / FPS > end
        found.append(None if late or index is None else index / FPS - middle)
    return found


def calm(london: Path, media: Path | None, people: int, seed: int) -> dict[str, Any]:
    """Flips and lag of labels, and jitter of landmarks, smoothed against raw."""
    pipeline = FacePipeline()
    clips = []
    for script in scripts(london, people, seed):
        results = follow(FaceStream(pipeline), render(script))
        raw = [label_of(result, raw=True) for result in results]
        held = [label_of(result) for result in results]
        pairs = zip(lags_s(script, raw), lags_s(script, held), strict=True)
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
                "raw_missed_changes": sum(lag is None for lag in lags_s(script, raw)),
                "held_missed_changes": sum(lag is None for lag in lags_s(script, held)),
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
        "raw_missed_changes": sum(clip["raw_missed_changes"] for clip in clips),
        "held_missed_changes": sum(clip["held_missed_changes"] for clip in clips),
        "clips_with_one_track": sum(clip["tracks"] == 1 for clip in clips),
    }


def jitter(pipeline: FacePipeline, chosen: list[Script]) -> dict[str, float]:
    """Movement of the landmarks of a still, noisy picture, in thousandths of the face's width."""
    raw, smoothed = [], []
    for script in chosen:
        rng = np.random.default_rng(script.seed)
        still = cv2.resize(script.looks[0], (360, 360), interpolation=cv2.INTER_AREA)
        canvas = np.full((360, 640, 3), 120, np.uint8)
        canvas[:, 140:500] = still
        frames = [
            ((canvas + rng.normal(0, 9, canvas.shape)).clip(0, 255).astype(np.uint8), n / FPS)
            for n in range(50)
        ]
        results = follow(FaceStream(pipeline), iter(frames))
        calm_points = np.array([result.faces[0].landmarks.points[:, :2] for result in results])
        single = np.array(
            [
                pipeline.landmarks.predict(image, [result.faces[0].detection])[0].points[:, :2]
                for (image, _), result in zip(frames, results, strict=True)
            ]
        )
        width = float(np.ptp(calm_points[0, :, 0]))
        for points, sums in ((single, raw), (calm_points, smoothed)):
            sums.append(1000 * float(np.abs(np.diff(points[10:], axis=0)).mean()) / width)
    return {"raw": statistics.median(raw), "smoothed": statistics.median(smoothed)}


def real_clip(pipeline: FacePipeline, path: Path) -> dict[str, Any]:
    stream = FaceStream(pipeline)
    frames = list(VideoSource(path).frames())
    results = follow(stream, ((frame.image, frame.timestamp_s) for frame in frames))
    seen = [result for result in results if result.faces]
    return {
        "frames": len(results),
        "frames_with_a_face": len(seen),
        "tracks": len({face.track_id for result in results for face in result}),
        "last_seen_s": seen[-1].timestamp_s if seen else None,
        "raw_flips": flips([label_of(result, raw=True) for result in results]),
        "held_flips": flips([label_of(result) for result in results]),
        "labels": [label for label in dict.fromkeys(map(label_of, results)) if label],
    }


def follow(stream: FaceStream, frames: Iterator[tuple[Pixels, float]]) -> list[FrameResult]:
    return [stream.update(image, timestamp_s) for image, timestamp_s in frames]


def label_of(result: FrameResult, *, raw: bool = False) -> Expression | None:
    if not result.faces:
        return None
    face = result.faces[0]
    scores = face.expression_raw if raw else face.expression
    return None if scores is None else scores.label


def baseline(london: Path, people: int, seed: int) -> dict[str, Any]:
    """Neutral and smiling faces read with and without the baseline of each person's rest.

    Nothing is fitted on anyone: the rule's two numbers are fixed. Each person has four seconds of
    rest in noise and movement, and then two of the other look; the last second of each counts.
    """
    pipeline = FacePipeline()
    counts: dict[str, dict[str, int]] = {}
    rng = np.random.default_rng(seed)
    names = sorted(path.name for path in (london / "neutral").glob("*.jpg"))
    for name in rng.choice(names, min(people, len(names)), replace=False):
        looks = tuple(read_image(london / look / name) for look in ("neutral", "happiness"))
        script = Script((looks[0], looks[1]), (4.0,), 6.0, int(rng.integers(1 << 31)))
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


def cost(media: Path | None, repeats: int) -> dict[str, Any]:
    """CPU milliseconds per frame, decoding included, annotation not."""
    pipeline = FacePipeline()
    pipeline.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        clips = {
            "640x360, 1 face": write_scene(Path(folder) / "a.mp4", (640, 360), 1),
            "640x360, 5 faces": write_scene(Path(folder) / "b.mp4", (640, 360), 5),
            "1920x1080, 1 face": write_scene(Path(folder) / "c.mp4", (1920, 1080), 1),
        }
        for name in ("neutral-to-smile.mp4", "woman-laughing.mp4", "street-crowd-1080p.mp4"):
            if media is not None and (media / name).is_file():
                clips[name] = media / name
        calls: dict[str, Callable[[], float]] = {
            name: lambda path=path: cpu_ms_per_frame(pipeline, path) for name, path in clips.items()
        }
        rounds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(repeats):
            for name, call in calls.items():
                rounds[name].append(call())
    return {
        name: {"cpu_ms_per_frame": statistics.median(values), "rounds": values}
        for name, values in rounds.items()
    }


def cpu_ms_per_frame(pipeline: FacePipeline, path: Path) -> float:
    stream, frames = FaceStream(pipeline), 0
    started = time.process_time()
    for frame in VideoSource(path).frames():
        stream.update(frame.image, frame.timestamp_s)
        frames += 1
    return 1000 * (time.process_time() - started) / frames


def write_scene(path: Path, size_wh: tuple[int, int], faces: int, seconds: float = 4.0) -> Path:
    """A clip of the sample people side by side, swaying."""
    import av

    people = [read_image(p) for p in sample_paths() if p.name.startswith("person")]
    chosen = [people[i] for i in (0, 2, 4, 6, 1)][:faces]
    width, height = size_wh
    side = min(height * 3 // 4, width // faces)
    small = [cv2.resize(person[60:500, 100:540], (side, side)) for person in chosen]
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * FPS)):
            canvas = np.full((height, width, 3), 190, np.uint8)
            sway = round(height / 40 * np.sin(number / 12))
            for slot, person in enumerate(small):
                left = slot * (width // faces) + (width // faces - side) // 2
                top = (height - side) // 2 + sway
                canvas[top : top + side, left : left + side] = person
            noise = rng.integers(0, 6, canvas.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(cv2.add(canvas, noise), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def soak(minutes: float) -> dict[str, Any]:
    """Resident memory while a long video of changing people is analysed into a folder."""
    from mien.streaming.video import VideoOptions, VideoProgress, analyze_video

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
    after_a_minute = next(mb for now, mb in samples if now >= 60)
    return {
        "minutes": minutes,
        "frames": outcome.frames,
        "tracks": outcome.tracks,
        "rss_mb_after_1_minute": after_a_minute,
        "rss_mb_at_end": samples[-1][1],
        "growth_mb": samples[-1][1] - after_a_minute,
        "samples": samples,
    }


def write_long_clip(path: Path, minutes: float) -> Path:
    """Ten frames a second of the sample people, each for eight seconds, with pauses between."""
    import av

    people = [
        cv2.resize(read_image(p)[60:500, 100:540], (300, 300))
        for p in sample_paths()
        if p.name.startswith("person")
    ]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE_WH, "yuv420p"
        for number in range(round(minutes * 600)):
            second = number / 10
            canvas = np.full((SIZE_WH[1], SIZE_WH[0], 3), 190, np.uint8)
            if second % 11 < 8:
                left = round(170 + 60 * np.sin(second))
                canvas[30:330, left : left + 300] = people[int(second // 11) % len(people)]
            frame = av.VideoFrame.from_ndarray(canvas, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("calm", "baseline", "cost", "soak"))
    parser.add_argument("london", nargs="?", type=Path)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    if chosen.what in ("calm", "baseline") and chosen.london is None:
        parser.error(f"{chosen.what} needs the folder of the London set")
    figures = {
        "calm": lambda: calm(chosen.london, chosen.media, chosen.people, chosen.seed),
        "baseline": lambda: baseline(chosen.london, chosen.people, chosen.seed),
        "cost": lambda: cost(chosen.media, chosen.rounds),
        "soak": lambda: soak(chosen.minutes),
    }[chosen.what]()
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    document = json.dumps({"what": chosen.what, **machine, "figures": figures}, indent=2)
    print(document)
    if chosen.output:
        chosen.output.write_text(document + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
