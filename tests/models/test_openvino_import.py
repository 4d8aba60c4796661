"""Conversion of OpenVINO's intermediate representation to ONNX."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("onnx")
TOOLS = Path(__file__).resolve().parents[2] / "tools"

LIMITS = np.array([0, 4, -1, 1], np.float16)  # of the weights: levels 0 to 4 mean -1 to 1
ACTIVATION = np.array([0, 2, 0, 2], np.float16)
WEIGHTS = np.array([[[[0, 4], [3, 2]]], [[[4, 4], [2, 2]]]], np.uint8)
BIAS = np.array([0.5, -1], np.float16)
CONSTANTS = [*LIMITS, *ACTIVATION]


def _layer(number: int, kind: str, data: str = "", inputs: int = 0) -> str:
    ports = "".join(f'<port id="{port}"/>' for port in range(inputs))
    return (
        f'<layer id="{number}" name="{kind}_{number}" type="{kind}"><data {data}/>'
        f"<input>{ports}</input></layer>"
    )


def _network(last_kind: str = "SoftMax") -> tuple[bytes, bytes]:
    """Clipped image, 2×2 convolution with 8-bit weights, bias, rectifier, and a last layer."""
    numbers = b"".join(np.float16(value).tobytes() for value in CONSTANTS)
    weights = WEIGHTS.tobytes() + BIAS.tobytes() + numbers
    layers = [
        _layer(0, "Parameter", 'shape="1,1,2,2" element_type="f32"'),
        _layer(1, "Const", 'element_type="u8" shape="2,1,2,2" offset="0" size="8"'),
        _layer(2, "Const", 'element_type="f16" shape="1,2,1,1" offset="8" size="4"'),
        _layer(3, "Convert", 'destination_type="f16"', 1),
        _layer(4, "FakeQuantize", 'levels="5"', 5),
        _layer(5, "FakeQuantize", 'levels="256"', 5),
        _layer(
            6,
            "Convolution",
            'strides="1,1" pads_begin="0,0" pads_end="0,0" dilations="1,1"',
            2,
        ),
        _layer(7, "Add", "", 2),
        _layer(8, "ReLU", "", 1),
        _layer(9, last_kind, "", 1),
        _layer(10, "Result", "", 1),
    ]
    layers += [
        _layer(20 + i, "Const", f'element_type="f16" shape="" offset="{12 + 2 * i}" size="2"')
        for i in range(len(CONSTANTS))
    ]
    sources = {3: [1], 4: [3, 20, 21, 22, 23], 5: [0, 24, 25, 26, 27], 6: [5, 4], 7: [6, 2]}
    sources |= {8: [7], 9: [8], 10: [9]}
    edges = "".join(
        f'<edge from-layer="{source}" from-port="0" to-layer="{target}" to-port="{port}"/>'
        for target, of_target in sources.items()
        for port, source in enumerate(of_target)
    )
    xml = f"<net><layers>{''.join(layers)}</layers><edges>{edges}</edges></net>"
    return xml.encode(), weights


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    module = importlib.import_module("model_import.openvino")
    return lambda network: module.to_onnx(
        *network, image="image", output="logits", opset=17, ir_version=8
    )


def test_converts_quantized_layers(convert: Any) -> None:
    model = convert(_network())
    session = ort.InferenceSession(model.SerializeToString())
    images = np.array([[[[1, 2], [0.5, 0]]], [[[3, -1], [1, 1]]]], np.float32)
    (logits,) = session.run(["logits"], {"image": images})
    kernels = np.array([[-1, 1, 0.5, 0], [1, 1, 0, 0]])
    expected = np.maximum(np.clip(images, 0, 2).reshape(2, 4) @ kernels.T + BIAS, 0)
    assert logits == pytest.approx(expected)


def test_rejects_unknown_layers(convert: Any) -> None:
    with pytest.raises(ValueError, match="supported kind of layer, got Elu"):
        convert(_network("Elu"))
