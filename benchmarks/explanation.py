"""Faithfulness of `mien explain`: deletion AUC compared with random orders.

    python benchmarks/explanation.py --data ferplus.npz --json benchmarks/results/explanation.json

The 16x16 cells of a grid over each aligned face are blurred, the most salient first, and the
probability of the predicted expression is averaged (the deletion AUC of RISE; lower is
more faithful). The same is done in five random orders of the same cells, so that both remove equal
areas. The difference is paired by face, with a 95 % bootstrap interval over faces. A
second baseline, from the center of the crop outwards, tests whether the position of the face alone
would be as good.
"""

import argparse
import json
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.config import Settings
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.explain import saliency_of_crop
from mien.evaluation.figures import mean_interval
from mien.evaluation.readers import read_data
from mien.expression import ExpressionClassifier
from mien.expression.crop import face_crop, is_trusted, landmarks_of_crop
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import FloatArray, Image

_RANDOM_ORDERS = 5
_CELLS = 16
# Standard deviation over the width of the crop, as in mien.evaluation.explain.
_BLUR = 0.12


def main() -> None:
    """Measure and print."""
    options = _parse()
    data = read_data(options.data).labeled()
    if "valid" in data.split:
        data = data.in_split("valid")
    rng = np.random.default_rng(options.seed)
    pipeline = FacePipeline(Settings(model=options.model, prior=options.prior))
    candidates = rng.permutation(len(data)).tolist()
    with ThreadPoolExecutor(2) as pool:
        rows = [
            row
            for row in pool.map(
                lambda index: measure(data, index, pipeline, options.masks),
                candidates[: options.faces + options.faces // 5],
            )
            if row is not None
        ][: options.faces]
    ours, random, outwards = (np.array(column) for column in zip(*rows, strict=True))
    document: dict[str, Any] = {
        "model": pipeline.classifier.name,
        "prior": pipeline.classifier.prior,
        "data": data.name,
        "faces": len(rows),
        "masks": options.masks,
        "seed": options.seed,
        "processor": platform.processor() or platform.machine(),
        "deletion_auc": float(ours.mean()),
        "deletion_auc_interval": mean_interval(ours),
    }
    for name, other in (("random", random), ("outwards", outwards)):
        document[name] = {
            "deletion_auc": float(other.mean()),
            "difference": float((other - ours).mean()),
            "difference_interval": mean_interval(other - ours),
            "faces_where_ours_is_lower": float((ours < other).mean()),
        }
    print(json.dumps(document, indent=2))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def measure(
    data: LabeledSet, index: int, pipeline: FacePipeline, masks: int
) -> tuple[float, float, float] | None:
    """Deletion AUC of one face by saliency, at random, and outwards; None without landmarks."""
    image = data.load(index)
    landmarks = landmarks_of_crop(image, pipeline.landmarks)
    if not is_trusted(landmarks):
        return None
    classifier = pipeline.classifier
    crop = face_crop(image, None, landmarks, classifier.spec).image
    expression = classifier.classify([crop])[0].top

    def auc(order: np.ndarray) -> float:
        return float(deletion_curve(crop, classifier, expression, order, cells=_CELLS).mean())

    saliency = saliency_of_crop(crop, classifier, expression, masks=masks, seed=index)
    rng = np.random.default_rng(index)
    rows, columns = np.mgrid[:_CELLS, :_CELLS] - (_CELLS - 1) / 2
    return (
        auc(cell_order(saliency, cells=_CELLS)),
        float(np.mean([auc(rng.permutation(_CELLS**2)) for _ in range(_RANDOM_ORDERS)])),
        auc(np.argsort(np.hypot(rows, columns).reshape(-1), kind="stable")),
    )


def deletion_curve(
    crop: Image,
    classifier: ExpressionClassifier,
    expression: Expression,
    order: npt.ArrayLike,
    *,
    cells: int = 16,
    steps: int = 16,
) -> FloatArray:
    """Probability of an expression while places are blurred away in an order.

    A faithful explanation makes it fall quickly: its mean is the deletion AUC of RISE.

    Args:
        crop: aligned, of the model's input size.
        classifier: called on ``steps + 1`` crops.
        expression: whose probability is measured.
        order: ``(cells²,)`` the cells of a grid over the crop, row by row, in the order of removal.
        cells: along each side.
        steps: number of steps.

    Returns:
        ``(steps + 1,)``, from the whole crop to its blur.
    """
    ranks = np.empty(cells * cells, np.int64)
    ranks[np.asarray(order, np.int64)] = np.arange(cells * cells)
    height, width = crop.shape[:2]
    cell_rank = ranks.reshape(cells, cells)[
        np.ix_(np.arange(height) * cells // height, np.arange(width) * cells // width)
    ]
    blurred = np.asarray(cv2.GaussianBlur(crop, (0, 0), _BLUR * crop.shape[1]), np.uint8)
    gone = np.rint(np.linspace(0, cells * cells, steps + 1))
    shown = [cell_rank >= n if crop.ndim == 2 else (cell_rank >= n)[:, :, None] for n in gone]
    scores = classifier.classify([np.where(mask, crop, blurred) for mask in shown])
    return np.array([score[expression] for score in scores], np.float32)


def cell_order(saliency: FloatArray, *, cells: int = 16) -> npt.NDArray[np.int64]:
    """The cells of a grid over a crop, the most salient first: ``(cells²,)``."""
    means = cv2.resize(saliency, (cells, cells), interpolation=cv2.INTER_AREA)
    return np.argsort(-np.asarray(means).reshape(-1), kind="stable")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="face crops: FER+ as .npz or CSV")
    parser.add_argument("--model", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--faces", type=int, default=240)
    parser.add_argument("--masks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
