"""Shared by all tests: an untouched environment, sample photographs, tiny real models."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.labels import Expression
from mien.runtime.spec import METADATA_KEY, spec_to_json
from mien.samples import sample_paths
from mien.types import InputSpec, ModelSpec

TinyModel = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting and no added model of the person who runs the tests has a say in them."""
    for name in list(os.environ):
        if name.startswith("MIEN_") and name != "MIEN_SHARED_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("MIEN_DATA_DIR", str(tmp_path / "mien-data"))


@pytest.fixture(scope="session")
def samples() -> dict[str, Path]:
    """The sample photographs that ship with mien, by name without ending."""
    return {path.stem: path for path in sample_paths()}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data that is not part of the project: MIEN_SHARED_DATA, or ../shared."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("MIEN_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"needs data that do not ship: no folder {folder}; see MIEN_SHARED_DATA")
    return folder


@pytest.fixture
def tiny_expression_model(tmp_path: Path) -> TinyModel:
    """Makes ONNX expression models that say: bright is happiness, dark is neutral.

    The returned function takes ``name``, ``with_spec`` (whether the spec stands in the file) and
    ``folder``, and returns the path. The logits of an 8×8 grey picture in [0, 1] are its mean for
    happiness, one minus its mean for neutral, and 0 for the rest, each times ten.
    """

    def make(
        name: str = "tiny", *, with_spec: bool = True, folder: Path = tmp_path / "tiny-models"
    ) -> Path:
        labels = tuple(Expression)
        weights = np.zeros((1, len(labels)), np.float32)
        bias = np.zeros(len(labels), np.float32)
        weights[0, labels.index(Expression.HAPPINESS)] = 10
        weights[0, labels.index(Expression.NEUTRAL)] = -10
        bias[labels.index(Expression.NEUTRAL)] = 10
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["mean"]),
                helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
            ],
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(labels)])],
            [
                numpy_helper.from_array(weights, "weights"),
                numpy_helper.from_array(bias, "bias"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        spec = ModelSpec(
            name=name,
            task="expression",
            file=f"{name}.onnx",
            input=InputSpec("image", (8, 8), "grey", mean=(0.0,), std=(255.0,)),
            outputs=("logits",),
            licence="MIT",
            source="built by the tests",
            labels=labels,
            training_prior=(1 / len(labels),) * len(labels),
        )
        if with_spec:
            helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        return path

    return make
