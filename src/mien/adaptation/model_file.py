"""An adapted model as one ONNX file: the network, the head, the spec and a card."""

import dataclasses
from pathlib import Path

import numpy as np

from mien.adaptation.head import EMBEDDING, LOG_FLOOR, OTHER_LOGS, Head
from mien.errors import ModelError
from mien.expression.priors import uniform_shift
from mien.recording import replacing
from mien.runtime.catalog import CatalogEntry
from mien.runtime.onnx_edit import Node, extend_model, free_prefix, opset_of
from mien.runtime.spec import METADATA_KEY, spec_to_json
from mien.types import FloatArray, ModelSpec

CARD_KEY = "mien.card"
_LEAST_OPSET = 13


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
    if opset_of(model) < _LEAST_OPSET:
        raise ModelError(
            f"expected a model with ONNX operators of version {_LEAST_OPSET} or later to adapt, "
            f"got version {opset_of(model)} in {base.path}: export it again"
        )
    nodes, weights = _nodes(base.spec, head, free_prefix(model, "adapted"))
    outputs = {nodes[-1].output: len(spec.labels)}
    if EMBEDDING in head.parts:  # so that the model can be adapted again
        outputs[EMBEDDING] = len(head.parts[EMBEDDING])
    spec = dataclasses.replace(
        spec,
        outputs=tuple(outputs),
        parameters=base.spec.parameters,
        file=path.name,
        sha256=None,
    )
    metadata = {METADATA_KEY: spec_to_json(spec), CARD_KEY: card}
    with replacing(path) as unfinished:
        unfinished.write_bytes(extend_model(model, nodes, weights, outputs, metadata))


def _nodes(base: ModelSpec, head: Head, prefix: str) -> tuple[list[Node], dict[str, FloatArray]]:
    """From the network's outputs to the logits of the labels: softmax, then linear."""

    def name(part: str) -> str:
        return f"{prefix}_{part}"

    weights = {
        name("scale"): np.array(1 / base.temperature),
        name("prior"): uniform_shift(base),
        name("floor"): np.array(LOG_FLOOR),
        name("outputs_weight"): head.outputs,
        name("bias"): head.bias,
    }
    nodes = [
        Node("Mul", (base.outputs[0], name("scale")), name("calibrated")),
        Node("Add", (name("calibrated"), name("prior")), name("shifted")),
        Node("LogSoftmax", (name("shifted"),), name("logs"), {"axis": 1}),
        Node("Max", (name("logs"), name("floor")), name("floored")),
        Node("Gemm", (name("floored"), name("outputs_weight"), name("bias")), name("of_outputs")),
    ]
    sources = {OTHER_LOGS: head.other_outputs, **head.parts}
    for source in head.used():
        weights[name(f"{source}_weight")] = sources[source]
        inputs = (source, name(f"{source}_weight"), nodes[-1].output)
        nodes.append(Node("Gemm", inputs, name(f"with_{source}")))
    nodes.append(Node("Identity", (nodes[-1].output,), name("logits")))
    return nodes, {key: np.asarray(values, np.float32) for key, values in weights.items()}
