"""Models whose last layer is mixed from several heads."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.expression.neural import NeuralClassifier
from mien.runtime import catalog

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
    monkeypatch.setattr("sys.argv", ["mix_heads.py", str(file), "--weights", weights])
    tool.main()
    return NeuralClassifier(catalog.find(file))


@pytest.fixture(scope="module")
def crops() -> list[Any]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (3, 96, 96), np.uint8))


def test_own_head_alone_predicts_as_before(
    tool: Any, tmp_path: Path, crops: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = NeuralClassifier(catalog.find("transfer")).classify(crops)
    after = mixed(tool, tmp_path, "ferplus=1", monkeypatch).classify(crops)
    for old, new in zip(before, after, strict=True):
        assert new.probabilities == pytest.approx(old.probabilities, abs=0.005)


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
