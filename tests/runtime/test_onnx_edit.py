"""Adding nodes to a model file."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from mien.errors import ModelFileError
from mien.runtime.onnx_edit import Node, append_model, extend_model, free_prefix, opset_of


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


def test_appends_another_model_under_new_names() -> None:
    other = extend_model(
        _model(), [Node("Mul", ("y", "w"), "z")], {"w": np.array([10, 100], np.float32)}, {"z": 2}
    )
    first = extend_model(_model(), [Node("Neg", ("y",), "minus")], {})
    made = append_model(first, other, {"x": "x", "z": "scaled"}, "p_", outputs={"scaled": 2})
    onnx.checker.check_model(onnx.load_from_string(made), full_check=True)
    y, scaled = ort.InferenceSession(made).run(None, {"x": np.array([[1, -1]], np.float32)})
    assert y.tolist() == [[1, 0]]
    assert scaled.tolist() == [[10, 0]]


def test_whole_numbers_are_weights_as_well() -> None:
    nodes = [Node("Gather", ("y", "at"), "z", {"axis": 1})]
    made = extend_model(_model(), nodes, {"at": np.array([1, 0], np.int64)}, {"z": 2})
    (z,) = ort.InferenceSession(made).run(None, {"x": np.array([[3, 4]], np.float32)})
    assert z.tolist() == [[4, 3]]


def test_finds_a_free_prefix_and_the_version() -> None:
    assert free_prefix(_model(), "new") == "new"
    assert free_prefix(_model(), "y") == "y_"
    assert opset_of(_model()) == 18


@pytest.mark.parametrize("data", [b"\x3a\xff", b"\xff\xff", b"\x3f", b"not a model"])
def test_rejects_what_is_no_model(data: bytes) -> None:
    with pytest.raises(ModelFileError, match="expected an ONNX model"):
        extend_model(data, [], {}, {}, {})
