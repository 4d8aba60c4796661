"""Model files for adaptation: a network with what others see in its crop, and with a head on it."""

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mien import geometry
from mien.adaptation.head import BLENDSHAPE_OUTPUT, LOG_FLOOR, OTHER_EMBEDDING, OTHER_LOGS, Head
from mien.errors import ModelError
from mien.expression.crop import anchors
from mien.expression.priors import uniform_shift
from mien.geometry import Array
from mien.labels import Expression
from mien.recording import replacing
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry
from mien.runtime.onnx_edit import Node, append_model, extend_model, free_prefix, opset_of
from mien.runtime.spec import EMBEDDING, METADATA_KEY, spec_to_json
from mien.types import BLENDSHAPES, FloatArray, InputSpec, ModelSpec

_OTHER_NETWORKS = ("direct", "opencv-fer")
"""They were trained on photographs from the web, whose labels other people gave."""

_EXTRA_OUTPUTS = (BLENDSHAPE_OUTPUT, OTHER_LOGS, OTHER_EMBEDDING)

# The side of the landmark network's input, in sides of the crop, which has no margin: the border is
# repeated around it. Of 0.2, 0.35 and 0.5, this margin gives the values closest to those of the
# whole photograph.
_SIDE = 1.5
_LEAST_OPSET = 17
_CARD_KEY = "mien.card"
# Of the operators that a head needs.
_HEAD_OPSET = 13


@contextmanager
def with_extra_outputs(
    base: CatalogEntry, wanted: Iterable[str] = _EXTRA_OUTPUTS
) -> Iterator[CatalogEntry]:
    """A network with more outputs, in a file that is deleted at the end.

    It takes one crop at a time. The network itself where it has the outputs already, or where its
    file, its alignment or the layout of its input does not allow them.

    Args:
        base: the network.
        wanted: their names, out of all that there are.

    Raises:
        ModelFileError: the file is not an ONNX model.
    """
    model = base.path.read_bytes() if base.path.suffix == ".onnx" else b""
    able = base.spec.input.layout == "NCHW" and opset_of(model) >= _LEAST_OPSET
    aligned = base.spec.alignment_for("mesh468") is not None
    added = [
        name for name in _EXTRA_OUTPUTS if name in wanted and (aligned or name == BLENDSHAPE_OUTPUT)
    ]
    if able:  # an adapted model may have some of them inside
        added = [name for name in added if free_prefix(model, name) == name]
    if not able or not added or {*_EXTRA_OUTPUTS} & {*base.spec.outputs}:
        yield base
        return
    spec = dataclasses.replace(
        base.spec,
        outputs=(*base.spec.outputs, *added),
        sha256=None,
        parameters={**base.spec.parameters, "max_batch": 1},
    )
    if BLENDSHAPE_OUTPUT in added:
        model = _with_blendshapes(model, base.spec)
    if OTHER_LOGS in added:
        model = _with_other_networks(model, base.spec)
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        path = Path(folder) / base.path.name
        path.write_bytes(model)
        yield CatalogEntry(spec, path, shipped=False)


def other_labels() -> list[Expression]:
    """``(O,)`` the labels of the other networks, in the order of their log probabilities."""
    return [label for name in _OTHER_NETWORKS for label in catalog.find(name).spec.labels]


def _with_blendshapes(model: bytes, base: ModelSpec) -> bytes:
    """The crop at the landmark network's size, its points, and their blendshapes."""
    landmarks = catalog.find("face-landmarker", task="landmarks")
    shapes = catalog.find("face-blendshapes", task="blendshapes")
    prefix = free_prefix(model, "face")
    target = landmarks.spec.input
    scale = target.size_wh[0] / (max(base.input.size_wh) * _SIDE)
    shift = (np.array(target.size_wh) - scale * np.array(base.input.size_wh)) / 2
    model, image = _with_input(model, prefix, base.input, target, (scale, shift))
    at, logit = landmarks.spec.outputs
    model = append_model(
        model,
        landmarks.path.read_bytes(),
        {target.name: image, at: f"{prefix}_{at}", logit: f"{prefix}_{logit}"},
        f"{prefix}_mesh_",
    )
    points, plane = f"{prefix}_points", f"{prefix}_plane"
    model = extend_model(
        model,
        [
            Node("Gather", (f"{prefix}_{at}", points), f"{prefix}_chosen", {"axis": 1}),
            Node("MatMul", (f"{prefix}_chosen", plane), f"{prefix}_xy"),
        ],
        {
            points: np.array([shapes.spec.parameters["points"]], np.int64),
            plane: np.eye(3, 2, dtype=np.float32),
        },
    )
    return append_model(
        model,
        shapes.path.read_bytes(),
        {shapes.spec.input.name: f"{prefix}_xy", shapes.spec.outputs[0]: BLENDSHAPE_OUTPUT},
        f"{prefix}_shapes_",
        outputs={BLENDSHAPE_OUTPUT: len(BLENDSHAPES)},
    )


def _with_other_networks(model: bytes, base: ModelSpec) -> bytes:
    """The crop at their sizes, their log probabilities around the mean, and an embedding."""
    logs = []
    for entry in map(catalog.find, _OTHER_NETWORKS):
        spec, prefix = entry.spec, free_prefix(model, entry.spec.name)
        similarity = geometry.estimate_similarity(anchors(base), anchors(spec))
        placed = float(similarity[0, 0]), similarity[:, 2]
        model, image = _with_input(model, prefix, base.input, spec.input, placed)
        renamed = {spec.input.name: image, spec.outputs[0]: f"{prefix}_logits"}
        outputs = None
        if EMBEDDING in spec.outputs:
            renamed[EMBEDDING] = OTHER_EMBEDDING
            outputs = {OTHER_EMBEDDING: spec.parameters["embedding_width"]}
        model = append_model(model, entry.path.read_bytes(), renamed, f"{prefix}_net_", outputs)
        model, centered = _with_logs(model, prefix, spec)
        logs.append(centered)
    joined = Node("Concat", tuple(logs), OTHER_LOGS, {"axis": 1})
    return extend_model(model, [joined], {}, more_outputs={OTHER_LOGS: len(other_labels())})


def _with_logs(model: bytes, prefix: str, spec: ModelSpec) -> tuple[bytes, str]:
    """Log probabilities around their mean, and the name of their values."""
    count, center, found = len(spec.labels), f"{prefix}_center", f"{prefix}_found"
    nodes, weights = _log_nodes(spec, f"{prefix}_logits", prefix)
    nodes.append(Node("MatMul", (nodes[-1].output, center), found))
    weights[center] = np.asarray(np.eye(count) - 1 / count, np.float32)
    return extend_model(model, nodes, weights), found


def _log_nodes(
    spec: ModelSpec, logits: str, prefix: str
) -> tuple[list[Node], dict[str, FloatArray]]:
    """From logits to log probabilities under the uniform prior, not below :data:`LOG_FLOOR`."""
    scale, shift, floor = (f"{prefix}_{part}" for part in ("scale", "shift", "floor"))
    scaled, shifted, logs = (f"{prefix}_{part}" for part in ("scaled", "shifted", "logs"))
    nodes = [
        Node("Mul", (logits, scale), scaled),
        Node("Add", (scaled, shift), shifted),
        Node("LogSoftmax", (shifted,), logs, {"axis": 1}),
        Node("Max", (logs, floor), f"{prefix}_kept"),
    ]
    values = {scale: 1 / spec.temperature, shift: uniform_shift(spec), floor: LOG_FLOOR}
    return nodes, {name: np.asarray(value, np.float32) for name, value in values.items()}


def _with_input(
    model: bytes, prefix: str, crop: InputSpec, target: InputSpec, placed: tuple[float, Array]
) -> tuple[bytes, str]:
    """The crop as another network's input, and the name of its values.

    `placed` is the scale, and the shift ``(x, y)`` in pixels, from the one to the other.
    """
    weights = _crop_weights(crop, target, placed)
    inner = {key: f"{prefix}_{key}" for key in (*weights, "tall", "wide", "image")}
    nodes = [
        Node("MatMul", (inner["rows"], crop.name), inner["tall"]),
        Node("MatMul", (inner["tall"], inner["columns"]), inner["wide"]),
        Node("Conv", (inner["wide"], inner["colors"], inner["offset"]), inner["image"]),
    ]
    named = {inner[key]: values for key, values in weights.items()}
    return extend_model(model, nodes, named), inner["image"]


def _crop_weights(
    crop: InputSpec, target: InputSpec, placed: tuple[float, Array]
) -> dict[str, FloatArray]:
    """What turns one network's input into another's.

    Resampling is a product with a matrix on each side, colors are a convolution of one pixel.
    """
    (width, height), (wide, high) = crop.size_wh, target.size_wh
    scale, (x, y) = placed
    channels = {"gray": [0, 0, 0], "rgb": [0, 1, 2], "bgr": [2, 1, 0]}
    order = channels[crop.color]  # where red, green and blue are
    if target.color == "bgr":
        order = order[::-1]
    mean, std = np.array(crop.mean)[order], np.array(crop.std)[order]
    colors = np.zeros((3, len(crop.mean), 1, 1))
    colors[range(3), order, 0, 0] = std / target.std
    weights = {
        "rows": _resampling(height, high, scale, y),
        "columns": _resampling(width, wide, scale, x).T,
        "colors": colors,
        "offset": (mean - target.mean) / target.std,
    }
    return {name: np.ascontiguousarray(values, np.float32) for name, values in weights.items()}


def _resampling(size: int, wanted: int, scale: float, shift: float) -> Array:
    """``(wanted, size)``: linear, at ``scale * place + shift``, the border repeated."""
    at = (np.arange(wanted) + 0.5 - shift) / scale - 0.5
    at = np.clip(at, 0, size - 1)
    lower = np.minimum(at.astype(int), max(0, size - 2))
    matrix = np.zeros((wanted, size))
    rows = np.arange(wanted)
    matrix[rows, lower] = 1 - (at - lower)
    matrix[rows, np.minimum(lower + 1, size - 1)] += at - lower
    return matrix


def write_model(base: CatalogEntry, head: Head, spec: ModelSpec, card: str, path: Path) -> None:
    """Write the network of `base` with a head on it.

    Args:
        base: the network.
        head: fitted on its features.
        spec: of the result; the outputs are filled in.
        card: Markdown.
        path: of the new file, which is replaced at once.

    Raises:
        ModelError: the network's file cannot take the head.
        OSError: the file cannot be written.
    """
    model = base.path.read_bytes()
    if opset_of(model) < _HEAD_OPSET:
        raise ModelError(
            f"expected a model with ONNX operators of version {_HEAD_OPSET} or later to adapt, "
            f"got version {opset_of(model)} in {base.path}: export it again"
        )
    nodes, weights = _nodes(base.spec, head, free_prefix(model, "adapted"))
    outputs = {nodes[-1].output: len(spec.labels)}
    if EMBEDDING in head.parts:  # so that the model can be adapted again
        outputs[EMBEDDING] = len(head.parts[EMBEDDING])
    spec = dataclasses.replace(
        spec, outputs=tuple(outputs), parameters=base.spec.parameters, file=path.name, sha256=None
    )
    metadata = {METADATA_KEY: spec_to_json(spec), _CARD_KEY: card}
    with replacing(path) as unfinished:
        unfinished.write_bytes(extend_model(model, nodes, weights, outputs, metadata))


def _nodes(base: ModelSpec, head: Head, prefix: str) -> tuple[list[Node], dict[str, FloatArray]]:
    """From the network's outputs to the logits of the labels: softmax, then linear."""
    nodes, weights = _log_nodes(base, base.outputs[0], prefix)
    outputs, bias = f"{prefix}_outputs_weight", f"{prefix}_bias"
    weights |= {
        outputs: np.asarray(head.outputs, np.float32),
        bias: np.asarray(head.bias, np.float32),
    }
    nodes.append(Node("Gemm", (nodes[-1].output, outputs, bias), f"{prefix}_of_outputs"))
    sources = {OTHER_LOGS: head.other_outputs, **head.parts}
    for source in head.used():
        weight = f"{prefix}_{source}_weight"
        weights[weight] = np.asarray(sources[source], np.float32)
        inputs = (source, weight, nodes[-1].output)
        nodes.append(Node("Gemm", inputs, f"{prefix}_with_{source}"))
    nodes.append(Node("Identity", (nodes[-1].output,), f"{prefix}_logits"))
    return nodes, weights
