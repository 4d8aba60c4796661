"""Converts TFLite to ONNX with named inputs and outputs."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tf2onnx.convert

from model_import.graph import Graph

OPSET = 17
INPUT = "image"


def from_tflite(content: bytes) -> Graph:
    """Convert a TFLite file, with its own names."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "model.tflite")
        source.write_bytes(content)
        model, _ = tf2onnx.convert.from_tflite(str(source), opset=OPSET)
    return Graph(model)


def name_tensors(graph: Graph, outputs: Mapping[str, tuple[str, Sequence[int]]]) -> None:
    """Remove the transpose of the input, which becomes :data:`INPUT`, and name the outputs.

    Args:
        graph: with one NHWC input.
        outputs: new name and shape for each output of the original.
    """
    _drop_input_transpose(graph)
    for old, (new, shape) in outputs.items():
        graph.rename(old, new)
        last = graph.producer(new)
        if last is None or last.op_type not in {"Reshape", "Concat"}:
            raise ValueError(f"expected a Reshape or Concat to make {old!r}, got {last}")
        if last.op_type == "Reshape":
            last.input[1] = graph.weight(f"{new}_shape", np.array(shape, np.int64))
    graph.outputs = {new: list(shape) for new, shape in outputs.values()}


def _drop_input_transpose(graph: Graph) -> None:
    ((name, shape),) = graph.inputs.items()
    (transpose,) = graph.consumers(name)
    if transpose.op_type != "Transpose":
        raise ValueError(f"expected the NHWC input to be transposed, got {transpose.op_type}")
    inner = transpose.output[0]
    graph.replace(transpose, [])
    graph.rename(inner, INPUT)
    batch, height, width, channels = shape
    # A free batch has size 0.
    graph.inputs = {INPUT: [batch or 1, channels, height, width]}
