"""From trained weights to ONNX files that carry their spec."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien import imaging
from mien.errors import ModelError
from mien.runtime.catalog import CatalogEntry, checksum
from mien.runtime.preparation import expose_embedding
from mien.runtime.session import Session
from mien.runtime.spec import METADATA_KEY, sidecar_path, spec_to_json
from mien.training.networks import ExpressionNetwork, folded_pairs
from mien.types import Image, ModelSpec

OPSET = 18
# Smaller tensors stay exact: they are biases, and halving them saves nothing.
_SMALLEST_HALVED = 256


class _OneHead(nn.Module):
    def __init__(self, network: ExpressionNetwork, head: str) -> None:
        super().__init__()
        self.trunk, self.head = network.trunk, network.heads[head]

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(image))
        return logits


def to_onnx(network: ExpressionNetwork, head: str, spec: ModelSpec) -> onnx.ModelProto:
    """One head of a network as an ONNX model, batch norm folded, any batch size."""
    plain = _fold_batch_norm(copy.deepcopy(_OneHead(network, head)).cpu().eval())
    plain = plain.to(memory_format=torch.contiguous_format)
    channels, (width, height) = len(spec.input.mean), spec.input.size_wh
    program = torch.onnx.export(
        plain,
        (torch.zeros(2, channels, height, width),),
        input_names=[spec.input.name],
        output_names=list(spec.outputs),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    model: onnx.ModelProto = program.model_proto
    _fold_padding(model)
    expose_embedding(model)
    return model


def _fold_batch_norm(module: nn.Module) -> nn.Module:
    """Merge every batch norm that follows a convolution in its parent into that convolution."""
    for convolution, norm in list(folded_pairs(module)):
        merged = fuse_conv_bn_eval(module.get_submodule(convolution), module.get_submodule(norm))
        module.set_submodule(convolution, merged)
        module.set_submodule(norm, nn.Identity())
    return module


def _fold_padding(model: onnx.ModelProto) -> None:
    """Move padding with zeros into the convolution after it, which pads at no cost."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    for convolution in [node for node in graph.node if node.op_type == "Conv"]:
        pad = pads.get(convolution.input[0])
        if pad is None or pad.input[1] not in constants:
            continue
        before_after = constants[pad.input[1]].reshape(2, 4)[:, 2:].reshape(-1)
        attribute = next(a for a in convolution.attribute if a.name == "pads")
        attribute.ints[:] = [int(n) for n in np.add(attribute.ints, before_after)]
        convolution.input[0] = pad.input[0]
        graph.node.remove(pad)


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large weights as float16, widened when the model is loaded: half the file, and all
    arithmetic stays in float32.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts = []
    for tensor in halved.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < _SMALLEST_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [f"{name}_fp16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved


def write_model(model: onnx.ModelProto, spec: ModelSpec, folder: Path) -> CatalogEntry:
    """Write a model with its spec in its metadata, and the sidecar beside it.

    Args:
        spec: ``file`` names the file; outputs and checksum are filled in.
    """
    outputs = tuple(output.name for output in model.graph.output)
    spec = dataclasses.replace(spec, outputs=outputs)
    inside = dataclasses.replace(spec, sha256=None)
    _remove_traces(model)
    helper.set_model_props(model, {METADATA_KEY: spec_to_json(inside)})
    onnx.checker.check_model(model)
    path = folder / spec.file
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    onnx.save(model, part)
    part.replace(path)
    complete = dataclasses.replace(spec, sha256=checksum(path))
    sidecar_path(path).write_text(spec_to_json(complete), encoding="utf-8")
    return CatalogEntry(complete, path, shipped=False)


@torch.no_grad()
def check_export(
    entry: CatalogEntry, network: ExpressionNetwork, head: str, crops: list[Image], tolerance: float
) -> float:
    """Compare a file with the network that it was made from; the largest difference of a logit.

    Args:
        crops: aligned faces of the input's size.

    Raises:
        ModelError: the difference is above the tolerance.
    """
    batch = imaging.to_input(crops, entry.spec.input)
    given = Session(entry.path).run({entry.spec.input.name: batch})[0]
    expected = network.cpu().eval()(torch.from_numpy(batch))[head].numpy()
    difference = float(np.abs(given - expected).max())
    if not difference <= tolerance:
        raise ModelError(
            f"expected logits of {entry.path} within {tolerance} of the trained network's, "
            f"got a difference of {difference:.2g}"
        )
    return difference


def _remove_traces(model: onnx.ModelProto) -> None:
    """Remove what torch notes on its export: stack traces with paths of this machine."""
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    for part in [*graphs, *(node for graph in graphs for node in graph.node)]:
        del part.metadata_props[:]
        part.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.initializer]:
        del value.metadata_props[:]
