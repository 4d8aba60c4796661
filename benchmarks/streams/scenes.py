"""Synthetic clips of real faces.

Each clip cross-fades two photographs of one person over 0.4 s at random times, two to four times
in eight seconds, with slow movement (sway, zoom, tilt), flicker, intermittent blur, and noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from mien.media.images import read_image
from mien.samples import sample_paths

Pixels = npt.NDArray[np.uint8]
SIZE_WH = (640, 360)
FPS = 25
FADE_S = 0.4


@dataclass(frozen=True)
class Script:
    """The content of a synthetic clip: two photographs and the times of the changes."""

    photographs: tuple[Pixels, Pixels]
    changes_s: tuple[float, ...]
    length_s: float
    seed: int

    def share(self, timestamp_s: float) -> float:
        """Weight of the second photograph at a time."""
        share = 0.0
        for number, middle in enumerate(self.changes_s):
            ramp = float(np.clip((timestamp_s - middle) / FADE_S + 0.5, 0, 1))
            share += ramp if number % 2 == 0 else -ramp
        return float(np.clip(share, 0, 1))


def scripts(london: Path, people: int, seed: int) -> list[Script]:
    """Clips of randomly drawn people."""
    rng = np.random.default_rng(seed)
    names = sorted(path.name for path in (london / "neutral").glob("*.jpg"))
    made = []
    for name in rng.choice(names, people, replace=False):
        photographs = tuple(read_image(london / kind / name) for kind in ("neutral", "happiness"))
        count = int(rng.integers(2, 5))
        slots = np.sort(rng.choice(np.arange(1, 7), count, replace=False))
        changes = tuple(float(slot + rng.uniform(0.25, 0.75)) for slot in slots)
        made.append(
            Script((photographs[0], photographs[1]), changes, 8.0, int(rng.integers(1 << 31)))
        )
    return made


def render(script: Script) -> Iterator[tuple[Pixels, float]]:
    """The frames of a clip."""
    rng = np.random.default_rng(script.seed)
    phase = rng.uniform(0, 2 * np.pi, 6)
    faces = [cv2.resize(p, (420, 420), interpolation=cv2.INTER_AREA) for p in script.photographs]
    for number in range(round(script.length_s * FPS)):
        now = number / FPS
        share = script.share(now)
        mixed = cv2.addWeighted(faces[0], 1 - share, faces[1], share, 0)
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
        grain = 9 * rng.standard_normal(canvas.shape, np.float32)
        noisy = canvas * np.float32(light) + grain
        yield noisy.clip(0, 255).astype(np.uint8), now


def still(script: Script) -> list[tuple[Pixels, float]]:
    """Two seconds of a person's first photograph without movement, with noise."""
    rng = np.random.default_rng(script.seed)
    canvas = np.full((360, 640, 3), 120, np.uint8)
    canvas[:, 140:500] = cv2.resize(script.photographs[0], (360, 360), interpolation=cv2.INTER_AREA)
    return [
        ((canvas + rng.normal(0, 9, canvas.shape)).clip(0, 255).astype(np.uint8), number / FPS)
        for number in range(50)
    ]


def write_scene(path: Path, size_wh: tuple[int, int], faces: int, seconds: float = 4.0) -> Path:
    """A clip of the sample people side by side, swaying."""
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


def write_long_clip(path: Path, minutes: float) -> Path:
    """Ten frames per second of the sample people, each for eight seconds, with pauses."""
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
