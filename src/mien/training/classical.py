"""Training the classical route: no network, no torch; minutes on a CPU."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.detection import build_detector
from mien.errors import DataError
from mien.evaluation import figures
from mien.evaluation.calibration import uncertain_threshold
from mien.evaluation.dataset import FileImages, LabeledSet, vote_shares
from mien.evaluation.readers import read_data
from mien.expression.classical import feature_spec, save_machine
from mien.expression.crop import face_crop, landmarks_of_crop
from mien.expression.features import FeatureExtractor
from mien.expression.priors import softmax
from mien.landmarks import build_landmarks
from mien.runtime.catalog import checksum
from mien.runtime.spec import read_sidecar, sidecar_path, spec_to_json
from mien.training.classical_recipe import EYES_SCHEME, ClassicalRecipe
from mien.training.eyes import eye_landmarks
from mien.training.kernel_machine import Fit, fit_machine, fit_projection
from mien.training.split import check_variety, in_groups_of, readable_rows, renumbered, valid_rows
from mien.types import FloatArray, Image, InputSpec, Landmarks, ModelSpec

Told = Callable[[str, int, int], None]
"""Called with what is being done, how many pictures are done, and how many there are."""

LandmarkFinder = Callable[[Image], Landmarks]
"""Gives the landmarks of a face crop."""

_ROWS_AT_ONCE = 2048


def finders() -> dict[str, LandmarkFinder]:
    """The landmark finder of each scheme: FaceMesh, and the eyes of the Haar cascades."""
    mesh, haar = build_landmarks("facemesh"), build_detector("haar")
    return {
        "mesh468": lambda image: landmarks_of_crop(image, mesh),
        EYES_SCHEME: lambda image: eye_landmarks(image, haar),
    }


def train_classical(
    recipe: ClassicalRecipe,
    data_path: Path,
    output: Path,
    *,
    find: Mapping[str, LandmarkFinder] | None = None,
    tell: Told = lambda *_: None,
) -> ModelSpec:
    """Train, calibrate on held-out folds, measure on the valid split, and write the model.

    Args:
        recipe: what to train.
        data_path: face crops; see :func:`mien.evaluation.readers.read_data`.
        output: folder for ``NAME.npz`` and its sidecar ``NAME.json``.
        find: landmarks by scheme; by default :func:`finders`.
        tell: is told how far it is.

    Returns:
        The spec that was written, with the figures measured.

    Raises:
        DataError: no such data, or too little of it.
    """
    data = read_data(data_path)
    train, valid = labeled_splits(data, recipe)
    find = finders() if find is None else find
    describe = _Describer(_blank_spec(recipe), find, tell)
    order = np.random.default_rng(recipe.seed).permutation(len(train))
    features, index = [], []
    for template in recipe.templates:
        share = recipe.eyes_share if template.scheme == EYES_SCHEME else 1.0
        rows = np.sort(order[: round(share * len(train))])
        features += describe(train, rows, template.scheme, mirror=True)
        index += [rows, rows]
    tell("fitting", 0, 1)
    projection = fit_projection(features[0].astype(np.float32), recipe.components, recipe.seed)
    shown = np.concatenate(index)
    fit = fit_machine(
        projection,
        np.concatenate([in_parts(projection.apply, part) for part in features]),
        _targets(train)[shown],
        train.label_index[shown],
        (np.arange(len(train)) if train.group is None else train.group)[shown],
        vectors=recipe.vectors,
        kernel_width=recipe.kernel_width,
        ridge=recipe.ridge,
        folds=recipe.folds,
        seed=recipe.seed,
    )
    tell("fitting", 1, 1)
    # Every label counts once more than it occurs, so that none is impossible.
    counts = np.bincount(train.label_index, minlength=len(recipe.labels)) + 1
    prior = counts / counts.sum()
    metrics: dict[str, float] = {}
    for template in recipe.templates:
        (part,) = describe(valid, np.arange(len(valid)), template.scheme, mirror=False)
        figures = measure(in_parts(fit.machine.logits, part), valid.label_index, prior)
        metrics |= {f"valid_{template.scheme}_{name}": value for name, value in figures.items()}
    doubt = uncertain_threshold(
        softmax(fit.held_out_logits.astype(np.float64)), train.label_index[shown]
    )
    spec = dataclasses.replace(
        describe.spec,
        training_prior=tuple(float(share) for share in prior),
        uncertain_below=doubt["threshold"],
        training_data=f"{data_path.stem}: {len(train)} labeled rows of the train split",
        metrics=metrics,
    )
    return write_model(spec, fit, output)


def measure(
    logits: FloatArray, truth: npt.NDArray[np.int64], prior: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Accuracy, macro-F1 and ECE under the training prior; balanced accuracy under a uniform one.

    Args:
        logits: ``(N, K)``, calibrated.
        truth: ``(N,)`` label index.
        prior: ``(K,)`` of training.
    """
    natural = softmax(logits.astype(np.float64))
    uniform = softmax(logits.astype(np.float64) - np.log(prior))
    answer, classes = natural.argmax(axis=1), logits.shape[1]
    matrix = figures.confusion_matrix(truth, answer, classes)
    moved = figures.confusion_matrix(truth, uniform.argmax(axis=1), classes)
    return {
        "accuracy": float(figures.accuracy(matrix)),
        "macro_f1": float(figures.macro_f1(matrix)),
        "balanced_accuracy_uniform": float(figures.balanced_accuracy(moved)),
        "ece": figures.ece(natural.max(axis=1), answer == truth),
    }


def labeled_splits(data: LabeledSet, recipe: ClassicalRecipe) -> tuple[LabeledSet, LabeledSet]:
    """The labeled rows to learn from and those to choose by, as the recipe numbers its labels.

    Near-duplicates of rows of other splits are not learned from.

    Raises:
        DataError: there are none.
    """
    index = renumbered(data, recipe.labels)
    data = dataclasses.replace(data, labels=recipe.labels, label_index=index).labeled()
    if isinstance(data.images, FileImages):
        data = data.take(readable_rows(data))
    chosen = valid_rows(data, recipe.seed)
    others = chosen | (data.split == "test")
    train = ~others & ~in_groups_of(data, others)
    if not train.any() or not chosen.any():
        raise DataError(
            f"expected rows to train on and rows to choose by in {data.name}, found "
            f"{train.sum()} and {chosen.sum()}"
        )
    check_variety(np.bincount(data.label_index[train]), data.name)
    return data.take(train), data.take(chosen)


def in_parts(
    function: Callable[[FloatArray], FloatArray], features: npt.NDArray[np.float16]
) -> FloatArray:
    """Apply a function to some rows at a time, to hold few of them in 32 bits."""
    starts = range(0, len(features), _ROWS_AT_ONCE)
    return np.concatenate(
        [function(features[i : i + _ROWS_AT_ONCE].astype(np.float32)) for i in starts]
    )


def write_model(spec: ModelSpec, fit: Fit, folder: Path) -> ModelSpec:
    """Write the model's file and its sidecar; returns the spec as it was written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / spec.file
    save_machine(path, fit.machine, fit.vector_codes, fit.vector_scales)
    spec = dataclasses.replace(spec, sha256=checksum(path))
    sidecar_path(path).write_text(spec_to_json(spec), encoding="utf-8")
    return read_sidecar(sidecar_path(path))


def _blank_spec(recipe: ClassicalRecipe) -> ModelSpec:
    """The spec as far as the recipe tells it."""
    main, *others = recipe.templates
    parameters = {
        f"alignment_{template.scheme}": dataclasses.asdict(template) for template in others
    }
    features = dataclasses.asdict(recipe.features)
    del features["size_wh"]
    return ModelSpec(
        name=recipe.name,
        task="expression",
        file=f"{recipe.name}.npz",
        input=InputSpec("crop", recipe.features.size_wh, "gray", (0.0,), (1.0,)),
        outputs=("logits",),
        license="MIT",
        source=f"trained for this project: {recipe.summary}",
        labels=recipe.labels,
        alignment=main,
        prior="natural",
        parameters={**parameters, "features": features},
    )


class _Describer:
    """Finds landmarks, aligns and describes the faces of a data set."""

    def __init__(self, spec: ModelSpec, find: Mapping[str, LandmarkFinder], tell: Told) -> None:
        self.spec = spec
        self._find = find
        self._tell = tell
        self._extractor = FeatureExtractor(feature_spec(spec))

    def __call__(
        self, data: LabeledSet, rows: npt.NDArray[np.int64], scheme: str, *, mirror: bool
    ) -> list[npt.NDArray[np.float16]]:
        """``(len(rows), D)`` features; with ``mirror`` those of the mirror images as well."""
        parts = np.empty((1 + mirror, len(rows), self._extractor.length), np.float16)
        for place, row in enumerate(rows):
            image = data.load(int(row))
            landmarks = self._find[scheme](image)
            crop = imaging.to_gray(face_crop(image, None, landmarks, self.spec).image)
            parts[0, place] = self._extractor.describe(crop)
            if mirror:
                parts[1, place] = self._extractor.describe(np.ascontiguousarray(crop[:, ::-1]))
            self._tell(f"describing faces aligned by {scheme}", place + 1, len(rows))
        return list(parts)


def _targets(data: LabeledSet) -> FloatArray:
    """``(N, K)`` what the machines learn: shares of the votes, or 1 for the one label."""
    if data.votes is not None:
        return vote_shares(data.votes, data.vote_names, data.labels)
    return np.eye(len(data.labels), dtype=np.float32)[data.label_index]
