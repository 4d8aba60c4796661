"""An editable ONNX graph."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[np.generic]
Shape = list[int | str]
"""Sizes of axes; a string is the name of a variable axis."""


class Graph:
    """Nodes in order, and weights as arrays.

    Tensors keep their names during rewrites; :meth:`to_model` shortens them.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = list(model.graph.node)
        self.weights: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self.inputs: dict[str, Shape] = {e.name: _shape(e) for e in model.graph.input}
        self.outputs: dict[str, Shape] = {e.name: _shape(e) for e in model.graph.output}

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that produces a tensor; None for inputs and weights."""
        return next((node for node in self.nodes if tensor in node.output), None)

    def consumers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that use a tensor as input."""
        return [node for node in self.nodes if tensor in node.input]

    def weight(self, name: str, values: Array) -> str:
        """Add or replace a weight; returns its name."""
        self.weights[name] = np.ascontiguousarray(values)
        return name

    def replace(self, old: onnx.NodeProto, new: Iterable[onnx.NodeProto]) -> None:
        """Replace a node by other nodes."""
        index = next(i for i, node in enumerate(self.nodes) if node is old)
        self.nodes[index : index + 1] = list(new)

    def rename(self, old: str, new: str) -> None:
        """Rename a tensor in all nodes."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name == old:
                        names[i] = new

    def _ordered(self) -> list[onnx.NodeProto]:
        """The nodes that the outputs depend on, in topological order."""
        producers = {name: node for node in self.nodes for name in node.output}
        done: set[str] = set()
        order = []
        waiting = [(name, False) for name in reversed(self.outputs)]
        while waiting:
            name, inputs_done = waiting.pop()
            if name in done or name not in producers:
                continue
            if inputs_done:
                order.append(producers[name])
                done.update(producers[name].output)
            else:
                waiting.append((name, True))
                waiting.extend((source, False) for source in reversed(producers[name].input))
        return order

    def to_model(self, producer: str, opset: int, ir_version: int) -> onnx.ModelProto:
        """The graph as a validated model, deterministic in every byte.

        Nodes are ordered from the outputs, and inner tensors numbered in that order, because
        the order and names of tf2onnx differ between runs.
        """
        self.nodes = self._ordered()
        used = {name for node in self.nodes for name in node.input}
        kept = {*self.inputs, *self.outputs, ""}
        short: dict[str, str] = {name: name for name in kept}
        for number, node in enumerate(self.nodes):
            node.name = f"{node.op_type}_{number}"
            for name in [*node.input, *node.output]:
                short.setdefault(name, f"{'w' if name in self.weights else 't'}{len(short)}")
        for node in self.nodes:
            node.input[:] = [short[name] for name in node.input]
            node.output[:] = [short[name] for name in node.output]
        weights = [
            numpy_helper.from_array(values, short[name])
            for name, values in sorted(
                ((n, v) for n, v in self.weights.items() if n in used),
                key=lambda item: int(short[item[0]][1:]),
            )
        ]
        model = helper.make_model(
            helper.make_graph(
                self.nodes, "mien", _infos(self.inputs), _infos(self.outputs), weights
            ),
            producer_name=producer,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=ir_version,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """An integer attribute of a node."""
    return next((int(entry.i) for entry in node.attribute if entry.name == name), default)


def set_attribute(node: onnx.NodeProto, name: str, value: int) -> None:
    """Replace an integer attribute of a node."""
    others = [entry for entry in node.attribute if entry.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(name, value)])


def _shape(entry: onnx.ValueInfoProto) -> Shape:
    return [axis.dim_value for axis in entry.type.tensor_type.shape.dim]


def _infos(shapes: dict[str, Shape]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
