from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from mien.errors import DataError, SettingError
from mien.training.networks import TRUNKS, blend_with_start, build_network, load_start
from mien.training.networks.heads import ExpressionNetwork

pytestmark = pytest.mark.e2e


def network(seed: int, architecture: str = "compact") -> ExpressionNetwork:
    torch.manual_seed(seed)
    return build_network(architecture, 1, {"expression": 8, "second": 7}, 0.0)


@pytest.mark.parametrize("architecture", TRUNKS)
def test_every_network_has_one_logit_for_each_label(architecture: str) -> None:
    logits = network(0, architecture).eval()(torch.zeros(2, 1, 48, 48))
    assert {head: tuple(value.shape) for head, value in logits.items()} == {
        "expression": (2, 8),
        "second": (2, 7),
    }


def test_the_scratch_network_is_compact() -> None:
    assert sum(parameter.numel() for parameter in network(0).parameters()) < 1_500_000


def test_an_unknown_architecture_is_told() -> None:
    with pytest.raises(SettingError, match="expected an architecture"):
        build_network("giant", 1, {"expression": 8}, 0.0)


def test_blending_goes_part_of_the_way_back(tmp_path: Path) -> None:
    start, trained = network(1), network(2)
    kept = {k: v.numpy() for k, v in start.state_dict().items() if not k.startswith("heads.second")}
    np.savez(tmp_path / "start.npz", **kept)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    blend_with_start(trained, tmp_path / "start.npz", 0.25)
    after = trained.state_dict()
    name = "heads.expression.weight"
    expected = 0.75 * before[name] + 0.25 * start.state_dict()[name]
    assert torch.allclose(after[name], expected, atol=1e-6)
    assert torch.equal(after["heads.second.weight"], before["heads.second.weight"])


def test_starting_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = {"trunk.other": np.zeros(3)}
    np.savez(tmp_path / "start.npz", **weights)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="expected weights for this network"):
        load_start(network(0), tmp_path / "start.npz")


def test_learned_pooling_starts_as_the_mean() -> None:
    plain = build_network("mobilenet", 1, {"expression": 8}, 0.0).eval()
    pooled = build_network("mobilenet", 1, {"expression": 8}, 0.0, pooling_size=96).eval()
    pooled.trunk.layers.load_state_dict(plain.trunk.layers.state_dict())
    faces = torch.rand(2, 1, 96, 96)
    expected, features = plain.trunk(faces), pooled.trunk(faces)
    assert features.shape == (2, 512 + 1024)
    assert torch.allclose(features[:, 512:], expected, atol=1e-5)


def test_learned_pooling_is_for_mobilenet() -> None:
    with pytest.raises(SettingError, match="learned_pooling is there for mobilenet only"):
        build_network("compact", 1, {"expression": 8}, 0.0, pooling_size=48)


def test_a_start_without_pools_is_taken(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = build_network("mobilenet", 1, {"expression": 8}, 0.0)
    weights = {k: v.numpy() for k, v in plain.state_dict().items() if k.startswith("trunk.")}
    np.savez(tmp_path / "start.npz", **weights)
    pooled = build_network("mobilenet", 1, {"expression": 8}, 0.0, pooling_size=64)
    load_start(pooled, tmp_path / "start.npz")
    assert torch.equal(pooled.trunk.layers[0].conv.weight, plain.trunk.layers[0].conv.weight)
