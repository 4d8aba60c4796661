"""Starting from weights in a file, and from an exported model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from mien.errors import DataError, ModelNotFoundError, SettingError
from mien.runtime import catalog
from mien.training import export
from mien.training.dataset import MAIN_HEAD, Faces
from mien.training.networks import ExpressionNetwork, build_network
from mien.training.recipe import Recipe, load_recipe
from mien.training.transfer import blend, load_start
from mien.types import InputSpec, ModelSpec

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]
SIZE = 32
Starting = Callable[..., Recipe]


@pytest.fixture
def starting(recipe_path: Path) -> Starting:
    """The tiny recipe with a start, and whatever else is to be different."""

    def make(start: str, *changes: tuple[str, str]) -> Recipe:
        text = recipe_path.read_text(encoding="utf-8")
        for change in (('architecture = "', f'start = "{start}"\narchitecture = "'), *changes):
            text = text.replace(*change)
        path = recipe_path.with_name("started.toml")
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    return make


def faces(count: int = 40) -> Faces:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (count, SIZE, SIZE), dtype=np.uint8)
    transforms = np.repeat(np.eye(2, 3)[None], count, axis=0)
    return Faces(images, transforms, (SIZE, SIZE), {MAIN_HEAD: np.zeros((count, 3), np.float32)})


def network(seed: int, architecture: str = "compact", labels: int = 3) -> ExpressionNetwork:
    torch.manual_seed(seed)
    made = build_network(architecture, 1, {MAIN_HEAD: labels}, 0.0)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.running_mean) * 0.1
            module.running_var = torch.rand_like(module.running_var) + 0.5
    made.eval()
    return made


def exported(trained: ExpressionNetwork, folder: Path, *, halved: bool = False) -> None:
    spec = ModelSpec(
        name="start",
        task="expression",
        file="start.onnx",
        input=InputSpec("image", (SIZE, SIZE), "gray", (127.5,), (64.0,)),
        outputs=("logits",),
        license="MIT",
        source="a test",
        labels=load_recipe(folder / "tiny.toml").network.labels,
    )
    model = export.to_onnx(trained, MAIN_HEAD, spec)
    export.write_model(export.halve_weights(model) if halved else model, spec, folder)


def outputs(of: ExpressionNetwork) -> torch.Tensor:
    learned = faces()
    pixels = torch.from_numpy(learned.images[:, None]).float().sub(127.5).div(64.0)
    with torch.no_grad():
        logits: torch.Tensor = of(pixels)[MAIN_HEAD]
    return logits


@pytest.mark.parametrize("architecture", ["compact", "mobilenet"])
def test_an_exported_model_starts_as_the_same_function(
    starting: Starting, architecture: str, tmp_path: Path
) -> None:
    trained = network(1, architecture)
    exported(trained, tmp_path)
    recipe = starting("start.onnx", ("compact", architecture))
    started = network(2, architecture)
    load_start(started, recipe, tmp_path, faces())
    assert torch.allclose(outputs(started.eval()), outputs(trained), atol=1e-3)


def test_learned_pooling_starts_as_the_same_function(starting: Starting, tmp_path: Path) -> None:
    trained = network(1, "mobilenet")
    exported(trained, tmp_path)
    recipe = starting("start.onnx", ("compact", "mobilenet"))
    started = build_network("mobilenet", 1, {MAIN_HEAD: 3}, 0.0, pooling_size=SIZE)
    load_start(started, recipe, tmp_path, faces())
    assert torch.allclose(outputs(started.eval()), outputs(trained), atol=1e-3)


def test_restores_batch_norm(starting: Starting, tmp_path: Path) -> None:
    """In training mode each layer sees mean 0 and variance 1 before its scale, as if trained so."""
    exported(network(1), tmp_path, halved=True)
    started = network(2)
    learned = faces()
    load_start(started, starting("start.onnx"), tmp_path, learned)
    norm = started.trunk.layers[0][1]
    pixels = torch.from_numpy(learned.images[:, None]).float().sub(127.5).div(64.0)
    with torch.no_grad():
        raw = started.trunk.layers[0][0](pixels)
    assert torch.allclose(norm.running_mean, raw.mean(dim=(0, 2, 3)), atol=1e-3)
    assert torch.allclose(norm.running_var, raw.var(dim=(0, 2, 3), unbiased=False), rtol=1e-2)


def test_copies_the_head_rows_of_shared_labels(starting: Starting, tmp_path: Path) -> None:
    trained = network(1)
    exported(trained, tmp_path)
    recipe = starting("start.onnx", ('"happiness", "surprise"', '"anger", "happiness"'))
    started = network(2)
    before = started.heads[MAIN_HEAD].weight[1].clone()
    names = load_start(started, recipe, tmp_path, faces())
    head, own = trained.heads[MAIN_HEAD].weight, started.heads[MAIN_HEAD].weight
    assert torch.allclose(own[0], head[0], atol=1e-3)
    assert torch.allclose(own[2], head[1], atol=1e-3)
    assert torch.equal(own[1], before)
    assert f"heads.{MAIN_HEAD}.weight" not in names


def test_a_shipped_model_is_a_start(starting: Starting, tmp_path: Path) -> None:
    recipe = starting("scratch")
    started = network(2)
    load_start(started, recipe, tmp_path, faces(4))
    entry = catalog.find("scratch")
    assert started.trunk.layers[0][0].weight.shape[0] == 32
    assert not torch.equal(started.trunk.layers[0][0].weight, network(2).trunk.layers[0][0].weight)
    assert entry.shipped


def test_rejects_another_normalization(starting: Starting, tmp_path: Path) -> None:
    exported(network(1), tmp_path)
    with pytest.raises(SettingError, match=r"expected \[input\] mean and std"):
        load_start(network(2), starting("start.onnx", ("127.5", "120.0")), tmp_path, faces())


def test_rejects_models_that_are_no_expression_networks(starting: Starting, tmp_path: Path) -> None:
    for name in ("blazeface", "classical"):
        with pytest.raises(SettingError, match="expected an expression network"):
            load_start(network(2), starting(name), tmp_path, faces())


def test_rejects_weights_of_another_network(starting: Starting, tmp_path: Path) -> None:
    exported(network(1, "mobilenet"), tmp_path)
    with pytest.raises(DataError, match="expected weights of this network"):
        load_start(network(2), starting("start.onnx"), tmp_path, faces())
    np.savez(tmp_path / "other.npz", **{"trunk.other": np.zeros(3)})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="expected weights of this network"):
        load_start(network(2), starting("other.npz"), tmp_path, faces())


def test_rejects_missing_start(starting: Starting, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nosuch"):
        load_start(network(2), starting("nosuch"), tmp_path, faces())
    with pytest.raises(DataError, match=r"nosuch\.npz"):
        load_start(network(2), starting("nosuch.npz"), tmp_path, faces())


def test_weights_in_a_file_fill_what_they_name(starting: Starting, tmp_path: Path) -> None:
    source = network(1)
    kept = {k: v.numpy() for k, v in source.state_dict().items() if k.startswith("trunk.")}
    np.savez(tmp_path / "start.npz", **kept)
    started = network(2)
    names = load_start(started, starting("start.npz"), tmp_path, faces(1))
    assert set(names) == set(kept)
    assert torch.equal(started.trunk.layers[0][0].weight, source.trunk.layers[0][0].weight)


def test_blending_goes_part_of_the_way_back() -> None:
    trained, start = network(1), network(2)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    name, other = "trunk.layers.0.0.weight", f"heads.{MAIN_HEAD}.weight"
    blend(trained, start, [name], 0.25)
    after = trained.state_dict()
    expected = 0.75 * before[name] + 0.25 * start.state_dict()[name]
    assert torch.allclose(after[name], expected, atol=1e-6)
    assert torch.equal(after[other], before[other])
