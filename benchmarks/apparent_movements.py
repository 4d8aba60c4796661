"""Action units of faces by their apparent expression, against the units that belong to it.

    python benchmarks/apparent_movements.py --data ferplus.npz \
        --output benchmarks/results/apparent-movements.json

The data are FER2013's pictures with FER+ votes, training and validation split: faces whose label
has more than half of the votes (single votes dropped), up to 230 of each. They have 48 pixels, and
no one marked their units: it is a check of plausibility on real people, no more. The pairs of
expression and unit are those of EMFACS (Friesen and Ekman 1983) that mien measures. `auc` is the
share of pairs in which a face of the expression has more of the unit than a neutral one.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.landmarks import (
    FaceMesh,
    Region,
    build_blendshapes,
    build_landmarks,
    roi_from_landmarks,
)
from mien.signals import action_units, mouth_opening
from mien.types import Image

PAIRS = {
    "happiness": ("AU6", "AU12"),
    "surprise": ("AU1", "AU2", "AU5", "AU26"),
    "sadness": ("AU1", "AU4", "AU15"),
    "anger": ("AU4", "AU5", "AU7", "AU23", "AU24"),
    "disgust": ("AU10", "AU15", "AU17"),
    "fear": ("AU1", "AU2", "AU4", "AU5", "AU20", "AU25"),
    "contempt": ("AU12", "AU14"),
}
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
        shapes = blendshapes.predict(landmarks)
        if (landmarks.presence or 0) >= 0.5 and shapes is not None:
            found.append((label, action_units(shapes, mouth_opening(landmarks))))
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
    names, values = list(faces[0][1]), {}
    for label in ("neutral", *PAIRS):
        own = [units for name, units in faces if name == label]
        values[label] = {name: np.array([units[name] for units in own]) for name in names}
    return {
        "faces": {label: len(units["AU1"]) for label, units in values.items()},
        "means": {
            label: {unit: round(float(one.mean()), 3) for unit, one in units.items()}
            for label, units in values.items()
        },
        "pairs": {
            label: {
                unit: {
                    "neutral": round(float(values["neutral"][unit].mean()), 2),
                    "mean": round(float(values[label][unit].mean()), 2),
                    "auc": round(_auc(values[label][unit], values["neutral"][unit]), 2),
                }
                for unit in units
            }
            for label, units in PAIRS.items()
        },
    }


def _auc(more: np.ndarray, less: np.ndarray) -> float:
    larger, equal = more[:, None] > less[None], more[:, None] == less[None]
    return float(larger.mean() + equal.mean() / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    text = json.dumps(report(measure(options.data)), indent=2) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
