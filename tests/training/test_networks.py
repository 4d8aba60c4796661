import pytest

pytest.importorskip("torch")

import torch

from mien.errors import SettingError
from mien.training.networks import _TRUNKS, ExpressionNetwork, build_network

pytestmark = pytest.mark.e2e


def network(seed: int, architecture: str = "compact") -> ExpressionNetwork:
    torch.manual_seed(seed)
    return build_network(architecture, 1, {"expression": 8, "second": 7}, 0.0)


@pytest.mark.parametrize("architecture", _TRUNKS)
def test_every_network_has_one_logit_for_each_label(architecture: str) -> None:
    logits = network(0, architecture).eval()(torch.zeros(2, 1, 48, 48))
    assert {head: tuple(value.shape) for head, value in logits.items()} == {
        "expression": (2, 8),
        "second": (2, 7),
    }


def test_the_scratch_network_is_compact() -> None:
    assert sum(parameter.numel() for parameter in network(0).parameters()) < 1_500_000


def test_rejects_unknown_architecture() -> None:
    with pytest.raises(SettingError, match="expected an architecture"):
        build_network("giant", 1, {"expression": 8}, 0.0)


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


def test_widths_are_the_channels_of_each_layer() -> None:
    widths = (4, 8, 8, 8, 8, 8, 16, 16, 16, 16, 16, 16, 24, 32)
    narrow = build_network("mobilenet", 1, {"expression": 8}, 0.0, widths=widths).eval()
    assert narrow.trunk(torch.zeros(2, 1, 96, 96)).shape == (2, 32)
    made = [layer.conv.out_channels for layer in narrow.trunk.layers]
    assert [made[0], *made[2::2]] == list(widths)


@pytest.mark.parametrize(
    ("architecture", "widths", "message"),
    [
        ("compact", (8,) * 14, "widths are there for mobilenet only"),
        ("mobilenet", (8, 8), "expected 14 widths without learned_pooling, got 2"),
    ],
)
def test_rejects_widths_of_another_network(
    architecture: str, widths: tuple[int, ...], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        build_network(architecture, 1, {"expression": 8}, 0.0, widths=widths)
