"""The wrapper of OpenCV's FaceDetectorYN, with a generated model that has YuNet's interface."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.detection import FaceDetector, YuNet, build_detector
from mien.errors import ModelFileError, ModelNotFoundError


@pytest.fixture(scope="module")
def yunet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that detects a face in each white cell of 32 by 32 pixels.

    Its outputs have YuNet's names and shapes: class and object scores, boxes and
    points of every cell, for the strides 8, 16 and 32. Only the last one detects anything.
    """
    nodes, weights = [], []
    for name, columns in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        weights.append(
            numpy_helper.from_array(np.array([1, -1, columns], np.int64), f"{name}_shape")
        )
        for stride in (8, 16, 32):
            kernel = np.zeros((columns, 3, 1, 1), np.float32)
            if stride == 32 and name in ("cls", "obj"):
                kernel[:] = 1 / 3 / 255
            weights.append(numpy_helper.from_array(kernel, f"{name}_{stride}_kernel"))
            nodes += [
                helper.make_node(
                    "AveragePool",
                    ["input"],
                    [f"{name}_{stride}_pooled"],
                    kernel_shape=[stride, stride],
                    strides=[stride, stride],
                ),
                helper.make_node(
                    "Conv",
                    [f"{name}_{stride}_pooled", f"{name}_{stride}_kernel"],
                    [f"{name}_{stride}_grid"],
                    kernel_shape=[1, 1],  # OpenCV 4.10 cannot infer it
                ),
                helper.make_node(
                    "Transpose",
                    [f"{name}_{stride}_grid"],
                    [f"{name}_{stride}_last"],
                    perm=[0, 2, 3, 1],
                ),
                helper.make_node(
                    "Reshape", [f"{name}_{stride}_last", f"{name}_shape"], [f"{name}_{stride}"]
                ),
            ]
    outputs = [
        helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, [1, None, columns])
        for name, columns in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for stride in (8, 16, 32)
    ]
    graph = helper.make_graph(
        nodes,
        "yunet-interface",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])],
        outputs,
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path_factory.mktemp("yunet") / "interface.onnx"
    onnx.save(model, path)
    return path


def test_results_are_in_pixels_of_the_image(yunet_file: Path) -> None:
    detector = build_detector(f"yunet:{yunet_file}")
    assert isinstance(detector, FaceDetector)
    image = np.zeros((200, 300, 3), np.uint8)
    image[64:96, 128:160] = 255
    (face,) = detector.detect(image)
    # A cell at column 4, row 2 with offsets of 0: centered on the cell's corner, one stride wide.
    assert face.box.to_array() == pytest.approx([112, 48, 144, 80])
    assert face.score == pytest.approx(1.0, abs=0.01)
    assert face.landmarks is not None
    assert face.landmarks.scheme == "five"
    assert face.landmarks.points == pytest.approx(np.tile([128.0, 64.0], (5, 1)))
    assert detector.detect(np.zeros((90, 70, 3), np.uint8)) == []


def test_reports_missing_files_and_names() -> None:
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        build_detector("yunet:nowhere.onnx")
    with pytest.raises(ModelNotFoundError, match="yunet:face_detection"):
        build_detector("yunet")


def test_rejects_files_that_are_not_models(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("no model")
    with pytest.raises(ModelFileError, match=r"text\.onnx"):
        YuNet(path).detect(np.zeros((64, 64, 3), np.uint8))
