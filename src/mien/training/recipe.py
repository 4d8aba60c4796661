"""A training run as a TOML file."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import SettingError
from mien.evaluation.readers.fer2013 import Labeling, parse_labeling
from mien.labels import Expression, parse_expression
from mien.training.augmentation import Augmentation
from mien.types import AlignmentTemplate, InputSpec, ModelSpec


@dataclass(frozen=True, slots=True)
class NetworkRecipe:
    """What is trained.

    Attributes:
        architecture: a name in :data:`mien.training.networks.TRUNKS`.
        start: an installed model by name, or a file beside the recipe unless absolute, see
            :func:`mien.training.pretrained.load_start`; none for random initialization.
        frozen_layers: so many first layers of the trunk stay as they started, batch norm
            statistics included: it saves their share of the time.
        start_share: of the starting weights in the exported ones; see
            :func:`mien.training.pretrained.blend`.
        dropout: before the heads.
        learned_pooling: weights for each channel and place of the last two maps, in the place of
            the mean over the last; for mobilenet.
        labels: of the main head, in the order of its logits.
        second_head: loss weight of a head for the data set's second label set; 0 for none.
    """

    architecture: str
    labels: tuple[Expression, ...]
    start: str | None = None
    dropout: float = 0.2
    second_head: float = 0.0
    frozen_layers: int = 0
    start_share: float = 0.0
    learned_pooling: bool = False


@dataclass(frozen=True, slots=True)
class InputRecipe:
    """How a face becomes the network's input.

    Attributes:
        size: side of the aligned crop in pixels.
        mean, std: of the gray levels 0..255.
        scheme: of the landmarks.
        indices, points: the alignment template, points as fractions of the crop.
    """

    size: int
    mean: float
    std: float
    scheme: str
    indices: tuple[int, ...]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class OptimizerRecipe:
    """How it is trained.

    Attributes:
        epochs: faces shown, in units of the training set's size.
        batch_size: over all processes.
        learning_rate, head_learning_rate: peaks of the trunk's and the heads' rates.
        weight_decay: of AdamW; none on biases and norms.
        warmup_epochs: linear rise of the rate, before the cosine fall to zero.
        average_decay: of the moving average of the weights.
        mixup: alpha of the Beta distribution (Zhang et al. 2018); 0 for none.
        balance: see :func:`mien.training.balance.draw_probabilities`.
        patience: epochs without improvement after which training stops; 0 for never.
        seed: of everything random.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    average_decay: float = 0.998
    mixup: float = 0.0
    balance: float = 0.0
    patience: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class DistillationRecipe:
    """What is learned from other models; see :func:`mien.training.distillation.taught`.

    Attributes:
        teachers: files beside the recipe, or names of installed models.
        share: of the teachers' answers in what the main head learns, in [0, 1].
    """

    teachers: tuple[str, ...] = ()
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Recipe:
    """See the parts. ``name`` and ``summary`` are what ``mien train --list`` shows.

    Attributes:
        labeling: whose labels are learned where a data set has several, as in
            :func:`mien.evaluation.readers.read_data`; the second head learns FER2013's own.
        license, source, training_data: what the model's spec and card say of it; SPDX expression,
            what it was made from, and the data in words, by default their counts.
    """

    name: str
    summary: str
    network: NetworkRecipe
    input: InputRecipe
    optimizer: OptimizerRecipe
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: DistillationRecipe = field(default_factory=DistillationRecipe)
    labeling: Labeling = "ferplus"
    license: str = "MIT"
    source: str = "trained by `mien train`"
    training_data: str = ""


def bare_spec(recipe: Recipe) -> ModelSpec:
    """The spec of a model that the recipe describes, before anything is trained or measured."""
    return ModelSpec(
        name=recipe.name,
        task="expression",
        file=f"{recipe.name}.onnx",
        input=InputSpec(
            name="image",
            size_wh=(recipe.input.size, recipe.input.size),
            color="gray",
            mean=(recipe.input.mean,),
            std=(recipe.input.std,),
        ),
        outputs=("logits",),
        license=recipe.license,
        source=recipe.source,
        labels=recipe.network.labels,
        alignment=AlignmentTemplate(recipe.input.scheme, recipe.input.indices, recipe.input.points),
        training_data=recipe.training_data,
    )


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        SettingError: the file is missing, no TOML, or has a key that is unknown, missing or of the
            wrong type.
        DataError: it asks for a labeling that does not exist.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"expected a recipe at {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"expected TOML in {path}: {error}") from error
    return parse_recipe(table, str(path))


def parse_recipe(table: dict[str, Any], where: str) -> Recipe:
    """Build a recipe from parsed TOML; ``where`` names it in error messages."""
    sections = {"network", "input", "optimizer", "augmentation", "distillation"}
    top = {key: value for key, value in table.items() if key not in sections}
    network = dict(table.get("network", {}))
    network["labels"] = tuple(parse_expression(word) for word in network.get("labels", ()))
    if not network["labels"]:
        raise SettingError(f"expected a list of labels under [network] in {where}")
    frame = dict(table.get("input", {}))
    frame["indices"] = tuple(frame.get("indices", ()))
    frame["points"] = tuple(tuple(point) for point in frame.get("points", ()))
    lessons = dict(table.get("distillation", {}))
    lessons["teachers"] = tuple(lessons.get("teachers", ()))
    parts = {
        "network": _build(NetworkRecipe, network, f"[network] in {where}"),
        "input": _build(InputRecipe, frame, f"[input] in {where}"),
        "optimizer": _build(OptimizerRecipe, table.get("optimizer", {}), f"[optimizer] in {where}"),
        "augmentation": _build(
            Augmentation, table.get("augmentation", {}), f"[augmentation] in {where}"
        ),
        "distillation": _build(DistillationRecipe, lessons, f"[distillation] in {where}"),
    }
    if "labeling" in top:
        top["labeling"] = parse_labeling(str(top["labeling"]))
    recipe: Recipe = _build(Recipe, {**top, **parts}, where)
    return recipe


def _build(cls: Any, values: dict[str, Any], where: str) -> Any:
    known = {f.name: f for f in dataclasses.fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise SettingError(f"{key!r} is unknown at {where}; known: {', '.join(known)}")
        kind = known[key].type
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            continue
        if kind in (bool, int, float, str) and type(value) is not kind:
            raise SettingError(f"expected {key} to be a {kind.__name__} at {where}, got {value!r}")
    required = [
        name
        for name, f in known.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in values]
    if missing:
        raise SettingError(f"missing at {where}: {', '.join(missing)}")
    return cls(**values)
