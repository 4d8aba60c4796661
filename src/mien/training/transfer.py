"""What other models give to a training: initial weights, and predictions to be learned."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from mien import imaging
from mien.errors import DataError, SettingError
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.labels import Expression
from mien.runtime import catalog
from mien.training import Report, no_report
from mien.training.dataset import MAIN_HEAD, Faces
from mien.training.networks import ExpressionNetwork, folded_pairs
from mien.training.recipe import Recipe
from mien.types import AlignmentTemplate, FloatArray, ModelSpec

# Enough for the statistics of a layer.
_FACES = 2048
_BATCH = 128


def load_start(
    network: ExpressionNetwork, recipe: Recipe, folder: Path, faces: Faces
) -> Collection[str]:
    """Fill a network from the recipe's ``start``.

    Heads and learned pooling that the start does not have keep their random weights. From an
    installed model's head the labels that the recipe has too are copied.

    Args:
        folder: of the recipe, where a relative path starts.
        faces: batch norm, which an exported model no longer has, is restored with the
            statistics of each layer on these.

    Returns:
        The names of the weights that were filled.

    Raises:
        DataError: the start does not hold this network.
        SettingError: the model has another input than the recipe.
        ModelNotFoundError: there is no such file or model.
    """
    name = str(recipe.network.start)
    file = folder / name
    if file.suffix == ".npz":
        state = _read_npz(file)
        _fill(network, state, str(file), optional=())
        return state.keys()
    entry = catalog.find(file if file.is_file() else name)
    _check_input(entry.spec, recipe)
    exported = _read_onnx(entry.path)
    head = {part: exported.pop(f"head.{part}", None) for part in ("weight", "bias")}
    pairs = list(folded_pairs(network))
    state = _unfolded(network, exported, pairs)
    # The scale of a folded norm is 1, as in a new network, until the norm is restored.
    scales = [f"{norm}.weight" for _, norm in pairs]
    _fill(network, state, name, optional=scales)
    _restore_batch_norm(network, pairs, recipe, faces)
    filled = [*state, *scales]
    if all(value is not None for value in head.values()):
        filled += _fill_head(network, head, entry.spec, recipe)
    return filled


@torch.no_grad()
def blend(
    network: ExpressionNetwork, start: ExpressionNetwork, names: Collection[str], share: float
) -> None:
    """Move trained weights part of the way back to their initial values.

    Method: Wortsman et al., "Robust fine-tuning of zero-shot models", 2022.

    Args:
        names: of the weights that had initial values; the others stay as they are.
        share: of the starting weights, in [0, 1].
    """
    started = start.state_dict()
    for name, value in network.state_dict().items():
        if name in names and value.is_floating_point():
            value.lerp_(started[name].to(value), share)


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path) as weights:
            return {name: torch.from_numpy(weights[name]) for name in weights.files}
    except (OSError, ValueError) as error:
        raise DataError(f"expected starting weights in {path}: {error}") from error


def _read_onnx(path: Path) -> dict[str, Tensor]:
    """The weights of an exported model by their names in the network, float16 widened."""
    try:
        graph = onnx.load(path).graph
    except (OSError, ValueError) as error:
        raise DataError(f"expected an ONNX model in {path}: {error}") from error
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {
        name.removesuffix("_fp16"): torch.from_numpy(np.array(value, np.float32))
        for name, value in tensors.items()
        if value.dtype in (np.float16, np.float32) and name.startswith(("trunk.", "head."))
    }


def _check_input(spec: ModelSpec, recipe: Recipe) -> None:
    if spec.task != "expression" or spec.input.name != "image":
        raise SettingError(f"expected an expression network to start from, got {spec.name}")
    own = recipe.input
    if spec.input.mean != (own.mean,) or spec.input.std != (own.std,):
        raise SettingError(
            f"expected [input] mean and std of {spec.input.mean} and {spec.input.std}, as "
            f"{spec.name} was trained with, got {own.mean} and {own.std}"
        )


def _unfolded(
    network: ExpressionNetwork, exported: Mapping[str, Tensor], pairs: list[tuple[str, str]]
) -> dict[str, Tensor]:
    """The exported weights, a folded bias as that of a batch norm which changes nothing else."""
    state = dict(exported)
    for convolution, norm in pairs:
        bias = state.pop(f"{convolution}.bias", None)
        if bias is None:
            continue
        epsilon = float(network.get_submodule(norm).eps)
        state[f"{norm}.bias"] = bias
        state[f"{norm}.running_mean"] = torch.zeros_like(bias)
        state[f"{norm}.running_var"] = torch.ones_like(bias) - epsilon
    return state


def _fill(
    network: ExpressionNetwork, state: Mapping[str, Tensor], name: str, optional: Collection[str]
) -> None:
    expected = f"expected weights of this network in {name}"
    try:
        missing, unknown = network.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise DataError(f"{expected}: {error}") from error
    lacking = [
        key
        for key in missing
        if key not in optional
        and not key.startswith(("heads.", "trunk.pools."))
        and not key.endswith(".num_batches_tracked")
    ]
    if lacking or unknown:
        raise DataError(
            f"{expected} ([network] must be as it was trained): lacking {lacking[:3]}, "
            f"unknown {list(unknown)[:3]}"
        )


@torch.no_grad()
def _restore_batch_norm(
    network: ExpressionNetwork, pairs: list[tuple[str, str]], recipe: Recipe, faces: Faces
) -> None:
    """Give each batch norm the statistics that its layer has on the faces, and the scale and bias
    that leave the function what it is. Without, a folded network learns slowly.
    """
    sums: dict[str, list[Tensor]] = {}

    def record(norm: str, module: nn.Module) -> None:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].double()
            seen = sums.setdefault(norm, [x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1])])
            seen[0] += x.mean(dim=(2, 3)).sum(dim=0)
            seen[1] += x.square().mean(dim=(2, 3)).sum(dim=0)

        hooks.append(module.register_forward_pre_hook(add))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for _, norm in pairs:
        record(norm, network.get_submodule(norm))
    network.eval()
    rows = np.random.default_rng(0).permutation(len(faces))[:_FACES]
    for start in range(0, len(rows), _BATCH):
        crops = np.stack([faces.aligned(int(row)) for row in rows[start : start + _BATCH]])
        pixels = torch.from_numpy(crops[:, None]).to(torch.get_default_dtype())
        network(pixels.sub_(recipe.input.mean).div_(recipe.input.std))
    for hook in hooks:
        hook.remove()
    for _, name in pairs:
        layer = network.get_submodule(name)
        mean = sums[name][0] / len(rows)
        variance = (sums[name][1] / len(rows) - mean.square()).clamp_min(0)
        scale = torch.sqrt(variance + layer.eps)
        layer.bias.copy_(layer.bias + mean)
        layer.weight.copy_(scale)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)


@torch.no_grad()
def _fill_head(
    network: ExpressionNetwork, head: Mapping[str, Tensor | None], spec: ModelSpec, recipe: Recipe
) -> list[str]:
    """Copy the rows of the labels that both have; the names, if that is all of them."""
    own: nn.Linear = network.heads[MAIN_HEAD]
    weight, bias = head["weight"], head["bias"]
    if weight is None or bias is None or weight.shape[1] > own.weight.shape[1]:
        return []
    # Where pooling is to be learned, the features of the last map come last.
    width = weight.shape[1]
    labels = recipe.network.labels
    for row, label in enumerate(labels):
        if label in spec.labels:
            own.weight[row] = 0
            own.weight[row, -width:] = weight[spec.labels.index(label)]
            own.bias[row] = bias[spec.labels.index(label)]
    complete = set(labels) <= set(spec.labels)
    return [f"heads.{MAIN_HEAD}.weight", f"heads.{MAIN_HEAD}.bias"] if complete else []


_FACES_AT_ONCE = 64


def distill(faces: Faces, recipe: Recipe, folder: Path, report: Report = no_report) -> Faces:
    """The same faces, their targets moved toward the predictions of the recipe's teachers.

    Args:
        faces: to train on.
        folder: of the recipe, where a teacher's relative path starts; a name is looked up among
            the installed models.
        report: progress, by batch of faces.

    Raises:
        SettingError: a teacher has other labels or another alignment than the recipe.
        ModelNotFoundError: there is no such teacher.
    """
    plan = recipe.distillation
    if not plan.teachers:
        return faces
    teachers = [_teacher(name, recipe, folder) for name in plan.teachers]
    predicted = _predict(teachers, faces, recipe.network.labels, report)
    own = faces.targets[MAIN_HEAD]
    mixed = ((1 - plan.share) * own + plan.share * predicted).astype(np.float32)
    return dataclasses.replace(faces, targets={**faces.targets, MAIN_HEAD: mixed})


def _teacher(name: str, recipe: Recipe, folder: Path) -> NeuralClassifier:
    file = folder / name
    teacher = NeuralClassifier(catalog.find(file if file.is_file() else name))
    spec = teacher.spec
    if set(spec.labels) != set(recipe.network.labels):
        raise SettingError(
            f"expected the teacher {name} to know {', '.join(recipe.network.labels)}, "
            f"it knows {', '.join(spec.labels)}"
        )
    if not _same_alignment(spec.alignment, recipe):
        raise SettingError(
            f"expected the teacher {name} to be aligned like the recipe's faces: "
            "copy [input] scheme, indices and points from its recipe"
        )
    return teacher


def _same_alignment(template: AlignmentTemplate | None, recipe: Recipe) -> bool:
    if template is None or (template.scheme, tuple(template.indices)) != (
        recipe.input.scheme,
        recipe.input.indices,
    ):
        return False
    return bool(np.allclose(template.points, recipe.input.points, atol=1e-3))


def _predict(
    teachers: Sequence[NeuralClassifier], faces: Faces, labels: Sequence[Expression], report: Report
) -> FloatArray:
    """``(N, K)`` mean probabilities, without the calibration of the teachers."""
    total = np.zeros((len(faces), len(labels)), np.float64)
    for start in range(0, len(faces), _FACES_AT_ONCE):
        rows = range(start, min(start + _FACES_AT_ONCE, len(faces)))
        plain = [faces.aligned(row) for row in rows]
        views = plain + [np.ascontiguousarray(crop[:, ::-1]) for crop in plain]
        for teacher in teachers:
            sized = [imaging.resize(view, teacher.spec.input.size_wh) for view in views]
            order = [teacher.spec.labels.index(label) for label in labels]
            predicted = softmax(teacher.logits(sized).astype(np.float64))[:, order]
            total[rows.start : rows.stop] += predicted.reshape(2, len(rows), -1).mean(axis=0)
        report("running the teachers", rows.stop, len(faces))
    return np.asarray(total / len(teachers), np.float32)
