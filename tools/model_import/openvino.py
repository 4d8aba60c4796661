"""Reads OpenVINO's intermediate representation (an XML graph and a file of weights) as ONNX.

Only what small published face networks need: convolution, sum, product, rectifier, pooling,
softmax, and quantization of weights and activations.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

_TYPES = {"f16": np.float16, "f32": np.float32, "u8": np.uint8}
_SAME_IN_ONNX = {"Add": "Add", "Multiply": "Mul", "ReLU": "Relu"}


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    kind: str
    data: Mapping[str, str]
    inputs: tuple[str, ...]


def to_onnx(
    xml: bytes, weights: bytes, *, image: str, output: str, opset: int, ir_version: int
) -> onnx.ModelProto:
    """Convert a network with one image as its input and one output.

    Weights stay 8-bit in the file and are expanded by constant nodes, which a runtime computes once
    when it loads the model. Activations are clipped to the limits of their quantization but not
    rounded: rounding changes the result by no more than OpenVINO's own batch size does, and takes a
    quarter of the time.

    Args:
        xml, weights: the contents of the two files.
        image, output: names of the input and the output in the result. The output is that of the
            layer before the final softmax, if there is one, flattened to ``(N, K)``.
        opset, ir_version: of the result.

    Returns:
        A float32 model with a free batch size.

    Raises:
        ValueError: a layer is of a kind that is not supported.
    """
    conversion = _Conversion(_layers(xml), weights, image)
    graph = conversion.graph(output)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )
    onnx.checker.check_model(model)
    return model


def _layers(xml: bytes) -> dict[str, _Layer]:
    root = ElementTree.fromstring(xml)
    sources = {
        (edge.attrib["to-layer"], edge.attrib["to-port"]): edge.attrib["from-layer"]
        for edge in root.iterfind("edges/edge")
    }
    layers = {}
    for layer in root.iterfind("layers/layer"):
        number, data = layer.attrib["id"], layer.find("data")
        ports = [port.attrib["id"] for port in layer.iterfind("input/port")]
        layers[number] = _Layer(
            layer.attrib["name"],
            layer.attrib["type"],
            {} if data is None else data.attrib,
            tuple(sources[number, port] for port in ports),
        )
    return layers


class _Conversion:
    """Follows the network from its result back to its input."""

    def __init__(self, layers: Mapping[str, _Layer], weights: bytes, image: str) -> None:
        self._layers, self._weights, self._image = layers, weights, image
        self._shape: list[int] = []
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, Array] = {}
        self._values: dict[str, Array | str] = {}

    def graph(self, output: str) -> onnx.GraphProto:
        last = next(layer for layer in self._layers.values() if layer.kind == "Result").inputs[0]
        if self._layers[last].kind == "SoftMax":
            last = self._layers[last].inputs[0]
        scores = self._value(last)
        self._nodes.append(helper.make_node("Flatten", [scores], [output]))
        return helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info(self._image, TensorProto.FLOAT, ["N", *self._shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", None])],
            [numpy_helper.from_array(array, name) for name, array in self._tensors.items()],
        )

    def _value(self, number: str) -> Array | str:
        """The output of a layer: an array where it is constant, else the name of a tensor."""
        if number not in self._values:
            layer = self._layers[number]
            self._values[number] = self._convert(layer, [self._value(i) for i in layer.inputs])
        return self._values[number]

    def _convert(self, layer: _Layer, inputs: list[Array | str]) -> Array | str:
        match layer.kind:
            case "Parameter":
                self._shape = _sides(layer.data["shape"])[1:]
                value: Array | str = self._image
            case "Const":
                value = self._constant(layer.data)
            case "Convert":
                value = inputs[0]
            case "FakeQuantize":
                value = self._quantized(inputs, int(layer.data["levels"]))
            case "Convolution":
                dilations = _sides(layer.data["dilations"])
                value = self._node("Conv", inputs, dilations=dilations, **_windows(layer.data))
            case "MaxPool":
                facts = {
                    "kernel_shape": _sides(layer.data["kernel"]),
                    "ceil_mode": int(layer.data["rounding_type"] == "ceil"),
                }
                value = self._node("MaxPool", inputs, **facts, **_windows(layer.data))
            case kind if kind in _SAME_IN_ONNX:
                value = self._node(_SAME_IN_ONNX[kind], inputs)
            case kind:
                raise ValueError(f"expected a supported kind of layer, got {kind} ({layer.name})")
        return value

    def _constant(self, data: Mapping[str, str]) -> Array:
        dtype = np.dtype(_TYPES[data["element_type"]])
        shape = _sides(data["shape"])
        values = np.frombuffer(self._weights, dtype, math.prod(shape), int(data["offset"]))
        return values.reshape(shape).astype(np.uint8 if dtype == np.uint8 else np.float32)

    def _quantized(self, inputs: list[Any], levels: int) -> str:
        """An activation within its limits, or 8-bit weights between those of their channel."""
        value, input_low, input_high, low, high = inputs
        if isinstance(value, str):
            return self._node("Clip", [value, low, high])
        if value.dtype != np.uint8 or input_low.item() != 0 or input_high.item() != levels - 1:
            raise ValueError("expected weights that are stored as the numbers of their levels")
        cast = self._node("Cast", [value], to=TensorProto.FLOAT)
        return self._node("Add", [self._node("Mul", [cast, (high - low) / (levels - 1)]), low])

    def _node(self, kind: str, inputs: list[Any], **attributes: Any) -> str:
        names = [value if isinstance(value, str) else self._tensor(value) for value in inputs]
        output = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, names, [output], output, **attributes))
        return output

    def _tensor(self, value: Array) -> str:
        name = f"tensor_{len(self._tensors)}"
        self._tensors[name] = value
        return name


def _sides(text: str) -> list[int]:
    return [int(side) for side in text.split(",") if side]


def _windows(data: Mapping[str, str]) -> dict[str, list[int]]:
    pads = _sides(data["pads_begin"]) + _sides(data["pads_end"])
    return {"strides": _sides(data["strides"]), "pads": pads}
