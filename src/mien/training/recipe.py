"""A training run as a TOML file: its fields, its reader, and the recipes that ship with mien."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import SettingError
from mien.evaluation.readers.fer2013 import Labeling
from mien.expression.classical import FeatureSpec
from mien.labels import Expression
from mien.reader import read
from mien.training.augmentation import Augmentation
from mien.types import AlignmentTemplate, InputSpec, ModelSpec

_SHIPPED = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class _NetworkRecipe:
    """What is trained.

    Attributes:
        architecture: ``"mobilenet"`` or ``"compact"``.
        start: an installed model by name, or a file beside the recipe unless absolute, see
            :func:`mien.training.transfer.load_start`; none for random initialization.
        frozen_layers: number of first layers of the trunk that are not trained, batch norm
            statistics included; saves their share of the time.
        start_share: share of the initial weights in the exported ones; see
            :func:`mien.training.transfer.blend`.
        dropout: before the heads.
        learned_pooling: weights for each channel and place of the last two maps, instead of
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
class _InputRecipe:
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
        balance: see :func:`mien.training.batches.draw_probabilities`.
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
class _DistillationRecipe:
    """Distillation from other models; see :func:`mien.training.transfer.distill`.

    Attributes:
        teachers: files beside the recipe, or names of installed models.
        share: of the teachers' predictions in the targets of the main head, in [0, 1].
    """

    teachers: tuple[str, ...] = ()
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Recipe:
    """See the parts. ``name`` and ``summary`` are what ``mien train --list`` shows.

    Attributes:
        labeling: the labels to train on where a data set has several, as in
            :func:`mien.evaluation.readers.read_data`; the second head uses FER2013's own.
        license, source, training_data: for the model's spec and card: SPDX expression, origin, and
            the data in words, by default their counts.
    """

    name: str
    summary: str
    network: _NetworkRecipe
    input: _InputRecipe
    optimizer: OptimizerRecipe
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: _DistillationRecipe = field(default_factory=_DistillationRecipe)
    labeling: Labeling = "ferplus"
    license: str = "MIT"
    source: str = "trained by `mien train`"
    training_data: str = ""


@dataclass(frozen=True, slots=True)
class ClassicalRecipe:
    """A recipe of the classical route.

    Attributes:
        name, summary: what ``mien train --list`` shows.
        labels: in the order of the logits.
        features: of a crop.
        templates: one for each landmark scheme that faces are aligned by; the first is the model's
            main one.
        components: principal components kept.
        vectors: support vectors kept, drawn at random from the training faces.
        kernel_width: the Gaussian's exponent is this times the squared distance over its median.
        ridge: candidates for the regularization, relative to the number of faces; chosen by the
            held-out folds.
        eyes_share: share of the training faces that are also aligned by Haar eyes; finding the
            eyes is the slowest part.
        folds: number of folds in which decisions are held out for calibration.
        seed: of everything random.
    """

    name: str
    summary: str
    labels: tuple[Expression, ...]
    features: FeatureSpec
    templates: tuple[AlignmentTemplate, ...]
    components: int
    vectors: int
    kernel_width: float
    ridge: tuple[float, ...]
    eyes_share: float = 1.0
    folds: int = 5
    seed: int = 0


def load_recipe(path: Path) -> Recipe:
    """Read a recipe of the neural route.

    Raises:
        SettingError: the file is missing, is not TOML, or has a key that is unknown, missing or of
            the wrong type.
    """
    recipe = read(Recipe, _parse(path), error=SettingError, where=f" in {path}")
    if not recipe.network.labels:
        raise SettingError(f"expected a list of labels in network.labels in {path}, got none")
    return recipe


def load_classical_recipe(path: Path) -> ClassicalRecipe:
    """Read a recipe of the classical route.

    Raises:
        SettingError: see :func:`load_recipe`.
    """
    table = _parse(path)
    if table.pop("route", None) != "classical":
        raise SettingError(f'expected route = "classical" in the recipe {path}')
    crop = table.pop("input", {})
    table["templates"] = crop.pop("alignment", [])
    size = crop.pop("size", None)
    table["features"] = {**crop, "size_wh": [size, size]}
    recipe = read(ClassicalRecipe, table, error=SettingError, where=f" in {path}")
    if not recipe.templates or not recipe.ridge or not recipe.labels:
        raise SettingError(
            f"expected labels, ridge and input.alignment in {path}, got an empty one"
        )
    return recipe


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"expected a recipe at {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingError(f"expected TOML in {path}: {error}") from error


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


@dataclass(frozen=True, slots=True)
class _RecipeSummary:
    """One line of ``mien train --list``; ``epochs`` is 0 where there are none."""

    path: Path
    route: str
    size: int
    epochs: int
    summary: str


def find_recipes(folder: Path = _SHIPPED) -> list[_RecipeSummary]:
    """The recipes in a folder, by name.

    Raises:
        SettingError: there are none, or one cannot be read.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise SettingError(f"expected recipes (*.toml) in {folder}, found none")
    return [_summarize(path) for path in paths]


def recipe_path(name_or_path: str) -> Path:
    """The file of a recipe: a path, or the name of one that ships with mien.

    Raises:
        SettingError: there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = _SHIPPED / f"{name_or_path}.toml"
    if path.suffix == "" and len(path.parts) == 1 and shipped.is_file():
        return shipped
    names = ", ".join(sorted(path.stem for path in _SHIPPED.glob("*.toml")))
    raise SettingError(f"expected a recipe's file, or one of {names}; there is no {name_or_path!r}")


def is_classical(path: Path) -> bool:
    """Whether a recipe is of the classical route; False where it cannot be read."""
    try:
        return _parse(path).get("route") == "classical"
    except SettingError:
        return False


def _summarize(path: Path) -> _RecipeSummary:
    if is_classical(path):
        classical = load_classical_recipe(path)
        return _RecipeSummary(
            path, "classical", classical.features.size_wh[0], 0, classical.summary
        )
    recipe = load_recipe(path)
    epochs, network = recipe.optimizer.epochs, recipe.network.architecture
    return _RecipeSummary(path, network, recipe.input.size, epochs, recipe.summary)
