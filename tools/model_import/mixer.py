"""Rebuilds the MLP-Mixer of the blendshapes as matrix products.

Tolstikhin et al., "MLP-Mixer: an all-MLP architecture for vision", 2021. The converted graph
consists of 1x1 convolutions between transposes.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from model_import.graph import Graph, Shape

FloatArray = npt.NDArray[np.float32]
_EPSILON = 1.0132789611816406e-06


def rebuild_mixer(graph: Graph) -> None:
    """Replace the graph by one with an input ``points`` (1, 1, K, 2) and an output ``blendshapes``.

    The last block computes only its first token, the only one that the output depends on.
    """
    convolutions = _convolutions(graph)
    scales = _scales(graph)
    (extra,) = (node for node in graph.nodes if node.op_type == "Concat")
    token = next(graph.weights[name] for name in extra.input if name in graph.weights)
    builder = _Builder(graph)
    x = builder.normalized()
    points, bias = next(convolutions)
    x = builder.node("MatMul", builder.weight(points), x)
    x = builder.node("Add", x, builder.weight(bias[:, None]))
    x = builder.dense(x, *next(convolutions))
    x = builder.node("Concat", builder.weight(token.reshape(1, 1, -1)), x, axis=1)
    blocks = len(scales) // 2
    for block in range(blocks):
        last = block == blocks - 1
        mixed = builder.node("Transpose", builder.norm(x, scales[2 * block]), perm=[0, 2, 1])
        mixed = builder.node("Relu", builder.dense(mixed, *next(convolutions)))
        weights, bias = next(convolutions)
        kept = slice(0, 1 if last else None)
        mixed = builder.dense(mixed, weights[kept], bias[kept])
        if last:
            x = builder.node("Slice", x, *map(builder.index, (0, 1, 1)))
        x = builder.node("Add", x, builder.node("Transpose", mixed, perm=[0, 2, 1]))
        mixed = builder.dense(builder.norm(x, scales[2 * block + 1]), *next(convolutions))
        mixed = builder.dense(builder.node("Relu", mixed), *next(convolutions))
        x = builder.node("Add", x, mixed)
    x = builder.node("Sigmoid", builder.dense(x, *next(convolutions)))
    shape = builder.weight(np.array([1, -1], np.int64))
    builder.nodes.append(helper.make_node("Reshape", [x, shape], ["blendshapes"]))
    graph.nodes = builder.nodes
    graph.outputs = {"blendshapes": [1, 52]}


def _convolutions(graph: Graph) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Weights ``(out, in)`` and bias of each convolution, in order."""
    for node in graph.nodes:
        if node.op_type == "Conv":
            weights, bias = (graph.weights[name] for name in node.input[1:3])
            yield weights.reshape(weights.shape[:2]), bias


def _scales(graph: Graph) -> list[FloatArray]:
    """The factors of each layer normalization, in order: what its inverse deviation meets."""
    found = []
    for node in graph.nodes:
        if node.op_type == "Mul":
            factors = [graph.weights[name] for name in node.input if name in graph.weights]
            if factors and factors[0].size > 1:
                found.append(factors[0].reshape(-1))
    return found


class _Builder:
    """Nodes of the new graph, whose weights replace those of the old one."""

    def __init__(self, graph: Graph) -> None:
        (shape,) = graph.inputs.values()
        self.nodes: list[NodeProto] = []
        self._graph = graph
        inputs: Shape = [1, 1, *shape[1:]]
        graph.inputs = {"points": inputs}

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        output = f"mixer_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def weight(self, values: npt.NDArray[np.generic]) -> str:
        return self._graph.weight(f"mixer_weight_{len(self._graph.weights)}", values)

    def index(self, value: int) -> str:
        return self.weight(np.array([value], np.int64))

    def dense(self, x: str, weights: FloatArray, bias: FloatArray) -> str:
        product = self.node("MatMul", x, self.weight(weights.T))
        return self.node("Add", product, self.weight(bias))

    def norm(self, x: str, scale: FloatArray) -> str:
        return self.node("LayerNormalization", x, self.weight(scale), axis=-1, epsilon=_EPSILON)

    def normalized(self) -> str:
        """The points around their mean, half as far from it as their mean distance."""
        x = self.node("Squeeze", "points", self.index(1))
        x = self.node("Sub", x, self.point_mean(x))
        length = self.node("Sqrt", self.node("ReduceSum", self.node("Mul", x, x), self.index(2)))
        x = self.node("Div", x, self.point_mean(length))
        return self.node("Mul", x, self.weight(np.array(0.5, np.float32)))

    def point_mean(self, x: str) -> str:
        # ReduceSum, unlike ReduceMean, is the same in all versions of the operators since 13, so
        # that the graph can become a part of newer models (mien/adaptation/model_file.py).
        share = self.weight(np.array(1 / self._graph.inputs["points"][2], np.float32))
        return self.node("Mul", self.node("ReduceSum", x, self.index(1)), share)
