"""Quantization to 8 bits. Needs the ``onnx`` package, which the extra ``train`` installs."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

Batch = npt.NDArray[np.float32]

_LINEAR = ("Gemm", "MatMul")


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, batches: Iterable[Batch]) -> None:
        self._feeds: Iterator[dict[str, Batch]] = ({name: batch} for batch in batches)

    def get_next(self) -> dict[str, Batch] | None:
        return next(self._feeds, None)


def quantize(model: onnx.ModelProto, input_name: str, batches: Iterable[Batch]) -> onnx.ModelProto:
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
