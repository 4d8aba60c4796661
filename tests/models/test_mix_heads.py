"""Models whose last layer is mixed from several heads."""

import importlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mien import imaging
from mien.expression.neural import NeuralClassifier
from mien.runtime import catalog
from mien.runtime.session import Session

pytest.importorskip("onnx")
TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("mix_heads")


def mixed(
    tool: Any, folder: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> NeuralClassifier:
    file = folder / "mixed.onnx"
    shares = ["--small", weights, "--sharp", weights]
    monkeypatch.setattr("sys.argv", ["mix_heads.py", str(file), *shares])
    tool.main()
    return NeuralClassifier(catalog.find(file))


@pytest.fixture(scope="module")
def crops() -> list[Any]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (3, 96, 96), np.uint8))


def test_shipped_model_is_what_the_tool_makes(
    tool: Any, tmp_path: Path, crops: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "again.onnx"
    monkeypatch.setattr("sys.argv", ["mix_heads.py", str(file)])
    tool.main()
    made, shipped = NeuralClassifier(catalog.find(file)), NeuralClassifier(catalog.find("transfer"))
    assert made.logits(crops) == pytest.approx(shipped.logits(crops), abs=1e-5)
    assert made.spec.training_prior == shipped.spec.training_prior


@pytest.mark.parametrize("pixels", [24, 48, 96])
def test_gate_follows_the_finest_details(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    path = catalog.shipped_folder().parent / "samples" / "person-a-neutral.jpg"
    with Image.open(path) as photograph:
        gray = np.asarray(photograph.convert("L").resize((pixels, pixels), Image.Resampling.BOX))
    crop: Any = cv2.resize(gray, (96, 96))
    ratio = detail(crop) / detail(cv2.resize(crop, (48, 48), interpolation=cv2.INTER_AREA))
    share = 1 / (1 + np.exp(19.0 * (np.log(ratio) + 0.877)))
    small = mixed(tool, tmp_path, tool.SMALL, monkeypatch).logits([crop])
    parts = tool.mixtures(tool.parse_shares(tool.SMALL), tool.parse_shares(tool.SHARP))
    weight, bias = parts["sharp"]
    entry = catalog.find("transfer")
    image = {entry.spec.input.name: imaging.to_input([crop], entry.spec.input)}
    logits, embedding = Session(entry.path).run(image)
    sharp = embedding @ weight.T + bias
    assert logits == pytest.approx(share * small + (1 - share) * sharp, abs=0.15)
    assert (share > 0.9) == (pixels <= 48)
    assert (share < 0.1) == (pixels == 96)


def detail(gray: Any) -> float:
    """Mean difference of a pixel from the weighted mean around it."""
    values = gray.astype(np.float32)
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
    return float(np.abs(values - cv2.filter2D(values, -1, kernel))[1:-1, 1:-1].mean()) + 0.02


def test_mixture_adds_log_probabilities(
    tool: Any, tmp_path: Path, crops: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"ferplus": 0.6, "world": 0.4}
    logs = np.zeros((len(crops), 8))
    for name, share in parts.items():
        model = mixed(tool, tmp_path, f"{name}=1", monkeypatch)
        logs = logs + share * model.logits(crops).astype(np.float64)
    text = ",".join(f"{name}={share}" for name, share in parts.items())
    model = mixed(tool, tmp_path, text, monkeypatch)
    assert model.logits(crops) == pytest.approx(logs, abs=0.02)
    sidecar = json.loads((tmp_path / "mixed.json").read_text())
    assert sum(sidecar["training_prior"]) == pytest.approx(1, abs=1e-3)
    assert "ferplus 0.6" in sidecar["source"]


@pytest.mark.parametrize("weights", ["ferplus=0.5", "ferplus=0.5,other=0.5"])
def test_rejects_other_weights(tool: Any, weights: str) -> None:
    with pytest.raises(SystemExit, match="expected weights of ferplus"):
        tool.parse_shares(weights)
