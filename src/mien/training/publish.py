"""After training: calibrate, export, check, measure, and write the model card."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from mien import imaging
from mien.errors import SettingError
from mien.evaluation import calibration, figures
from mien.evaluation.dataset import UNLABELED
from mien.expression.neural import NeuralClassifier
from mien.runtime.catalog import CatalogEntry
from mien.training import export
from mien.training.balance import majority_prior
from mien.training.card import write_card
from mien.training.data import TrainingData
from mien.training.faces import MAIN_HEAD, SECOND_HEAD, Faces
from mien.training.networks.heads import ExpressionNetwork
from mien.training.recipe import Recipe, bare_spec
from mien.types import Image, ModelSpec

FORMATS = ("fp32", "fp16", "int8")

_CHECKED = 32
_CALIBRATION_FACES = 512
_CALIBRATION_BATCH = 64


def finish(
    recipe: Recipe,
    network: ExpressionNetwork,
    data: TrainingData,
    folder: Path,
    *,
    name: str,
    formats: Sequence[str] = ("fp32", "fp16"),
    tell: Callable[[str], None],
) -> list[CatalogEntry]:
    """Write every file of a trained model, each with its spec and its measured figures.

    ``name`` is the model's. The first of ``formats`` is written as ``NAME.onnx``, the others as
    ``NAME-FORMAT.onnx``; a second head becomes ``NAME-second.onnx``. The card is ``NAME.md``.

    Raises:
        SettingError: no such format.
        ModelError: an exported file does not do what the network does.
    """
    check_formats(formats)
    counted = np.flatnonzero(data.truth[MAIN_HEAD] != UNLABELED)
    crops, truth = _crops(data.valid, counted), data.truth[MAIN_HEAD][counted]
    spec = _bare_spec(recipe, data, name)
    float_model = export.to_onnx(network, MAIN_HEAD, spec)
    entries, accuracies = [], []
    for position, wanted in enumerate(formats):
        tell(f"exporting {wanted}")
        own_name = name if position == 0 else f"{name}-{wanted}"
        own = dataclasses.replace(spec, name=own_name, file=f"{own_name}.onnx")
        model = _as_format(float_model, wanted, own, data.train)
        entry = export.write_model(model, own, folder)
        if wanted in export.MAX_LOGIT_DIFFERENCE:
            tolerance = export.MAX_LOGIT_DIFFERENCE[wanted]
            export.check_export(entry, network, MAIN_HEAD, crops[:_CHECKED], tolerance)
        logits = NeuralClassifier(entry, prior="natural").logits(crops)
        complete = _measured(own, logits, truth, data.name)
        entries.append(export.write_model(model, complete, folder))
        accuracies.append(complete.metrics[f"{data.name}_valid_accuracy"])
        if position == 0:
            per_class = recalls(complete, logits, truth)
    if SECOND_HEAD in data.truth:
        entries.append(_second(recipe, network, data, folder, name))
    sizes = [entry.path.stat().st_size / 1e6 for entry in entries]
    files = list(zip((e.spec.file for e in entries), sizes, accuracies, strict=False))
    card = write_card(entries[0].spec, recipe, data.facts, per_class, files)
    (folder / f"{name}.md").write_text(card, encoding="utf-8")
    return entries


def check_formats(formats: Sequence[str]) -> None:
    """Refuse what cannot be written, before hours are spent on training.

    Raises:
        SettingError: no such format.
    """
    for wanted in formats:
        if wanted not in FORMATS:
            raise SettingError(f"expected a format of {', '.join(FORMATS)}, got {wanted!r}")


def _bare_spec(recipe: Recipe, data: TrainingData, name: str) -> ModelSpec:
    spec = bare_spec(recipe)
    return dataclasses.replace(
        spec,
        name=name,
        file=f"{name}.onnx",
        training_prior=tuple(round(float(share), 5) for share in data.training_prior),
        training_data=recipe.training_data or _in_words(data.facts),
    )


def _in_words(facts: dict[str, int]) -> str:
    return f"{facts['train']:,} faces to learn from, {facts['valid']:,} to choose by"


def _crops(faces: Faces, rows: npt.NDArray[np.int64]) -> list[Image]:
    return [faces.aligned(int(row)) for row in rows]


def _as_format(
    model: onnx.ModelProto, wanted: str, spec: ModelSpec, train: Faces
) -> onnx.ModelProto:
    if wanted == "fp16":
        return export.halve_weights(model)
    if wanted == "int8":
        from mien.runtime.quantization import quantize

        rng = np.random.default_rng(0)
        rows = rng.permutation(len(train))[:_CALIBRATION_FACES]
        parts = np.array_split(rows, max(1, len(rows) // _CALIBRATION_BATCH))
        batches = (imaging.to_input(_crops(train, part), spec.input) for part in parts)
        return quantize(model, spec.input.name, batches)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _measured(
    spec: ModelSpec, logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], data_name: str
) -> ModelSpec:
    """The spec with temperature, threshold of doubt, and figures under the data set's name."""
    temperature = calibration.fit_temperature(logits, truth)
    crossed = calibration.cross_fitted_probabilities(logits, truth)
    doubt = calibration.uncertain_threshold(crossed, truth)
    natural, uniform = _matrices(spec.training_prior, temperature, logits, truth)
    metrics = {
        "valid_accuracy": float(figures.accuracy(natural)),
        "valid_macro_f1": float(figures.macro_f1(natural)),
        "valid_balanced_accuracy_natural": float(figures.balanced_accuracy(natural)),
        "valid_balanced_accuracy_uniform": float(figures.balanced_accuracy(uniform)),
        "valid_ece_cross_fitted": calibration.cross_fitted_ece(logits, truth),
        "valid_error_at_80_coverage": doubt["error_covered"],
    }
    return dataclasses.replace(
        spec,
        temperature=round(temperature, 4),
        uncertain_below=round(doubt["threshold"], 4),
        metrics=_rounded({f"{data_name}_{name}": value for name, value in metrics.items()}),
    )


def recalls(
    spec: ModelSpec, logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """By label, how many faces there are and the share recognized under two priors."""
    natural, uniform = _matrices(spec.training_prior, spec.temperature, logits, truth)
    by_prior = figures.recall(natural), figures.recall(uniform)
    return {
        label.value: {
            "n": float((truth == index).sum()),
            "recall_natural": float(by_prior[0][index]),
            "recall_uniform": float(by_prior[1][index]),
        }
        for index, label in enumerate(spec.labels)
    }


def _matrices(
    prior: Sequence[float],
    temperature: float,
    logits: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Confusion matrices under the natural and under the uniform prior."""
    calibrated = logits / temperature
    shifted = calibrated - np.log(np.maximum(prior, 1e-6))
    classes = logits.shape[1]
    return (
        figures.confusion_matrix(truth, calibrated.argmax(axis=1), classes),
        figures.confusion_matrix(truth, shifted.argmax(axis=1), classes),
    )


def _second(
    recipe: Recipe, network: ExpressionNetwork, data: TrainingData, folder: Path, first_name: str
) -> CatalogEntry:
    """The second head as a model of its own, in float16, for comparison with published figures."""
    known = np.flatnonzero(data.truth[SECOND_HEAD] != UNLABELED)
    crops, truth = _crops(data.valid, known), data.truth[SECOND_HEAD][known]
    name = f"{first_name}-second"
    shares = majority_prior(data.train.targets[SECOND_HEAD])
    spec = dataclasses.replace(
        _bare_spec(recipe, data, name),
        labels=data.second_labels,
        training_prior=tuple(round(float(share), 5) for share in shares),
    )
    model = export.halve_weights(export.to_onnx(network, SECOND_HEAD, spec))
    entry = export.write_model(model, spec, folder)
    logits = NeuralClassifier(entry, prior="natural").logits(crops)
    temperature = calibration.fit_temperature(logits, truth)
    natural, uniform = _matrices(spec.training_prior, temperature, logits, truth)
    metrics = {
        f"{data.name}_valid_second_labels_accuracy": float(figures.accuracy(natural)),
        f"{data.name}_valid_second_labels_balanced_accuracy_uniform": float(
            figures.balanced_accuracy(uniform)
        ),
    }
    complete = dataclasses.replace(
        spec, temperature=round(temperature, 4), metrics=_rounded(metrics)
    )
    return export.write_model(model, complete, folder)


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in metrics.items()}


def write_config(folder: Path, recipe: Recipe, more: dict[str, Any]) -> None:
    """``config.json``: everything that it takes to run the same again."""
    document = {**more, "recipe": dataclasses.asdict(recipe)}
    text = json.dumps(document, indent=2, default=str) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
