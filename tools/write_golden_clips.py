"""Write client/tests/golden: five made clips and what Python sees in them, and faces with noise.

    python tools/write_golden_clips.py [FOLDER]

A clip is a plan of parts: which portrait is where in each frame, enlarged without interpolation, so
that Python and TypeScript make the same pixels. Tests of the browser library compare its results
with those of Python. The portraits are those of the package.
"""

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien import imaging
from mien.expression.noise import without_noise
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.streaming import FaceStream
from mien.types import FrameResult, Image

TARGET = Path(__file__).resolve().parent.parent / "client/tests/golden"
PORTRAITS = (
    "person-a-neutral", "person-a-smiling", "person-b-neutral", "person-b-smiling",
    "person-c-smiling", "person-d-neutral",
)  # fmt: skip
# Of the nose, the eyes and the mouth, in the scheme mesh468.
POINTS = (1, 33, 263, 61, 291)
SIDE = 180
FRAMES = 45
PER_S = 15
WIDTH, HEIGHT = 400, 240

# left, top, side in the frame, two portraits, and the share of the second in 256ths.
Part = tuple[int, int, int, int, int, int]


def _smile(k: int) -> list[Part]:
    """A smile comes and goes."""
    share = min(256, max(0, 24 * min(k - 8, 40 - k)))
    return [(100 + k // 4, 20, 200, 0, 1, share)]


def _zoom(k: int) -> list[Part]:
    """A face comes closer and smiles."""
    side = 80 + 3 * k
    return [(200 - side // 2, 120 - side // 2, side, 2, 3, min(256, 8 * k))]


def _two(k: int) -> list[Part]:
    """Two people, of whom one leaves the picture and comes back."""
    away = 0 if k < 15 else min(14 * (k - 15), 14 * (42 - k), 220)
    return [(10 + k // 2, 30, 170, 4, 4, 0), (215 + max(0, away), 40, 170, 5, 5, 0)]


def _cut(k: int) -> list[Part]:
    """A cut from one person to another."""
    return [(30, 20, 190, 1, 1, 0)] if k < 22 else [(190, 30, 200, 5, 5, 0)]


def _three(k: int) -> list[Part]:
    """Three small faces that drift, one of which begins to smile."""
    parts = [(8 + k, 60, 120, 2, 3, min(256, 10 * k)), (140, 50 + k, 120, 5, 5, 0)]
    return [*parts, (275 - k // 3, 70, 120, 0, 0, 0)]


CLIPS: dict[str, Callable[[int], list[Part]]] = {
    "smile": _smile, "zoom": _zoom, "two": _two, "cut": _cut, "three": _three,
}  # fmt: skip


def portraits() -> Image:
    """The portraits, (n, 180, 180, 3), RGB."""
    paths = {path.stem: path for path in sample_paths()}
    return np.stack([_square(read_image(paths[name])) for name in PORTRAITS])


def _square(image: Image) -> Image:
    side = min(image.shape[:2])
    left = (image.shape[1] - side) // 2
    part = image[:side, left : left + side]
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)


def frame(parts: list[Part], known: Image) -> Image:
    """The picture of a plan, (240, 400, 3), RGB; parts beyond its border are cut."""
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for left, top, side, first, second, share in parts:
        source = np.arange(side) * SIDE // side
        a, b = (known[k].astype(np.int32)[source][:, source] for k in (first, second))
        mixed = ((a * (256 - share) + b * share) >> 8).astype(np.uint8)
        y, x = (
            slice(max(0, top), min(HEIGHT, top + side)),
            slice(max(0, left), min(WIDTH, left + side)),
        )
        picture[y, x] = mixed[y.start - top : y.stop - top, x.start - left : x.stop - left]
    return picture


def results(name: str, known: Image) -> Iterator[FrameResult]:
    """What a stream sees in a clip, frame by frame."""
    stream = FaceStream(FacePipeline())
    for k in range(FRAMES):
        yield stream.update(frame(CLIPS[name](k), known), k / PER_S)


def golden(name: str, known: Image) -> dict[str, Any]:
    """A clip's plan and its results."""
    return {
        "frames": [CLIPS[name](k) for k in range(FRAMES)],
        "times_s": [k / PER_S for k in range(FRAMES)],
        "faces": [[_face(face) for face in result.faces] for result in results(name, known)],
    }


def _face(face: Any) -> dict[str, Any]:
    document = face.to_dict(landmarks=True)
    return {
        "track_id": face.track_id,
        "label": face.expression.label.value,
        "box": [round(value, 3) for value in document["box"].values()],
        "points": [[round(v, 2) for v in document["landmarks"]["points"][k][:2]] for k in POINTS],
        "probabilities": [round(p, 5) for p in document["expression"]["probabilities"].values()],
    }


def dim_and_noisy(known: Image) -> Image:
    """A clean, a noisy and a dim face, each followed by what is left of it without noise.

    At the end, a dark face and the same with more light.
    """
    gray = cv2.resize(imaging.to_gray(known[1]), (96, 96), interpolation=cv2.INTER_AREA)
    grains = np.random.default_rng(0).normal(0, 1, (3, *gray.shape))
    shown = [gray + 0 * grains[0], gray + 20 * grains[1], 0.15 * gray + 2 * grains[2]]
    crops = [np.clip(np.rint(crop), 0, 255).astype(np.uint8) for crop in shown]
    pairs = [(crop, without_noise(crop)) for crop in crops]
    dark = np.asarray(gray // 8, np.uint8)
    return np.stack([part for pair in (*pairs, (dark, imaging.lit(dark))) for part in pair])


def main() -> None:
    """Write the files, or those in the folder named as argument."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    folder.mkdir(parents=True, exist_ok=True)
    known = portraits()
    (folder / "portraits.gz").write_bytes(gzip.compress(known.tobytes(), mtime=0))
    (folder / "dim-and-noisy.gz").write_bytes(
        gzip.compress(dim_and_noisy(known).tobytes(), mtime=0)
    )
    for name in CLIPS:
        text = json.dumps(golden(name, known), separators=(",", ":"))
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
