"""Accuracy under seven corruptions of face pictures, at five severities each.

The table was fixed before the first model was measured on it: severity 1 is barely visible, at
severity 5 people find the expression hard to recognize. All lengths are relative to the face, so
that a severity means the same for a crop of 48 pixels and for a face in a large photograph.
After Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations", 2019.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from mien import geometry, imaging
from mien.errors import ImageReadError, InputError
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.figures import figures
from mien.evaluation.predict import Progress, choose_face, predict
from mien.evaluation.summary import plain
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import Box, Face, FloatArray, Image

_SEVERITIES: dict[str, tuple[float, float, float, float, float]] = {
    # Standard deviation of the Gaussian, over the side of the face.
    "blur": (0.01, 0.02, 0.03, 0.045, 0.06),
    # Standard deviation in gray levels, of grains 1/48 of the face's side wide.
    "noise": (8, 15, 25, 40, 60),
    # JPEG quality at which the face is stored 48 pixels wide.
    "jpeg": (40, 25, 15, 8, 4),
    # Share of the light that is left, before the noise of the sensor.
    "low_light": (0.5, 0.3, 0.18, 0.1, 0.05),
    # Side in pixels to which the face is reduced.
    "low_resolution": (32, 24, 18, 14, 10),
    # Share of the face's area that a gray block hides.
    "occlusion": (0.08, 0.15, 0.25, 0.35, 0.5),
    # Turn in the image plane in degrees, to a random side.
    "rotation": (10, 20, 35, 70, 150),
}
"""Strength of each corruption at severity 1 to 5."""

_JPEG_FACE_PX = 48
_GRAINS = 48
# Gray levels; a small sensor at high gain.
_READ_NOISE = 2.0


def _corrupt(
    image: Image, kind: str, severity: int, *, seed: int, face: Box | None = None
) -> Image:
    """Corrupt a picture at a severity from 1 to 5.

    The seed is that of noise, place and side; by default the face fills the picture.
    """
    if kind not in _SEVERITIES or not 1 <= severity <= len(_SEVERITIES[kind]):
        raise InputError(
            f"expected a corruption out of {', '.join(_SEVERITIES)} and a severity from 1 to 5, "
            f"got {kind!r} and {severity}"
        )
    face = face or Box(0, 0, image.shape[1], image.shape[0])
    rng = np.random.default_rng([seed, list(_SEVERITIES).index(kind), severity])
    return _CORRUPTIONS[kind](image, _SEVERITIES[kind][severity - 1], face, rng)


def _side(face: Box) -> float:
    return max(face.width, face.height)


def _blur(image: Image, strength: float, face: Box, _: np.random.Generator) -> Image:
    sigma = strength * _side(face)
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.uint8)


def _noise(image: Image, strength: float, face: Box, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    grain = max(1.0, _side(face) / _GRAINS)
    grid = int(np.ceil(height / grain)), int(np.ceil(width / grain)), *image.shape[2:]
    grains = rng.normal(0, strength, grid).astype(np.float32)
    noise = cv2.resize(grains, (width, height), interpolation=cv2.INTER_NEAREST)
    return _to_uint8(image.astype(np.float32) + noise)


def _jpeg(image: Image, strength: float, face: Box, _: np.random.Generator) -> Image:
    scale = min(1.0, _JPEG_FACE_PX / _side(face))
    small = imaging.resize(image, _scaled_wh(image, scale))
    stored = cv2.imencode(".jpg", _swapped(small), [cv2.IMWRITE_JPEG_QUALITY, int(strength)])[1]
    read = cv2.imdecode(stored, cv2.IMREAD_COLOR if image.ndim == 3 else cv2.IMREAD_GRAYSCALE)
    return imaging.resize(_swapped(np.asarray(read, np.uint8)), (image.shape[1], image.shape[0]))


def _low_light(image: Image, strength: float, face: Box, rng: np.random.Generator) -> Image:
    dim = image.astype(np.float32) * strength
    # Shot noise grows with the root of the light; both noises come on top.
    sigma = np.sqrt(_READ_NOISE**2 + 0.1 * dim)
    return _to_uint8(dim + rng.standard_normal(image.shape).astype(np.float32) * sigma)


def _low_resolution(image: Image, strength: float, face: Box, _: np.random.Generator) -> Image:
    scale = min(1.0, strength / _side(face))
    small = imaging.resize(image, _scaled_wh(image, scale))
    return imaging.resize(small, (image.shape[1], image.shape[0]))


def _occlusion(image: Image, strength: float, face: Box, rng: np.random.Generator) -> Image:
    aspect = np.exp(rng.uniform(-0.5, 0.5))
    width = min(face.width, face.width * np.sqrt(strength * aspect))
    height = min(face.height, strength * face.width * face.height / width)
    left = face.x_min + rng.uniform(0, face.width - width)
    top = face.y_min + rng.uniform(0, face.height - height)
    rows = slice(max(0, round(top)), max(0, round(top + height)))
    columns = slice(max(0, round(left)), max(0, round(left + width)))
    hidden = image.copy()
    hidden[rows, columns] = rng.integers(0, 256)
    return hidden


def _rotation(image: Image, strength: float, face: Box, rng: np.random.Generator) -> Image:
    angle_deg = strength * rng.choice([-1, 1])
    turn = geometry.similarity(angle_deg=angle_deg, center=face.center)
    return imaging.warp(image, turn, (image.shape[1], image.shape[0]))


def _scaled_wh(image: Image, scale: float) -> tuple[int, int]:
    return max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))


def _swapped(image: Image) -> Image:
    return np.ascontiguousarray(image[:, :, ::-1]) if image.ndim == 3 else image


def _to_uint8(values: FloatArray) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


_CORRUPTIONS: dict[str, Callable[[Image, float, Box, np.random.Generator], Image]] = {
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "low_light": _low_light,
    "low_resolution": _low_resolution,
    "occlusion": _occlusion,
    "rotation": _rotation,
}


def measure_robustness(
    data: LabeledSet,
    pipeline: FacePipeline,
    *,
    only: Sequence[Expression] | None = None,
    progress: Progress | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy at every severity of every corruption, applied before the picture is analyzed.

    Args:
        data: its pictures are predicted 36 times.
        only: restricts the predictions to some labels.
        seed: of the corruptions; row ``i`` of two models' runs is corrupted alike.

    Returns:
        ``n``, ``clean`` accuracy, ``mean_1_to_3``, ``mean_1_to_5``, ``drop_1_to_3`` (clean minus
        mean), and for each corruption its accuracy and balanced accuracy at severities 1 to 5.
    """
    runs = 1 + sum(len(strengths) for strengths in _SEVERITIES.values())
    done = 0

    def part_of_all(part: int, of: int) -> None:
        if progress is not None:
            progress(done * of + part, runs * of)

    clean = predict(data, pipeline, only=only, progress=part_of_all)
    data = data.take(np.isin(data.names, clean.names))
    faces = None if data.face_crops else _find_faces(data, pipeline)
    done += 1
    table: dict[str, dict[str, Any]] = {}
    for kind, strengths in _SEVERITIES.items():
        accuracies, balanced = [], []
        for severity in range(1, len(strengths) + 1):
            change = _corruption(kind, severity, seed, faces)
            part = predict(data, pipeline, only=only, progress=part_of_all, change=change)
            measured = figures(part.probabilities, part.truth)
            accuracies.append(measured.accuracy)
            balanced.append(measured.balanced_accuracy)
            done += 1
        table[kind] = {
            "strengths": list(strengths),
            "accuracy": accuracies,
            "balanced_accuracy": balanced,
            "mean_1_to_3": float(np.mean(accuracies[:3])),
        }
    every = np.array([facts["accuracy"] for facts in table.values()])
    clean_accuracy = figures(clean.probabilities, clean.truth).accuracy
    summary = {
        "n": len(clean),
        "seed": seed,
        "clean": clean_accuracy,
        "mean_1_to_3": every[:, :3].mean(),
        "mean_1_to_5": every.mean(),
        "drop_1_to_3": clean_accuracy - every[:, :3].mean(),
        "corruptions": table,
    }
    return dict(plain(summary))


def _corruption(
    kind: str, severity: int, seed: int, faces: Sequence[Box | None] | None
) -> Callable[[Image, int], Image]:
    def change(image: Image, index: int) -> Image:
        face = None if faces is None else faces[index]
        return _corrupt(image, kind, severity, seed=seed * 1_000_003 + index, face=face)

    return change


def _find_faces(data: LabeledSet, pipeline: FacePipeline) -> list[Box | None]:
    """The box of each photograph's labeled face, before it is corrupted."""
    found: list[Box | None] = []
    for index in range(len(data)):
        try:
            faces = [Face(detection) for detection in pipeline.detect(data.load(index))]
        except ImageReadError:
            faces = []
        face = choose_face(faces, data.box(index))
        found.append(None if face is None else face.box)
    return found
