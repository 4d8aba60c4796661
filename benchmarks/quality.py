"""Accuracy of an expression model against each measure of image quality.

    python benchmarks/quality.py --data ferplus.npz --output benchmarks/results/quality.json

Images of the valid split of FER+ with a majority vote are made smaller, blurred, darker,
brighter, paler and cut off. They pass through FaceMesh, alignment and the classifier as in the
pipeline, and are measured by `mien.signals.measure`. The data file contains `images`, `votes`,
`vote_names` and `split`. These crops have no face box; it is assumed to be 2.55 eye distances
wide, as from the default detector (mean of 34 portraits, standard deviation 0.14). The limits in
`mien.signals.quality` come from this table.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien import imaging
from mien.expression import build_classifier
from mien.landmarks import FaceMesh, Region, build_landmarks, roi_from_landmarks
from mien.landmarks.schemes import eye_centers
from mien.signals import estimate_pose, measure
from mien.signals.quality import share_within
from mien.types import Box, Detection, Image, Landmarks

SIDE = 48
PADDING = 10
BOX_EYE_DISTANCES = 2.55
MEASURES = ("size_px", "sharpness", "brightness", "yaw_deg", "pitch_deg", "roll_deg", "presence")


def degraded(
    image: Image, rng: np.random.Generator
) -> Iterator[tuple[str, Image, float, int, int]]:
    """Name, image, scale, and the numbers of removed columns and rows on the left and top."""
    levels = image.astype(np.float32)
    yield "as it is", image, 1.0, 0, 0
    for share in (0.75, 0.6, 0.5, 0.4, 0.33, 0.25, 0.2, 0.15):
        side = max(4, round(SIDE * share))
        yield f"size x {share}", imaging.resize(image, (side, side)), side / SIDE, 0, 0
    for sigma in (0.5, 1.0, 1.5, 2.0, 3.0):
        yield f"blur {sigma} px", _image(cv2.GaussianBlur(levels, (0, 0), sigma)), 1.0, 0, 0
    for factor in (0.6, 0.4, 0.25, 0.15, 0.1, 0.06, 0.03):
        noise = rng.normal(0, 1.5, levels.shape)
        yield f"light x {factor}", _image(levels * factor + noise), 1.0, 0, 0
    for factor in (1.4, 1.8, 2.5, 4.0):
        yield f"light x {factor}", _image(levels * factor), 1.0, 0, 0
        yield f"paler x {factor}", _image(255 - (255 - levels) / factor), 1.0, 0, 0
    for cut in (8, 12, 16, 20, 24):
        yield f"left {cut} px cut", image[:, cut:], 1.0, cut, 0
    for cut in (8, 12, 16, 20):
        yield f"top {cut} px cut", image[cut:], 1.0, 0, cut
    for cut in (6, 10, 14, 18):
        yield f"bottom {cut} px cut", image[: SIDE - cut], 1.0, 0, 0


def _image(levels: Any) -> Image:
    return np.clip(levels, 0, 255).astype(np.uint8)


def find_landmarks(mesh: FaceMesh, rgb: Image, region: Region) -> Landmarks:
    first = mesh.predict_region(rgb, region)
    again = roi_from_landmarks(first)
    reliable = first.presence is not None and first.presence > 0.5
    return mesh.predict_region(rgb, again) if reliable and again.distance(region) > 0.08 else first


def detection_of(landmarks: Landmarks) -> Detection:
    left, right = eye_centers(landmarks)
    low, high = landmarks.points[:, :2].min(axis=0), landmarks.points[:, :2].max(axis=0)
    x, y = (float(value) for value in (low + high) / 2)
    half = BOX_EYE_DISTANCES / 2 * float(np.linalg.norm(right - left))
    return Detection(Box(x - half, y - half, x + half, y + half), 1.0)


def run(data: Path, model: str, count: int) -> dict[str, Any]:
    classifier, mesh = build_classifier(model, prior="natural"), build_landmarks()
    if not isinstance(mesh, FaceMesh):
        raise SystemExit("expected FaceMesh landmarks")
    spec = classifier.spec
    template = spec.alignment_for(mesh.scheme)
    if template is None:
        raise SystemExit(f"{model} has no template for {mesh.scheme}")
    labels = [label.value for label in classifier.spec.labels]
    with np.load(data) as arrays:
        names = [str(name) for name in arrays["vote_names"]]
        votes = arrays["votes"].astype(int)
        votes[votes < 2] = 0
        known = np.array([name in labels for name in names])[votes.argmax(axis=1)]
        clear = known & (2 * votes.max(axis=1) > votes.sum(axis=1)) & (arrays["split"] == "valid")
        rows = np.random.default_rng(1).permutation(np.nonzero(clear)[0])[:count]
        images, truth = arrays["images"][rows], votes[rows].argmax(axis=1)
    rng = np.random.default_rng(2)
    table: dict[str, list[list[float]]] = {}
    for image, label in zip(images, truth, strict=True):
        for name, picture, scale, cut_x, cut_y in degraded(image, rng):
            rgb = imaging.as_rgb(picture)
            middle = (SIDE / 2 * scale - cut_x, SIDE / 2 * scale - cut_y)
            region = Region(middle, (SIDE + 2 * PADDING) * scale)
            landmarks = find_landmarks(mesh, rgb, region)
            detection = detection_of(landmarks)
            quality = measure(rgb, detection, landmarks, estimate_pose(landmarks))
            size_wh = spec.input.size_wh
            transform = imaging.alignment_transform(landmarks.points, template, size_wh)
            crop = imaging.warp(rgb, transform, size_wh)
            (scores,) = classifier.classify([crop])
            table.setdefault(name, []).append(
                [
                    scores.top.value == names[label],
                    *(getattr(quality, measure_name) for measure_name in MEASURES),
                    share_within(Box(0, 0, *rgb.shape[1::-1]), detection, landmarks),
                ]
            )
    return summarize(table, count)


def summarize(table: dict[str, list[list[float]]], count: int) -> dict[str, Any]:
    """Accuracy and medians of each degradation, and accuracy by bins of pose and presence."""
    columns = ("accuracy", *MEASURES, "inside")
    variants = {}
    for name, values in table.items():
        rows = np.array(values, np.float64)
        medians = dict(
            zip(columns[1:], np.median(rows[:, 1:], axis=0).round(3).tolist(), strict=True)
        )
        variants[name] = {"accuracy": round(float(rows[:, 0].mean()), 3), **medians}
    whole = np.array(table["as it is"], np.float64)
    bins = {}
    for name, edges in (
        ("yaw_deg", (0, 10, 20, 30, 40, 90)),
        ("pitch_deg", (0, 10, 20, 30, 90)),
        ("roll_deg", (0, 5, 10, 20, 180)),
        ("presence", (0, 0.5, 0.9, 0.99, 1.01)),
    ):
        values = np.abs(whole[:, columns.index(name)])
        bins[name] = [
            {
                "from": low,
                "to": high,
                "faces": int(inside.sum()),
                "accuracy": round(float(whole[inside, 0].mean()), 3) if inside.any() else None,
            }
            for low, high in itertools.pairwise(edges)
            for inside in [(values >= low) & (values < high)]
        ]
    return {"faces": count, "degraded": variants, "as it is, by": bins}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--count", type=int, default=550)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(run(arguments.data, arguments.model, arguments.count), indent=2) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
