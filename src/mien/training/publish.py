"""After training: calibrate, export, check, measure, and write the model card and the curves."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from mien import imaging
from mien.errors import SettingError
from mien.evaluation import calibration
from mien.evaluation.dataset import IntArray
from mien.evaluation.figures import Figures, figures
from mien.evaluation.summary import markdown_table
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import resolve_prior, softmax
from mien.runtime.catalog import CatalogEntry
from mien.runtime.preparation import quantize
from mien.runtime.spec import check_model_files
from mien.training import Report, export, no_report
from mien.training.dataset import MAIN_HEAD, SECOND_HEAD, Faces, TrainingData, majority_prior
from mien.training.networks import ExpressionNetwork
from mien.training.recipe import Recipe, bare_spec
from mien.types import FloatArray, ModelSpec

_FORMATS = ("fp32", "fp16", "int8")

# How far an exported file's logits may lie from torch's.
_MAX_LOGIT_DIFFERENCE = {"fp32": 1e-3, "fp16": 5e-2}
_CHECKED = 32
_CALIBRATION_FACES = 512
_CALIBRATION_BATCH = 64


def publish(
    recipe: Recipe,
    network: ExpressionNetwork,
    data: TrainingData,
    folder: Path,
    *,
    name: str,
    formats: Sequence[str] = ("fp32", "fp16"),
    report: Report = no_report,
) -> list[CatalogEntry]:
    """Write every file of a trained model, each with its spec and its measured figures.

    ``name`` is the model's. The first of ``formats`` is written as ``NAME.onnx``, the others as
    ``NAME-FORMAT.onnx``; a second head becomes ``NAME-second.onnx``. The card is ``NAME.md``.

    Raises:
        SettingError: no such format, or a file of another kind has the model's name.
        ModelError: an exported file does not do what the network does.
    """
    check_formats(formats)
    check_model_files(folder, name)
    crops, truth = data.valid.measured()
    spec = _spec(recipe, data, name, data.training_prior)
    float_model = export.to_onnx(network, MAIN_HEAD, spec)
    entries, accuracies = [], []
    for position, wanted in enumerate(formats):
        report(f"exporting {wanted}")
        own_name = name if position == 0 else f"{name}-{wanted}"
        own = dataclasses.replace(spec, name=own_name, file=f"{own_name}.onnx")
        model = _as_format(float_model, wanted, own, data.train)
        entry = export.write_model(model, own, folder)
        if wanted in _MAX_LOGIT_DIFFERENCE:
            tolerance = _MAX_LOGIT_DIFFERENCE[wanted]
            export.check_export(entry, network, MAIN_HEAD, crops[:_CHECKED], tolerance)
        logits = NeuralClassifier(entry, prior="natural").logits(crops)
        complete, natural, uniform = _measured(own, logits, truth, data.name)
        entries.append(export.write_model(model, complete, folder))
        accuracies.append(natural.accuracy)
        if position == 0:
            per_class = _recalls(complete, natural, uniform)
    if SECOND_HEAD in data.valid.truth:
        entries.append(_second(recipe, network, data, folder, name))
    sizes = [entry.path.stat().st_size / 1e6 for entry in entries]
    files = list(zip((e.spec.file for e in entries), sizes, accuracies, strict=False))
    card = _write_card(entries[0].spec, recipe, data.facts, per_class, files)
    (folder / f"{name}.md").write_text(card, encoding="utf-8")
    return entries


def check_formats(formats: Sequence[str]) -> None:
    """Check the formats, before hours are spent on training.

    Raises:
        SettingError: no such format.
    """
    for wanted in formats:
        if wanted not in _FORMATS:
            raise SettingError(f"expected a format of {', '.join(_FORMATS)}, got {wanted!r}")


def _spec(recipe: Recipe, data: TrainingData, name: str, prior: FloatArray) -> ModelSpec:
    return dataclasses.replace(
        bare_spec(recipe),
        name=name,
        file=f"{name}.onnx",
        training_prior=tuple(round(float(share), 5) for share in prior),
        prior="half",
        training_data=recipe.training_data
        or f"{data.facts['train']:,} faces to train on, {data.facts['valid']:,} to measure by",
    )


def _as_format(
    model: onnx.ModelProto, wanted: str, spec: ModelSpec, train: Faces
) -> onnx.ModelProto:
    if wanted == "fp16":
        return export.halve_weights(model)
    if wanted == "int8":
        rng = np.random.default_rng(0)
        rows = rng.permutation(len(train))[:_CALIBRATION_FACES]
        batches = (
            imaging.to_input([train.aligned(int(row)) for row in part], spec.input)
            for part in np.array_split(rows, max(1, len(rows) // _CALIBRATION_BATCH))
        )
        return quantize(model, spec.input.name, batches)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _measured(
    spec: ModelSpec, logits: FloatArray, truth: IntArray, data_name: str
) -> tuple[ModelSpec, Figures, Figures]:
    """The spec with temperature, uncertainty threshold and figures under the data set's name; the
    figures under the natural and under the uniform prior.

    Predictions are uncertain by their probabilities under the spec's own prior.
    """
    temperature = calibration.fit_temperature(logits, truth)
    crossed = calibration.cross_fitted_probabilities(logits, truth)
    _, log_ratio = resolve_prior("default", spec)
    expected = softmax(np.log(np.maximum(crossed, 1e-12)) + (0 if log_ratio is None else log_ratio))
    own, rule = figures(expected, truth), calibration.uncertain_threshold(expected, truth)
    natural, uniform = _both_priors(logits / temperature, truth, spec.training_prior)
    metrics = {
        "accuracy": natural.accuracy,
        "macro_f1": natural.macro_f1,
        "balanced_accuracy_natural": natural.balanced_accuracy,
        f"accuracy_{spec.prior}": own.accuracy,
        f"balanced_accuracy_{spec.prior}": own.balanced_accuracy,
        "balanced_accuracy_uniform": uniform.balanced_accuracy,
        "ece_cross_fitted": figures(crossed, truth).ece,
        "error_at_80_coverage": rule["error_covered"],
    }
    complete = dataclasses.replace(
        _complete(spec, temperature, {f"{data_name}_valid_{k}": v for k, v in metrics.items()}),
        uncertain_below=round(rule["threshold"], 4),
    )
    return complete, natural, uniform


def _complete(spec: ModelSpec, temperature: float, metrics: Mapping[str, float]) -> ModelSpec:
    rounded = {name: round(value, 4) for name, value in metrics.items()}
    return dataclasses.replace(spec, temperature=round(temperature, 4), metrics=rounded)


def _both_priors(
    logits: FloatArray, truth: IntArray, prior: Sequence[float]
) -> tuple[Figures, Figures]:
    """Figures under the natural prior, and moved from it to the uniform one."""
    probabilities = softmax(logits.astype(np.float64))
    return figures(probabilities, truth), figures(probabilities, truth, prior)


def _recalls(spec: ModelSpec, natural: Figures, uniform: Figures) -> list[list[str]]:
    """For each label the number of faces and the share recognized under two priors."""
    counts = natural.matrix.sum(axis=1)
    rows = zip(spec.labels, counts, natural.recall, uniform.recall, strict=True)
    return [[label.value, str(n), _share(a), _share(b)] for label, n, a, b in rows]


def _second(
    recipe: Recipe, network: ExpressionNetwork, data: TrainingData, folder: Path, first_name: str
) -> CatalogEntry:
    """The second head as a model of its own, in float16, for comparison with published figures."""
    crops, truth = data.valid.measured(SECOND_HEAD)
    name = f"{first_name}-second"
    shares = majority_prior(data.train.targets[SECOND_HEAD])
    spec = dataclasses.replace(_spec(recipe, data, name, shares), labels=data.second_labels)
    model = export.halve_weights(export.to_onnx(network, SECOND_HEAD, spec))
    entry = export.write_model(model, spec, folder)
    logits = NeuralClassifier(entry, prior="natural").logits(crops)
    temperature = calibration.fit_temperature(logits, truth)
    natural, uniform = _both_priors(logits / temperature, truth, spec.training_prior)
    metrics = {
        f"{data.name}_valid_second_labels_accuracy": natural.accuracy,
        f"{data.name}_valid_second_labels_balanced_accuracy_uniform": uniform.balanced_accuracy,
    }
    return export.write_model(model, _complete(spec, temperature, metrics), folder)


_INTENDED = """\
Predicts which of {count} expressions a face apparently shows. An expression is how a face looks; it
is no evidence of what a person feels, thinks or intends. Not for decisions about people: not in
hiring, teaching, policing, credit, insurance, or medicine."""


def _write_card(
    spec: ModelSpec,
    recipe: Recipe,
    facts: Mapping[str, int],
    per_class: Sequence[Sequence[str]],
    files: Sequence[tuple[str, float, float]],
) -> str:
    """The model card as Markdown.

    Args:
        per_class: the cells of each row of the table of expressions.
        files: name, size in MB and accuracy of every exported file.
    """
    shares = zip(spec.labels, spec.training_prior, strict=True)
    size = recipe.input.size
    blocks = [
        f"# {spec.name}",
        recipe.summary.capitalize() + ".",
        "## Use",
        _INTENDED.format(count=len(spec.labels)),
        "## Origin",
        f"- Network: {recipe.network.architecture}, {size} x {size} gray\n"
        f"- Start: {recipe.network.start or 'random initialization'}\n"
        f"- Data: {spec.training_data}\n"
        f"- Source: {spec.source}\n"
        f"- License: {spec.license}",
        _named(["rows", "count"], {name: f"{count:,}" for name, count in facts.items()}),
        "Training prior: "
        + ", ".join(f"{label.value} {share:.3f}" for label, share in shares)
        + f". Temperature {spec.temperature:.3f}.",
        "## Measured on the valid split",
        "The best epoch was selected on this split, so the figures are slightly optimistic.",
        _named(["figure", "value"], {name: f"{x:.4g}" for name, x in spec.metrics.items()}),
        markdown_table(
            ["expression", "faces", "recall, natural prior", "recall, uniform prior"], per_class
        ),
        markdown_table(
            ["file", "MB", "accuracy"],
            [[name, f"{size:.2f}", f"{accuracy:.4f}"] for name, size, accuracy in files],
        ),
    ]
    return "\n\n".join(blocks) + "\n"


def _named(header: list[str], values: Mapping[str, str]) -> str:
    rows = [[name.replace("_", " "), value] for name, value in values.items()]
    return markdown_table(header, rows)


def _share(value: float) -> str:
    """A recall; a dash where the valid split has no such face."""
    return "–" if math.isnan(value) else f"{value:.3f}"
