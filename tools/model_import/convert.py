"""Converts TFLite to ONNX with named inputs and outputs."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tf2onnx.convert

from model_import.graph import Graph

OPSET = 17
INPUT = "image"


def from_tflite(content: bytes, outputs: Mapping[str, tuple[str, Sequence[int]]]) -> Graph:
    """Convert, remove the transpose of the input, and name inputs and outputs.

    Args:
        content: the TFLite file.
        outputs: new name and shape for each output of the original.

    Returns:
        A graph with one NCHW input, called :data:`INPUT`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "model.tflite")
        source.write_bytes(content)
        model, _ = tf2onnx.convert.from_tflite(str(source), opset=OPSET)
    graph = Graph(model)
    _drop_input_transpose(graph)
    for old, (new, shape) in outputs.items():
        graph.rename(old, new)
        last = graph.producer(new)
        if last is None or last.op_type not in {"Reshape", "Concat"}:
            raise ValueError(f"expected a Reshape or Concat to make {old!r}, got {last}")
        if last.op_type == "Reshape":
            last.input[1] = graph.weight(f"{new}_shape", np.array(shape, np.int64))
    graph.outputs = {new: list(shape) for new, shape in outputs.values()}
    return graph


def _drop_input_transpose(graph: Graph) -> None:
    ((name, shape),) = graph.inputs.items()
    (transpose,) = graph.consumers(name)
    if transpose.op_type != "Transpose":
        raise ValueError(f"expected the NHWC input to be transposed, got {transpose.op_type}")
    inner = transpose.output[0]
    graph.replace(transpose, [])
    graph.rename(inner, INPUT)
    batch, height, width, channels = shape
    graph.inputs = {INPUT: [batch, channels, height, width]}
