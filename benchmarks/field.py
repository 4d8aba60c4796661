"""Faces where people really bring them: cut by a border, small in large pictures, turned.

    python benchmarks/field.py border LONDON
    python benchmarks/field.py large
    python benchmarks/field.py rotation LONDON
    python benchmarks/field.py cuts LONDON
    python benchmarks/field.py memory

LONDON is a folder with `neutral` and `happiness` of the Face Research Lab London Set. Each command
prints a table and writes it to benchmarks/results/field-NAME.json.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from mien import FacePipeline, FaceStream, StreamSettings
from mien.media.images import read_image
from mien.samples import sample_paths
from mien.types import Box, Face, Image

RESULTS = Path(__file__).parent / "results"
CUT_SHARE = 0.35
SIDES = ("left", "top", "right", "bottom")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("border", "large", "rotation", "cuts", "memory"))
    parser.add_argument("london", nargs="?", type=Path)
    parser.add_argument("--every", type=int, default=1, help="use every Nth person")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[12, 50, 99])
    arguments = parser.parse_args()
    if arguments.kind in ("border", "rotation", "cuts") and arguments.london is None:
        parser.error(f"{arguments.kind}: add the folder of the London set")
    if arguments.kind == "border":
        rows = border(FacePipeline(), arguments.london, arguments.every)
    elif arguments.kind == "large":
        rows = large(FacePipeline(), arguments.megapixels)
    elif arguments.kind == "rotation":
        rows = rotation(FacePipeline(), arguments.london, arguments.every)
    elif arguments.kind == "cuts":
        rows = cuts(FacePipeline(), arguments.london, arguments.every)
    else:
        rows = memory()
    print("  ".join(f"{name:>12}" for name in rows[0]))
    for row in rows:
        print("  ".join(f"{_shown(value):>12}" for value in row.values()))
    path = RESULTS / f"field-{arguments.kind}.json"
    path.write_text(json.dumps(rows, indent=1) + "\n")


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def border(pipeline: FacePipeline, london: Path, every: int) -> list[dict[str, Any]]:
    """Faces of which 35 % is cut away at one side, alone and beside a whole face."""
    neutral = sorted((london / "neutral").glob("*.jpg"))[::every]
    portraits = [_portrait(pipeline, path) for path in neutral]
    rows = []
    for side in SIDES:
        alone = beside = together = 0
        for number, (image, box) in enumerate(portraits):
            part, face = cut(image, box, side)
            alone += _finds(pipeline, part, face)
            whole = portraits[(number + 1) % len(portraits)][0]
            joined, face = join(part, face, whole, side)
            beside += _finds(pipeline, joined, face)
            together += len(pipeline.analyze(joined).faces) == 2
        rows.append(
            {"side": side, "people": len(portraits), "alone": alone, "beside": beside}
            | {"exactly both": together}
        )
    return rows


def _portrait(pipeline: FacePipeline, path: Path) -> tuple[Image, Box]:
    """A person in a picture 400 pixels high, with the box of the face."""
    image = read_image(path)
    scale = 400 / image.shape[0]
    size_wh = round(image.shape[1] * scale), 400
    image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return image, pipeline.analyze(image).faces[0].box


def cut(image: Image, box: Box, side: str) -> tuple[Image, Box]:
    """The picture without everything beyond a line through the face."""
    height, width = image.shape[:2]
    left = round(box.x_min + CUT_SHARE * box.width) if side == "left" else 0
    top = round(box.y_min + CUT_SHARE * box.height) if side == "top" else 0
    right = round(box.x_max - CUT_SHARE * box.width) if side == "right" else width
    bottom = round(box.y_max - CUT_SHARE * box.height) if side == "bottom" else height
    part = np.ascontiguousarray(image[top:bottom, left:right])
    return part, Box(box.x_min - left, box.y_min - top, box.x_max - left, box.y_max - top)


def join(part: Image, box: Box, whole: Image, side: str) -> tuple[Image, Box]:
    """A cut picture and a whole one beside each other, the cut at the border."""
    upright = side in ("left", "right")
    height, width = part.shape[:2]
    scale = height / whole.shape[0] if upright else width / whole.shape[1]
    size_wh = (round(whole.shape[1] * scale), height) if upright else (
        width, round(whole.shape[0] * scale)
    )  # fmt: skip
    other = cv2.resize(whole, size_wh, interpolation=cv2.INTER_AREA)
    first = side in ("left", "top")
    joined = np.concatenate([part, other] if first else [other, part], axis=1 if upright else 0)
    x = 0 if first or not upright else size_wh[0]
    y = 0 if first or upright else size_wh[1]
    return joined, Box(box.x_min + x, box.y_min + y, box.x_max + x, box.y_max + y)


def _finds(pipeline: FacePipeline, image: Image, box: Box) -> bool:
    reach = 0.5 * max(box.width, box.height)
    faces = pipeline.analyze(image).faces
    return any(math.dist(face.box.center, box.center) < reach for face in faces)


def large(pipeline: FacePipeline, megapixels: list[float]) -> list[dict[str, Any]]:
    """25 copies of the sample with four faces, spread over square pictures."""
    (group,) = (path for path in sample_paths() if path.stem == "group")
    sample = read_image(group)
    sizes = [face.quality.size_px for face in pipeline.analyze(sample).faces if face.quality]
    rows = []
    for size_px in (24, 40, 60, 80):
        scale = size_px / float(np.mean(sizes))
        size_wh = round(sample.shape[1] * scale), round(sample.shape[0] * scale)
        small = cv2.resize(sample, size_wh, interpolation=cv2.INTER_AREA)
        for mp in megapixels:
            side = round(math.sqrt(mp * 1e6))
            image = np.full((side, side, 3), 128, np.uint8)
            for number in range(25):
                x = round((number % 5 + 0.5) * side / 5 - size_wh[0] / 2)
                y = round((number // 5 + 0.5) * side / 5 - size_wh[1] / 2)
                image[y : y + size_wh[1], x : x + size_wh[0]] = small
            started = time.process_time()
            faces = len(pipeline.detect(image, still=True))
            cpu_s = time.process_time() - started
            rows.append({"face px": size_px, "megapixels": mp, "of 100": faces, "cpu_s": cpu_s})
    return rows


def rotation(pipeline: FacePipeline, london: Path, every: int) -> list[dict[str, Any]]:
    """Portraits turned clockwise, compared with themselves upright."""
    paths = [
        path
        for name in ("neutral", "happiness")
        for path in sorted((london / name).glob("*.jpg"))[::every]
    ]
    seen: dict[int, list[tuple[Face | None, str]]] = {angle: [] for angle in range(0, 360, 15)}
    for path in paths:
        image = read_image(path)
        scale = 600 / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for angle_deg, outcomes in seen.items():
            faces = pipeline.analyze(turned(image, angle_deg)).faces
            largest = max(faces, key=lambda face: face.box.width, default=None)
            outcomes.append((largest, path.parent.name))
    upright = [face for face, _ in seen[0]]
    return [_rotation_row(angle_deg, outcomes, upright) for angle_deg, outcomes in seen.items()]


def turned(image: Image, angle_deg: float) -> Image:
    """The picture turned clockwise, on a canvas that holds all of it."""
    height, width = image.shape[:2]
    side = math.ceil(math.hypot(height, width))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle_deg, 1.0)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    background = [float(value) for value in image[:5].reshape(-1, 3).mean(axis=0)]
    return cv2.warpAffine(image, matrix, (side, side), borderValue=background)  # type: ignore[return-value]


def _rotation_row(
    angle_deg: int, outcomes: list[tuple[Face | None, str]], upright: list[Face | None]
) -> dict[str, Any]:
    found = right = same = wrong = 0
    errors_deg = []
    for (face, truth), reference in zip(outcomes, upright, strict=True):
        if face is None or face.expression is None or face.quality is None:
            continue
        found += 1
        right += face.expression.top == truth
        if reference is not None and reference.expression is not None:
            same += face.expression.top == reference.expression.top
        uncertain = face.expression.uncertain or bool(face.quality.reasons)
        wrong += face.expression.top != truth and not uncertain
        if face.quality.roll_deg is not None:
            errors_deg.append(abs((face.quality.roll_deg - angle_deg + 180) % 360 - 180))
    return {
        "turned by": angle_deg,
        "pictures": len(outcomes),
        "found": found,
        "right": right,
        "as upright": same,
        "wrong, sure": wrong,
        "roll error": float(np.median(errors_deg)) if errors_deg else None,
        "roll max": max(errors_deg, default=None),
    }


_FRAME_RATE = 30
_LENGTH_S = 3.0
_CUT_S = 1.5


def _light(kind: str, now: float) -> float:
    """The factor of the brightness at a time."""
    inside = _CUT_S <= now < _CUT_S + 1
    if kind == "shadow of 1 s":
        return 0.5 if inside else 1.0
    if kind == "0.2 darker":
        return 0.8 if now >= _CUT_S else 1.0
    if kind == "flash":
        return 1.8 if abs(now - _CUT_S) < 0.5 / _FRAME_RATE else 1.0
    if kind == "tunnel":
        return max(0.12, min(1.0, abs(now - _CUT_S) / 0.5))
    return 0.15 if "dark" in kind else 1.0


def cuts(pipeline: FacePipeline, london: Path, every: int) -> list[dict[str, Any]]:
    """Cuts between two people before the same background, and changes of light without a cut."""
    paths = sorted((london / "neutral").glob("*.jpg"))[::every]
    people = [_portrait(pipeline, path)[0] for path in paths]
    kinds = ("cut", "cut, dark", "shadow of 1 s", "0.2 darker", "flash", "tunnel", "pan")
    rows = []
    for kind in kinds:
        found = false = right = 0
        for number, person in enumerate(people):
            other = people[(number + 1) % len(people)]
            times_s, tracks = _followed(pipeline, _clip(kind, person, other))
            near = [abs(time_s - _CUT_S) < 1.5 / _FRAME_RATE for time_s in times_s]
            is_cut = kind.startswith("cut")
            found += is_cut and any(near)
            false += len(near) - (is_cut and any(near))
            right += tracks == 1 + is_cut
        rows.append(
            {"change": kind, "clips": len(people), "found": found if is_cut else None}
            | {"false": false, "right tracks": right}
        )
    return rows


def _clip(kind: str, person: Image, other: Image) -> Iterator[tuple[Image, float]]:
    """Noisy frames of 480×400 pixels that sway by a few pixels, with their times."""
    noise = np.random.default_rng(0)
    for number in range(round(_LENGTH_S * _FRAME_RATE)):
        now = number / _FRAME_RATE
        shown = other if kind.startswith("cut") and now >= _CUT_S else person
        x = 6 * math.sin(2 * now) + (60 * (now - _CUT_S) if kind == "pan" else 0.0)
        matrix = np.array([[1, 0, x + (480 - shown.shape[1]) / 2], [0, 1, 3 * math.sin(now)]])
        frame = cv2.warpAffine(shown, matrix, (480, 400), borderMode=cv2.BORDER_REPLICATE)
        lit = frame * _light(kind, now) + noise.normal(0, 2, frame.shape)
        yield np.clip(lit, 0, 255).astype(np.uint8), now


def _followed(
    pipeline: FacePipeline, frames: Iterator[tuple[Image, float]]
) -> tuple[list[float], int]:
    """The times of scene cuts, and the number of tracks."""
    stream = FaceStream(pipeline, StreamSettings(expressions=False))
    events = []
    for image, now in frames:
        stream.update(image, now)
        events += stream.events
    times_s = [event.timestamp_s for event in events if event.kind == "scene_cut"]
    return times_s, sum(event.kind == "track_started" for event in events)


_MEASURED = """
import sys, threading
from mien.web.inference import InferenceEngine
from mien import FacePipeline

def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

engine = InferenceEngine(FacePipeline())
engine.warm_up()
content = open(sys.argv[1], "rb").read()
before = peak_mb()

def analyze():
    with engine.analyzed(content):
        pass

threads = [threading.Thread(target=analyze) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(before, peak_mb())
"""


def memory() -> list[dict[str, Any]]:
    """Peak memory of a process that analyzes large pictures as the server does, in MB."""
    (group,) = (path for path in sample_paths() if path.stem == "group")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side, suffix in ((7071, ".jpg"), (9900, ".jpg"), (9900, ".png"), (9900, ".tif")):
            path = Path(folder) / f"large{suffix}"
            image = np.full((side, side, 3), 128, np.uint8)
            sample = read_image(group)
            for at in range(100, 6000, 700):
                image[at : at + sample.shape[0], at : at + sample.shape[1]] = sample
            PillowImage.fromarray(image).save(path)
            for at_once in (1, 4):
                command = [sys.executable, "-c", _MEASURED, str(path), str(at_once)]
                before, peak = subprocess.check_output(command, text=True).split()
                rows.append(
                    {"picture": suffix, "side": side, "at once": at_once}
                    | {"before_mb": int(before), "peak_mb": int(peak)}
                )
    return rows


if __name__ == "__main__":
    main()
