"""Make `quick`: a narrower copy of `transfer` in 8-bit integers, without training.

    python tools/make_quick.py ferplus.npz quick/ --photographs lfw-more

1. *Channels.* From input to output those channels of each layer are kept that predict the others
   best (greedy choice, on what the next layer computes from them), and the layer's weights are
   fitted by least squares so that the kept channels, computed from the narrower layer before, are
   what they were.
2. *Integers.* The convolutions are quantized (`mien.runtime.quantization`).
3. *Head.* The last layer is fitted by ridge regression, so that the logits are the mean of those
   that `transfer` gives a face and its mirror image: on faces of the train split, and on
   photographs that need no labels.

Temperature, threshold and figures are measured on the valid split, as for trained models.
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from mien import imaging
from mien.evaluation.readers import read_data
from mien.expression.crop import face_crop
from mien.expression.neural import NeuralClassifier
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.runtime.embedding import EMBEDDING
from mien.runtime.quantization import quantize
from mien.runtime.session import Session
from mien.training import export, publish
from mien.training.dataset import MAIN_HEAD, TrainingData, load_training_data
from mien.training.networks import build_network
from mien.training.pretrained import load_start
from mien.training.recipe import Recipe, load_recipe, recipe_path
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
    parser.add_argument("--faces", type=int, default=4000, help="to fit the head on")
    options = parser.parse_args()
    path = recipe_path(BASE)
    recipe, pipeline = load_recipe(path), FacePipeline(model=BASE, prior="natural")
    data = load_training_data(options.data, recipe, pipeline, crops=None, seed=0)
    rows = np.random.default_rng(0).permutation(len(data.train))
    crops = [data.train.aligned(int(row)) for row in rows[: _PRUNED_ON + options.faces]]
    spec = _spec(catalog.find(BASE).spec)
    model = _pruned(recipe, path.parent, data, crops[:_PRUNED_ON], spec)
    batches = (imaging.to_input(part, spec.input) for part in _parts(crops[:_QUANTIZED_ON]))
    model = quantize(model, spec.input.name, batches)
    photographs = _photographs(options.photographs, pipeline) if options.photographs else ()
    entry = export.write_model(model, spec, options.output)
    fit_head(model, Session(entry.path), spec, [*crops[_PRUNED_ON:], *photographs])
    entry = export.write_model(model, spec, options.output)
    valid, truth = data.valid.measured()
    logits = NeuralClassifier(entry, prior="natural").logits(valid)
    complete, *_ = publish._measured(spec, logits, truth, data.name)
    print(export.write_model(model, complete, options.output).spec.metrics)


def _spec(base: ModelSpec) -> ModelSpec:
    """What `quick` shares with the model that it copies."""
    return dataclasses.replace(
        base,
        name="quick",
        file="quick.onnx",
        sha256=None,
        source=f"pruned, quantized and distilled from the model {BASE}: {base.source}",
        training_data=f"{base.training_data}; answers of {BASE} also on photographs from LFW",
        temperature=1.0,
        uncertain_below=0.0,
        metrics={},
    )


def _pruned(
    recipe: Recipe, folder: Path, data: TrainingData, crops: list[Image], spec: ModelSpec
) -> onnx.ModelProto:
    heads = {MAIN_HEAD: len(recipe.network.labels)}
    wide = build_network(recipe.network.architecture, 1, heads, 0.0).eval()
    load_start(wide, recipe, folder, data.train)
    for part in wide.heads[MAIN_HEAD].parameters():
        part.data /= catalog.find(BASE).spec.temperature
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


def fit_head(model: onnx.ModelProto, session: Session, spec: ModelSpec, crops: list[Image]) -> None:
    """Correct the last layer so that it predicts the mean of two views of the model copied.

    Args:
        session: of the same model, before.
    """
    entry = catalog.find(BASE)
    rng = np.random.default_rng(3)
    views = [crop if rng.random() < 0.5 else _mirrored(crop) for crop in crops]
    teacher = Session(entry.path)
    wanted = sum(
        _outputs(teacher, spec, faces)[0] for faces in (views, [_mirrored(v) for v in views])
    ) / (2 * entry.spec.temperature)
    logits, features = _outputs(session, spec, views)
    error = _centered(wanted) - _centered(logits)
    mean = features.mean(axis=0)
    x = features - mean
    square = x.T @ x
    square += _RIDGE * square.diagonal().mean() * np.eye(len(square))
    weight = np.linalg.solve(square, x.T @ (error - error.mean(axis=0))).T
    bias = error.mean(axis=0) - weight @ mean
    for tensor in model.graph.initializer:
        change = {"head.weight": weight, "head.bias": bias}.get(tensor.name)
        if change is not None:
            value = (numpy_helper.to_array(tensor) + change).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def _outputs(session: Session, spec: ModelSpec, crops: list[Image]) -> list[Array]:
    """Logits and embedding."""
    parts = [
        session.run({spec.input.name: imaging.to_input(part, spec.input)}, ("logits", EMBEDDING))
        for part in _parts(crops)
    ]
    return [np.concatenate(values).astype(np.float64) for values in zip(*parts, strict=True)]


def _parts(crops: list[Image]) -> Iterator[list[Image]]:
    return (crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH))


def _mirrored(crop: Image) -> Image:
    return np.ascontiguousarray(crop[:, ::-1])


def _centered(logits: Array) -> Array:
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


if __name__ == "__main__":
    main()
