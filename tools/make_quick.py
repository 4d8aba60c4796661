"""Make `quick`: a narrower copy of `transfer` in 8-bit integers, without training.

    python tools/make_quick.py ferplus.npz quick/ --photographs lfw-more

1. *Channels.* From input to output those channels of each layer are kept that predict the others
   best (greedy choice, on what the next layer computes from them), and the layer's weights are
   fitted by least squares so that the kept channels, computed from the narrower layer before, are
   what they were.
2. *Integers.* The convolutions are quantized (`mien.runtime.preparation`).
3. *Head.* The two mixtures of heads (`tools/mix_heads.py`) are fitted by ridge regression, so that
   their logits are the mean of those that `transfer` gives a face and its mirror image: on faces of
   the train split, and on photographs that need no labels.

Threshold and figures are measured on the valid split. `--narrow` starts from a model that has had
the first two steps.
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch

import mix_heads
from mien import imaging
from mien.evaluation.readers import read_data
from mien.expression.crop import face_crop
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.runtime.preparation import quantize
from mien.runtime.session import Session
from mien.runtime.spec import EMBEDDING
from mien.training import export
from mien.training.dataset import MAIN_HEAD, TrainingData, load_training_data
from mien.training.networks import build_network
from mien.training.recipe import Recipe, load_recipe, recipe_path
from mien.training.transfer import load_start
from mien.types import Image, ModelSpec
from prune_network import prune

Array = npt.NDArray[np.float64]

BASE = "transfer"
WIDTHS = (24, 48, 112, 112, 208, 208, 432, 432, 432, 432, 432, 432, 864, 1024)
# The first maps are large, so few faces have enough places to fit on.
_PRUNED_ON, _QUANTIZED_ON, _PHOTOGRAPHS = 800, 512, 1500
_RIDGE = 1e-2
_BATCH = 64


def main() -> None:
    """Prune, quantize, fit the head, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="as for `mien train`")
    parser.add_argument("output", type=Path, help="folder for the model and its sidecar")
    parser.add_argument("--photographs", type=Path, help="folder of photographs with a face each")
    parser.add_argument("--narrow", type=Path, help="model whose last layer only is to be fitted")
    parser.add_argument("--faces", type=int, default=4000, help="to fit the head on")
    options = parser.parse_args()
    path = recipe_path(BASE)
    recipe, pipeline = load_recipe(path), FacePipeline(model=BASE, prior="natural")
    data = load_training_data(options.data, recipe, pipeline, crops=None, seed=0)
    rows = np.random.default_rng(0).permutation(len(data.train))
    crops = [data.train.aligned(int(row)) for row in rows[: _PRUNED_ON + options.faces]]
    spec = _spec(catalog.find(BASE).spec)
    if options.narrow:
        model = onnx.load(options.narrow)
    else:
        model = _pruned(recipe, path.parent, data, crops[:_PRUNED_ON], spec)
        batches = (imaging.to_input(part, spec.input) for part in _parts(crops[:_QUANTIZED_ON]))
        model = quantize(model, spec.input.name, batches)
    photographs = _photographs(options.photographs, pipeline) if options.photographs else ()
    entry = export.write_model(model, spec, options.output)
    heads = fit_heads(Session(entry.path), spec, [*crops[_PRUNED_ON:], *photographs])
    mix_heads.replace_head(model, spec, heads)
    mix_heads.write(model, spec, entry.path)
    complete = mix_heads.measured(entry.path, options.data)
    mix_heads.write(model, complete, entry.path)
    print(complete.metrics)


def _spec(base: ModelSpec) -> ModelSpec:
    """What `quick` shares with the model that it copies."""
    return dataclasses.replace(
        base,
        name="quick",
        file="quick.onnx",
        sha256=None,
        source=f"pruned, quantized and distilled from the model {BASE}: {base.source}",
        training_data=f"{base.training_data}; answers of {BASE} also on photographs from LFW",
        uncertain_below=0.0,
        metrics={},
    )


def _pruned(
    recipe: Recipe, folder: Path, data: TrainingData, crops: list[Image], spec: ModelSpec
) -> onnx.ModelProto:
    heads = {MAIN_HEAD: len(recipe.network.labels)}
    wide = build_network(recipe.network.architecture, 1, heads, 0.0).eval()
    load_start(wide, recipe, folder, data.train)
    narrow = build_network(recipe.network.architecture, 1, heads, 0.0, widths=WIDTHS).eval()
    prune(wide, narrow, torch.from_numpy(imaging.to_input(crops, spec.input)))
    return export.to_onnx(narrow, MAIN_HEAD, spec)


def _photographs(folder: Path, pipeline: FacePipeline) -> Iterator[Image]:
    """The aligned largest face of each photograph."""
    data = read_data(folder)
    for row in range(min(len(data), _PHOTOGRAPHS)):
        image = imaging.as_rgb(data.load(row))
        found = pipeline.analyze(image).faces
        if found:
            face = max(found, key=lambda face: face.box.width * face.box.height)
            yield face_crop(image, face.box, face.landmarks, pipeline.classifier.spec).image


def fit_heads(
    session: Session, spec: ModelSpec, crops: list[Image]
) -> dict[str, tuple[Array, Array]]:
    """The mixtures of heads, corrected so that they predict the mean of two views of `transfer`."""
    rng = np.random.default_rng(3)
    views = [crop if rng.random() < 0.5 else _mirrored(crop) for crop in crops]
    teacher = Session(catalog.find(BASE).path)
    seen = sum(_embedding(teacher, spec, v) for v in (views, [_mirrored(v) for v in views])) / 2
    features = _embedding(session, spec, views)
    mean = features.mean(axis=0)
    x = features - mean
    square = x.T @ x
    square += _RIDGE * square.diagonal().mean() * np.eye(len(square))
    shares = (mix_heads.parse_shares(text) for text in (mix_heads.SMALL, mix_heads.SHARP))
    fitted = {}
    for name, (weight, bias) in mix_heads.mixtures(*shares).items():
        error = (seen - features) @ weight.T
        change = np.linalg.solve(square, x.T @ (error - error.mean(axis=0))).T
        fitted[name] = weight + change, bias + error.mean(axis=0) - change @ mean
    return fitted


def _embedding(session: Session, spec: ModelSpec, crops: list[Image]) -> Array:
    parts = [
        session.run({spec.input.name: imaging.to_input(part, spec.input)}, (EMBEDDING,))[0]
        for part in _parts(crops)
    ]
    return np.concatenate(parts).astype(np.float64)


def _parts(crops: list[Image]) -> Iterator[list[Image]]:
    return (crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH))


def _mirrored(crop: Image) -> Image:
    return np.ascontiguousarray(crop[:, ::-1])


if __name__ == "__main__":
    main()
