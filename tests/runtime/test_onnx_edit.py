"""Adding nodes to a model file."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from mien.errors import ModelFileError
from mien.runtime.onnx_edit import Node, extend_model, names_in, opset_of


def _model() -> bytes:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "graph",
        [onnx.helper.make_tensor_value_info("x", 1, ["batch", 2])],
        [onnx.helper.make_tensor_value_info("y", 1, ["batch", 2])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.helper.set_model_props(model, {"old": "fact"})
    return bytes(model.SerializeToString())


def test_the_result_is_a_valid_model_that_computes_the_nodes() -> None:
    weights = {
        "w": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        "b": np.array([0.5, 0, -1], np.float32),
    }
    nodes = [
        Node("Gemm", ("y", "w", "b"), "z"),
        Node("LogSoftmax", ("z",), "logs", {"axis": 1}),
    ]
    made = extend_model(_model(), nodes, weights, {"z": 3, "y": 2}, {"key": "Wert: ü" * 50})
    onnx.checker.check_model(onnx.load_from_string(made), full_check=True)
    session = ort.InferenceSession(made)
    z, y = session.run(None, {"x": np.array([[1, -1], [2, 1]], np.float32)})
    assert y.tolist() == [[1, 0], [2, 1]]
    # By hand: [1, 0] @ w + b and [2, 1] @ w + b.
    assert z.tolist() == [[1.5, 2, 2], [6.5, 9, 11]]
    assert session.get_modelmeta().custom_metadata_map == {"key": "Wert: ü" * 50}
    assert [output.name for output in session.get_outputs()] == ["z", "y"]


def test_reads_names_and_version() -> None:
    assert names_in(_model()) == {"x", "y"}
    assert opset_of(_model()) == 18


@pytest.mark.parametrize("data", [b"\x3a\xff", b"\xff\xff", b"\x3f", b"not a model"])
def test_rejects_what_is_no_model(data: bytes) -> None:
    with pytest.raises(ModelFileError, match="expected an ONNX model"):
        extend_model(data, [], {}, {}, {})
