"""Networks that keep the most useful channels of a wider one."""

import importlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from mien.training.networks import _MOBILENET_WIDTHS, build_network

pytestmark = pytest.mark.e2e
TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("prune_network")


def test_as_many_channels_as_before_compute_the_same(tool: Any) -> None:
    torch.manual_seed(0)
    widths = tuple(width // 8 for width in _MOBILENET_WIDTHS)
    wide, narrow = (
        build_network("mobilenet", 1, {"expression": 3}, 0.0, widths=widths).eval()
        for _ in range(2)
    )
    pixels = torch.randn(24, 1, 64, 64)
    tool.prune(wide, narrow, pixels)
    with torch.no_grad():
        expected, given = (network(pixels)["expression"] for network in (wide, narrow))
    assert torch.allclose(given, expected, atol=0.02 * float(expected.std()))


def test_channels_that_say_nothing_new_go_first(tool: Any) -> None:
    signal = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    values = torch.cat([signal, signal[:, :2] * 0.5], dim=1)
    kept = tool._choose(values, torch.ones(5), 3, torch.Generator().manual_seed(2))
    assert kept.tolist() == [0, 1, 2]
