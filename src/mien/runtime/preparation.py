"""Preparing trained networks for use. Needs the package ``onnx``, as in the extra ``train``."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mien.runtime.spec import EMBEDDING


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


_Batch = npt.NDArray[np.float32]

_LINEAR = ("Gemm", "MatMul")


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, batches: Iterable[_Batch]) -> None:
        self._feeds: Iterator[dict[str, _Batch]] = ({name: batch} for batch in batches)

    def get_next(self) -> dict[str, _Batch] | None:
        return next(self._feeds, None)


def quantize(model: onnx.ModelProto, input_name: str, batches: Iterable[_Batch]) -> onnx.ModelProto:
    """Quantize weights and activations to 8-bit integers, calibrated with real inputs.

    Linear layers stay as they are: they are small, and the embedding before the last is an output.

    Args:
        model: float32 model.
        input_name: name of its only input.
        batches: inputs to calibrate the ranges of the activations with.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(model, folder / "float.onnx")
        quant_pre_process(folder / "float.onnx", folder / "ready.onnx")
        ready = onnx.load(folder / "ready.onnx")
        options: dict[str, Any] = {"ActivationSymmetric": False, "WeightSymmetric": True}
        quantize_static(
            folder / "ready.onnx",
            folder / "int8.onnx",
            _Batches(input_name, batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Seven bits for weights: with eight, x86 without VNNI overflows its 16-bit sums.
            reduce_range=True,
            nodes_to_exclude=[node.name for node in ready.graph.node if node.op_type in _LINEAR],
            extra_options=options,
        )
        return onnx.load(folder / "int8.onnx")
