"""The features of a network's last layer as a second output. Needs ``onnx``, as in ``train``."""

import onnx
from onnx import TensorProto, helper

EMBEDDING = "embedding"
"""Name of the output, in model files and in ``ModelSpec.outputs``."""


def expose_embedding(model: onnx.ModelProto) -> bool:
    """Make the input of the last linear layer an output, after the others.

    The logits do not change, and onnxruntime computes no output that is not asked for.

    Returns:
        Whether the model ends in a linear layer, and so has such an output now.
    """
    graph = model.graph
    if EMBEDDING in (output.name for output in graph.output):
        return True
    makers = {name: node for node in graph.node for name in node.output}
    last = makers[graph.output[0].name]
    if last.op_type not in ("Gemm", "MatMul") or last.input[0] not in makers:
        return False
    weight = _shapes(model)[last.input[1]]
    transposed = any(a.name == "transB" and a.i for a in last.attribute)
    name, width = last.input[0], weight[1 if transposed else 0]
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [EMBEDDING if n == name else n for n in names]
    graph.output.append(
        helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", width])
    )
    return True


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Of every weight, also of those that are stored in 16 bits and cast."""
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("Cast", "DequantizeLinear") and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    return shapes
