"""Action units of faces by their apparent expression, against the units that belong to it.

    python benchmarks/apparent_movements.py --data ferplus.npz --photographs FOLDER \
        --output benchmarks/results/apparent-movements.json

The data are FER2013's pictures with FER+ votes, training and validation split: faces whose label
has more than half of the votes (single votes dropped), up to 230 of each. They have 48 pixels, and
no one marked their units: it is a check of plausibility on real people, no more. The pairs of
expression and unit are those of EMFACS (Friesen and Ekman 1983) that mien measures. `auc` is the
share of pairs in which a face of the expression has more of the unit than a neutral one, and
`at_limit` that of faces with a value of 0.2 and more, which in neutral faces is mostly false.
FOLDER has photographs with one label each in ``labels.csv`` (``image,expression``), such as those
of muxspace/facial_expressions; nothing was chosen on them.
"""

import argparse
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.landmarks import (
    FaceMesh,
    Region,
    box_from_landmarks,
    build_blendshapes,
    build_landmarks,
    roi_from_landmarks,
)
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.signals import estimate_pose, read_action_units
from mien.types import ACTION_UNITS, Detection, Face, Image

PAIRS = {
    "happiness": ("AU6", "AU12"),
    "surprise": ("AU1", "AU2", "AU5", "AU26"),
    "sadness": ("AU1", "AU4", "AU15"),
    "anger": ("AU4", "AU5", "AU7", "AU23", "AU24"),
    "disgust": ("AU10", "AU15", "AU17"),
    "fear": ("AU1", "AU2", "AU4", "AU5", "AU20", "AU25"),
    "contempt": ("AU12", "AU14"),
}
LIMIT = 0.2
_MOST = 230
_PAD_PX, _SIDE_PX = 10, 272


def measure(file: Path) -> list[tuple[str, dict[str, float]]]:
    """The label and the action units of each face that the landmark network sees."""
    model, blendshapes = build_landmarks("face-landmarker"), build_blendshapes("mesh478")
    assert isinstance(model, FaceMesh)
    assert blendshapes is not None
    found = []
    for image, label in _choose(file):
        padded = cv2.copyMakeBorder(image, *(_PAD_PX,) * 4, cv2.BORDER_REPLICATE)
        gray = cv2.resize(padded, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_CUBIC)
        picture: Image = np.repeat(gray[:, :, None], 3, axis=2)
        region = Region((_SIDE_PX / 2, _SIDE_PX / 2), 0.95 * _SIDE_PX)
        region = roi_from_landmarks(model.predict_region(picture, region))
        landmarks = model.predict_region(picture, region)
        face = Face(
            Detection(box_from_landmarks(landmarks), 1.0),
            landmarks=landmarks,
            blendshapes=blendshapes.predict(landmarks),
        )
        units = read_action_units(face, estimate_pose(landmarks))
        if (landmarks.presence or 0) >= 0.5 and units is not None:
            found.append((label, units))
    return found


def measure_photographs(folder: Path) -> list[tuple[str, dict[str, float]]]:
    """The same of the largest face of each photograph, up to 230 of each label."""
    pipeline = FacePipeline(landmarks="face-landmarker")
    counts, found = Counter[str](), []
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            label = row["expression"]
            if label not in ("neutral", *PAIRS) or counts[label] == _MOST:
                continue
            faces = pipeline.analyze(read_image(folder / row["image"])).faces
            face = max(faces, key=lambda one: one.box.area, default=None)
            if face and face.action_units and face.quality and not face.quality.reasons:
                counts[label] += 1
                found.append((label, dict(face.action_units)))
    return found


def _choose(file: Path) -> list[tuple[Image, str]]:
    with np.load(file) as data:
        images, names = data["images"], [str(name) for name in data["vote_names"]]
        votes = np.where(data["votes"] < 2, 0, data["votes"]).astype(float)
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    random, chosen = np.random.default_rng(0), []
    for number, name in enumerate(names[:8]):
        rows = np.flatnonzero((shares.argmax(axis=1) == number) & (shares.max(axis=1) > 0.5))
        chosen += [(images[row], name) for row in random.permutation(rows)[:_MOST]]
    return chosen


def report(faces: list[tuple[str, dict[str, float]]]) -> dict[str, Any]:
    """Mean values by expression, and how the pairs differ from neutral faces."""
    names, values = ACTION_UNITS, {}
    labels = [label for label in PAIRS if any(name == label for name, _ in faces)]
    for label in ("neutral", *labels):
        own = [units for name, units in faces if name == label]
        values[label] = {
            name: np.array([units[name] for units in own if name in units]) for name in names
        }
    return {
        "faces": {label: len(units["AU1"]) for label, units in values.items()},
        "means": {
            label: {unit: round(float(one.mean()), 3) for unit, one in units.items()}
            for label, units in values.items()
        },
        "at_limit": {
            label: {unit: _at_limit(one) for unit, one in units.items()}
            for label, units in values.items()
        },
        "pairs": {
            label: {
                unit: {
                    "neutral": round(float(values["neutral"][unit].mean()), 2),
                    "mean": round(float(values[label][unit].mean()), 2),
                    "auc": round(_auc(values[label][unit], values["neutral"][unit]), 2),
                }
                for unit in PAIRS[label]
            }
            for label in labels
        },
    }


def _at_limit(values: np.ndarray) -> float:
    return round(float((values >= LIMIT).mean()), 2)


def _auc(more: np.ndarray, less: np.ndarray) -> float:
    larger, equal = more[:, None] > less[None], more[:, None] == less[None]
    return float(larger.mean() + equal.mean() / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    document = report(measure(options.data))
    if options.photographs:
        document["photographs"] = report(measure_photographs(options.photographs))
    text = json.dumps(document, indent=2) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
