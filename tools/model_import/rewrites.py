"""Rewrites of a converted graph that keep its outputs and save CPU time.

onnxruntime runs convolutions on an AVX CPU in a layout of channel blocks (NCHWc). An operator that
supports only NCHW costs a reordering of its input and output in addition to its own pass over
memory, so the rewrites express everything between the first and the last convolution as Conv, Add,
Relu, MaxPool and Concat of whole blocks, into which Add and Relu are fused.
"""

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from model_import.graph import Graph, attribute, set_attribute

FloatArray = npt.NDArray[np.float32]
_BLOCK = 8


def widen_channels(graph: Graph) -> None:
    """Round odd channel counts up to whole blocks, with channels that are always zero.

    Only the weights grow: an added channel has zero weights and bias, and is never used.
    """
    widened: dict[str, int] = {}
    for node in graph.nodes:
        if node.op_type == "Conv":
            widened[node.output[0]] = _widen_conv(graph, node, widened.get(node.input[0], 0))
        elif node.op_type in {"Relu", "MaxPool", "Resize", "Add"}:
            widened[node.output[0]] = max(widened.get(name, 0) for name in node.input)
        elif node.op_type == "Pad":
            amounts = graph.weights[node.input[1]].copy()
            # The added channels of the input take up the first channels of the padding.
            unpadded = widened.get(node.input[0], 0)
            extra = graph.weights[node.input[1]][5] - unpadded
            after = -int(_channels(graph, node.input[0]) + extra) % _BLOCK
            amounts[5] = extra + after
            node.input[1] = graph.weight(f"{node.output[0]}_amounts", amounts)
            widened[node.output[0]] = after
        elif any(widened.get(name, 0) for name in node.input):
            raise ValueError(
                f"expected an operator with known channels, got {node.op_type} after a widened one"
            )
    for node in list(graph.nodes):
        if node.op_type == "Pad" and not graph.weights[node.input[1]].any():
            source, target = node.input[0], node.output[0]
            graph.replace(node, [])
            graph.rename(target, source)


def _widen_conv(graph: Graph, node: NodeProto, inputs: int) -> int:
    weights, bias = (graph.weights[name] for name in node.input[1:3])
    depthwise = attribute(node, "group", 1) > 1
    head = any(user.op_type in {"Transpose", "Reshape"} for user in graph.consumers(node.output[0]))
    outputs = inputs if depthwise else 0 if head else -len(weights) % _BLOCK
    if depthwise:
        set_attribute(node, "group", len(weights) + outputs)
    grown = np.pad(weights, ((0, outputs), (0, 0 if depthwise else inputs), (0, 0), (0, 0)))
    node.input[1] = graph.weight(f"{node.output[0]}_weights", grown)
    node.input[2] = graph.weight(f"{node.output[0]}_bias", np.pad(bias, (0, outputs)))
    return outputs


def _channels(graph: Graph, tensor: str) -> int:
    """Number of channels of a tensor, from the convolution that produces it."""
    node = graph.producer(tensor)
    if node is None:
        raise ValueError(f"expected a convolution above {tensor!r}")
    if node.op_type == "Conv":
        return len(graph.weights[node.input[1]])
    if node.op_type == "Concat":
        return sum(_channels(graph, name) for name in node.input)
    padding = int(graph.weights[node.input[1]][5]) if node.op_type == "Pad" else 0
    return _channels(graph, node.input[0]) + padding


def split_channel_padding(graph: Graph) -> None:
    """If a residual is padded with zero channels, add it only to its own channels.

    ``activation(Pad(x) + conv(y))`` becomes ``Concat(activation(x + conv_a(y)),
    activation(conv_b(y)))``: equivalent, without a Pad, and the Add can be fused.
    """
    for pad in [node for node in graph.nodes if node.op_type == "Pad"]:
        (add,) = graph.consumers(pad.output[0])
        (other,) = (name for name in add.input if name != pad.output[0])
        conv = graph.producer(other)
        (activation,) = graph.consumers(add.output[0])
        if conv is None or conv.op_type != "Conv" or graph.consumers(other) != [add]:
            raise ValueError(f"expected {add.name!r} to add a convolution to padded channels")
        kept = _channels(graph, pad.input[0])
        parts = []
        for part, channels in (("a", slice(None, kept)), ("b", slice(kept, None))):
            conv_part, activation_part = NodeProto(), NodeProto()
            conv_part.CopyFrom(conv)
            activation_part.CopyFrom(activation)
            for i, name in enumerate(conv.input[1:3], start=1):
                values = graph.weights[name][channels]
                conv_part.input[i] = graph.weight(f"{conv.output[0]}_{part}{i}", values)
            conv_part.output[0] = f"{conv.output[0]}_{part}"
            parts.append(conv_part)
            if part == "a":
                total = f"{add.output[0]}_{part}"
                parts.append(helper.make_node("Add", [pad.input[0], conv_part.output[0]], [total]))
            activation_part.input[0] = parts[-1].output[0]
            if activation.op_type == "PRelu":
                slopes = graph.weights[activation.input[1]][:, channels]
                activation_part.input[1] = graph.weight(
                    f"{activation.output[0]}_{part}_slopes", slopes
                )
            activation_part.output[0] = f"{activation.output[0]}_{part}"
            parts.append(activation_part)
        halves = [f"{activation.output[0]}_{part}" for part in "ab"]
        parts.append(helper.make_node("Concat", halves, list(activation.output), axis=1))
        graph.replace(activation, parts)
        for node in (add, conv, pad):
            graph.replace(node, [])


def expand_prelu(graph: Graph) -> None:
    """Write each PRelu as two depthwise 1x1 convolutions, the first with a Relu.

    ``prelu(x) = s x + relu((1 - s) x)`` for a slope s of at most 1: two passes over memory with
    everything fused. A slope above 1 makes the function concave, which a sum of a linear part and
    a Relu cannot be; where one occurs, it is ``s x + (1 - s) relu(x)`` in three passes.
    """
    for node in [node for node in graph.nodes if node.op_type == "PRelu"]:
        source, target = node.input[0], node.output[0]
        slopes = graph.weights[node.input[1]].reshape(-1).astype(np.float32)
        positive, linear = f"{target}_positive", f"{target}_linear"
        if slopes.max() <= 1:
            scaled = f"{target}_scaled"
            parts = [
                _per_channel(graph, source, scaled, 1 - slopes),
                helper.make_node("Relu", [scaled], [positive]),
            ]
        else:
            rectified = f"{target}_rectified"
            parts = [
                helper.make_node("Relu", [source], [rectified]),
                _per_channel(graph, rectified, positive, 1 - slopes),
            ]
        parts.append(_per_channel(graph, source, linear, slopes))
        parts.append(helper.make_node("Add", [linear, positive], [target]))
        graph.replace(node, parts)


def _per_channel(graph: Graph, source: str, target: str, factors: FloatArray) -> NodeProto:
    weights = graph.weight(f"{target}_factors", factors.reshape(-1, 1, 1, 1))
    return helper.make_node(
        "Conv", [source, weights], [target], group=len(factors), kernel_shape=[1, 1]
    )


def free_sides(graph: Graph) -> None:
    """Make height and width of the input variable; they are set when the file is loaded.

    For fully convolutional detectors with one grid of anchors, so that a wide image does not need
    black borders above and below. Sides must be multiples of the coarsest map's cells.
    """
    ((name, shape),) = graph.inputs.items()
    graph.inputs = {name: [*shape[:2], "height", "width"]}
    for output, (batch, _, values) in graph.outputs.items():
        reshape = graph.producer(output)
        if reshape is None or reshape.op_type != "Reshape":
            raise ValueError(f"expected a Reshape to make {output!r}, got {reshape}")
        graph.weight(reshape.input[1], np.array([batch, -1, values], np.int64))
        graph.outputs[output] = [batch, "anchors", values]


def store_half(graph: Graph) -> None:
    """Store weights in half precision where this is lossless.

    The originals are published in half precision, so this applies to most weights.
    onnxruntime folds the casts when it loads the model.
    """
    casts = []
    for name, values in list(graph.weights.items()):
        if values.dtype != np.float32 or values.size < 256:
            continue
        half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values) and graph.consumers(name):
            stored = graph.weight(f"{name}_half", half)
            casts.append(helper.make_node("Cast", [stored], [name], to=1))
            del graph.weights[name]
    graph.nodes[:0] = casts
