"""Expression models end to end: photographs in, the whole pipeline.

    python benchmarks/expression.py --ferplus ferplus.npz --lfw lfw-expressions --london london \
        --json benchmarks/results/expression.json

For each set and each prior: accuracy, and balanced accuracy and macro-F1 over the classes with 30
pictures and more; the wrong answers counted apart as missed face, wrong face and wrong label.

FER+ valid faces are measured three ways: as crops; pasted, 192 pixels wide, into scenes of 640x360
pixels at a random place, turned by up to 15 degrees and scaled by up to 20 %; and with ECE in
five-fold cross-fitting. The scenes are made from the crops with a fixed seed; the pictures are not
kept.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mien import geometry, imaging
from mien.config import Settings
from mien.evaluation.calibration import cross_fitted_probabilities
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.figures import figures
from mien.evaluation.predict import Predictions, predict
from mien.evaluation.readers import read_data
from mien.evaluation.summary import compare, percent, summarize
from mien.expression.crop import face_crop, landmarks_of_crop
from mien.pipeline import FacePipeline
from mien.types import Image

_SCENE_WH = (640, 360)
_FACE_PX = 192
_MAX_TURN_DEG = 15.0
_MAX_SCALE = 0.2
# The part of a FER2013 crop, about its middle, that a detector's box spans.
_BOX_SHARE = 0.8


def predict_in_scenes(data: LabeledSet, pipeline: FacePipeline, seed: int) -> Predictions:
    """Predict every crop of a data set in a scene of its own."""
    # All rows count, so that each keeps its number.
    data = data.relabel(pipeline.classifier.spec.labels).labeled()
    rng = np.random.default_rng(seed)
    side = data.load(0).shape[0]
    places, boxes = [], []
    for _ in range(len(data)):
        scale = _FACE_PX / side * (1 + rng.uniform(-_MAX_SCALE, _MAX_SCALE))
        turn_deg = rng.uniform(-_MAX_TURN_DEG, _MAX_TURN_DEG)
        reach = scale * side * 0.5 * np.abs([np.cos(np.deg2rad(turn_deg)), 0.26]).sum()
        center = [rng.uniform(reach, size - reach) for size in _SCENE_WH]
        middle = (side / 2, side / 2)
        shift = (center[0] - middle[0], center[1] - middle[1])
        places.append(geometry.similarity(scale, turn_deg, shift, middle))
        half = scale * side * _BOX_SHARE / 2
        boxes.append([center[0] - half, center[1] - half, center[0] + half, center[1] + half])
    photographs = replace(
        data,
        name=f"{data.name} in scenes",
        boxes_xyxy=np.array(boxes, np.float32),
        face_crops=False,
    )
    return predict(photographs, pipeline, change=lambda crop, row: _scene(crop, places[row], seed))


def _scene(crop: Image, place: np.ndarray, seed: int) -> Image:
    """A scene with the crop, moved by a transform."""
    crop = imaging.as_rgb(crop)
    scene = _background(np.random.default_rng([seed, int(abs(place).sum() * 1e6)]))
    pasted = imaging.warp(crop, place, _SCENE_WH)
    mask = imaging.warp(np.full_like(crop, 255), place, _SCENE_WH, replicate_border=False)
    return np.where(mask > 127, pasted, scene)


def _background(rng: np.random.Generator) -> Image:
    """A smooth gradient of random tones with a little texture, gray as the faces are."""
    width, height = _SCENE_WH
    tones = rng.integers(30, 226, (3, 4), dtype=np.uint8)
    smooth = imaging.resize(tones, (width, height)).astype(np.float32)
    gray = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    return imaging.as_rgb(gray)


def main() -> None:
    """Measure and print."""
    options = _parse()
    document: dict[str, Any] = {
        "model": options.model,
        "detector": options.detector,
        "seed": options.seed,
        "processor": platform.processor() or platform.machine(),
        "results": [],
    }
    for prior in options.priors:
        pipeline = FacePipeline(
            Settings(model=options.model, prior=prior, detector=options.detector)
        )
        document["model"] = pipeline.classifier.name
        if options.ferplus:
            document["results"] += _ferplus(options, pipeline)
        for path, slices in ((options.lfw, ()), (options.london, ("face_gender", "face_eth"))):
            if path:
                data = _limited(read_data(path), options)
                document["results"].append(_photographs(data, pipeline, slices, options.seed))
    if options.ferplus:
        document["ferplus_ece_cross_fitted"] = _cross_fitted(options)
    _print(document)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _ferplus(options: argparse.Namespace, pipeline: FacePipeline) -> list[dict[str, Any]]:
    valid = _limited(read_data(options.ferplus).labeled().in_split("valid"), options)
    crops = predict(valid, pipeline)
    scenes = predict_in_scenes(valid, pipeline, options.seed)
    pasted = _summary(summarize(scenes, seed=options.seed))
    pasted["against_crops"] = compare(crops, scenes, seed=options.seed)["accuracy"]
    return [_summary(summarize(crops, seed=options.seed)), pasted]


def _photographs(
    data: LabeledSet, pipeline: FacePipeline, slices: Sequence[str], seed: int
) -> dict[str, Any]:
    return _summary(summarize(predict(data, pipeline), slices=slices, seed=seed))


def _cross_fitted(options: argparse.Namespace) -> float:
    """ECE of the bare model, temperature fitted on other folds; near-duplicates share a fold."""
    pipeline = FacePipeline(Settings(model=options.model, prior="natural"))
    valid = _limited(read_data(options.ferplus).labeled().in_split("valid"), options)
    spec = pipeline.classifier.spec
    place = [spec.labels.index(label) for label in valid.labels]
    crops = [valid.load(i) for i in range(len(valid))]
    aligned = [
        face_crop(crop, None, landmarks_of_crop(crop, pipeline.landmarks), spec).image
        for crop in crops
    ]
    # Probabilities under the natural prior are a softmax, whose logarithm serves as its logits.
    scores = pipeline.classifier.classify(aligned)
    logits = np.log(np.maximum([s.probabilities for s in scores], 1e-12))
    truth = np.array(place)[valid.label_index]
    crossed = cross_fitted_probabilities(logits, truth, groups=valid.group, seed=options.seed)
    return figures(crossed, truth).ece


def _limited(data: LabeledSet, options: argparse.Namespace) -> LabeledSet:
    if not 0 < options.limit < len(data):
        return data
    rng = np.random.default_rng(options.seed)
    return data.take(np.sort(rng.permutation(len(data))[: options.limit]))


def _summary(document: dict[str, Any]) -> dict[str, Any]:
    left_out = {reason: entry["count"] for reason, entry in document["left_out"].items()}
    names = (
        "data",
        "mode",
        "prior",
        "n",
        "accuracy",
        "balanced_accuracy",
        "balanced_accuracy_n30",
        "macro_f1_n30",
        "ece",
        "missed",
        "wrong_face",
        "wrong_label",
        "intervals",
        "per_class",
        "slices",
    )
    return {name: document[name] for name in names} | {"left_out": left_out}


def _print(document: dict[str, Any]) -> None:
    print(f"{document['model']}, detector {document['detector']}\n")
    print(
        "| data | prior | n | accuracy | balanced (30+) | macro-F1 (30+) | ECE | missed | "
        "wrong face | wrong label |"
    )
    print("|" + " --- |" * 10)
    for row in document["results"]:
        cells = [
            f"{row['data']} ({row['mode']})",
            row["prior"],
            row["n"],
            percent(row["accuracy"]),
            percent(row["balanced_accuracy_n30"]),
            percent(row["macro_f1_n30"]),
            percent(row["ece"]),
            row["missed"],
            row["wrong_face"],
            row["wrong_label"],
        ]
        print("| " + " | ".join(str(cell) for cell in cells) + " |")
    for row in document["results"]:
        if "against_crops" in row:
            entry = row["against_crops"]
            low, high = (100 * value for value in entry["interval"])
            print(
                f"\nscenes minus crops ({row['prior']}): {100 * entry['difference']:+.1f} points, "
                f"{low:+.1f} to {high:+.1f}"
            )
    if "ferplus_ece_cross_fitted" in document:
        print(f"\nECE, five-fold cross-fitting: {percent(document['ferplus_ece_cross_fitted'])}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ferplus", type=Path, help="FER+ as .npz, or fer2013.csv with its votes")
    parser.add_argument("--lfw", type=Path, help="folder of photographs with labels.csv")
    parser.add_argument("--london", type=Path, help="folders neutral and happiness, info.csv")
    parser.add_argument("--model", default="default")
    parser.add_argument("--detector", default="blazeface")
    parser.add_argument("--priors", nargs="+", default=["natural", "uniform"])
    parser.add_argument("--limit", type=int, default=0, help="pictures of each set; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
