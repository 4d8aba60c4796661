"""Training the classical route: components and a kernel machine; minutes on a CPU, no torch."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from mien import imaging
from mien.detection import FaceDetector, build_detector
from mien.errors import DataError, ImageReadError
from mien.evaluation.calibration import fold_numbers, uncertain_threshold
from mien.evaluation.dataset import IntArray, LabeledSet
from mien.evaluation.figures import figures
from mien.evaluation.readers import read_data
from mien.expression.classical import (
    FeatureExtractor,
    KernelMachine,
    calibration_inputs,
    code_scales,
    feature_spec,
    gaussian_kernel,
    save_machine,
)
from mien.expression.crop import face_crop, landmarks_of_crop
from mien.expression.priors import softmax
from mien.geometry import Array
from mien.landmarks import build_landmarks
from mien.runtime.catalog import checksum
from mien.runtime.spec import check_model_files, read_sidecar, sidecar_path, spec_to_json
from mien.training import Report, no_report
from mien.training.dataset import check_variety, split_rows
from mien.training.recipe import ClassicalRecipe
from mien.types import FloatArray, Image, InputSpec, Landmarks, ModelSpec

_LandmarkFinder = Callable[[Image], Landmarks]

_ROWS_AT_ONCE = 2048
# Components of the covariance change little beyond this many faces, whose cost grows with each.
_COVARIANCE_ROWS = 12_000
# Added to the kernel matrix of the support vectors, which is singular in 32 bits.
_JITTER = 1e-4
_CHUNK = 4096
_CALIBRATION_PENALTY = 1e-4
_EYES_SCHEME = "eyes2"

# The cascade needs a margin around the face that tight crops lack, and faces of this size: crops of
# 48 pixels enlarged 1.5 times gave the same eyes as crops enlarged 3 times, in a quarter of the
# time. On 459 crops of FER2013 it found 81 %.
_MARGIN = 10 / 48
_SIDE = 102
_LEAST_SHARE = 0.4

# Where eyes lie on average in FER2013's crops, as fractions of the side: (15.1, 18.2) and
# (32.6, 18.0) of 48 pixels.
_MEAN_EYES = np.array([[0.3146, 0.3792], [0.6792, 0.3750]])


def _finders() -> dict[str, _LandmarkFinder]:
    """The landmark finder of each scheme: FaceMesh, and the eyes of the Haar cascades."""
    mesh, haar = build_landmarks("facemesh"), build_detector("haar")
    return {
        "mesh468": lambda image: landmarks_of_crop(image, mesh),
        _EYES_SCHEME: lambda image: _eye_landmarks(image, haar),
    }


def train_classical(
    recipe: ClassicalRecipe,
    data_path: Path,
    output: Path,
    *,
    find: Mapping[str, _LandmarkFinder] | None = None,
    report: Report = no_report,
) -> ModelSpec:
    """Train, calibrate on held-out folds, measure on the valid split, and write the model.

    Args:
        recipe: what to train.
        data_path: face crops; see :func:`mien.evaluation.readers.read_data`.
        output: folder for ``NAME.npz`` and its sidecar ``NAME.json``.
        find: landmarks by scheme; by default :func:`_finders`.
        report: progress, by face.

    Returns:
        The spec that was written, with the figures measured.

    Raises:
        DataError: no such data, or too little of it.
    """
    train, valid = _labeled_splits(read_data(data_path), recipe)
    describe = _Describer(_blank_spec(recipe), find or _finders(), report)
    order = np.random.default_rng(recipe.seed).permutation(len(train))
    features, index = [], []
    for template in recipe.templates:
        share = recipe.eyes_share if template.scheme == _EYES_SCHEME else 1.0
        rows = np.sort(order[: round(share * len(train))])
        features += describe(train, rows, template.scheme, mirror=True)
        index += [rows, rows]
    report("fitting", 0, 1)
    projection = _fit_projection(features[0].astype(np.float32), recipe.components, recipe.seed)

    def projected(rows: FloatArray) -> FloatArray:
        return np.asarray((rows - projection[0]) @ projection[1])

    shown = np.concatenate(index)
    fit = _fit_machine(
        recipe,
        projection,
        np.concatenate([_in_parts(projected, part) for part in features]),
        targets=train.targets()[shown],
        truth=train.label_index[shown],
        groups=(np.arange(len(train)) if train.group is None else train.group)[shown],
    )
    report("fitting", 1, 1)
    # Every label counts once more than it occurs, so that none is impossible.
    counts = np.bincount(train.label_index, minlength=len(recipe.labels)) + 1
    prior = counts / counts.sum()
    metrics: dict[str, float] = {}
    for template in recipe.templates:
        (part,) = describe(valid, np.arange(len(valid)), template.scheme, mirror=False)
        logits = _in_parts(fit.machine.logits, part)
        metrics |= {
            f"valid_{template.scheme}_{name}": value
            for name, value in _measure(logits, valid.label_index, prior).items()
        }
    rule = uncertain_threshold(
        softmax(fit.held_out_logits.astype(np.float64)), train.label_index[shown]
    )
    spec = dataclasses.replace(
        describe.spec,
        training_prior=tuple(float(share) for share in prior),
        uncertain_below=rule["threshold"],
        training_data=f"{data_path.stem}: {len(train)} labeled rows of the train split",
        metrics=metrics,
    )
    return _write_model(spec, fit, output)


def _measure(logits: FloatArray, truth: IntArray, prior: Array) -> dict[str, float]:
    """Figures under the training prior, and the balanced accuracy under a uniform one."""
    probabilities = softmax(logits.astype(np.float64))
    natural, uniform = figures(probabilities, truth), figures(probabilities, truth, prior)
    return {
        "accuracy": natural.accuracy,
        "macro_f1": natural.macro_f1,
        "balanced_accuracy_uniform": uniform.balanced_accuracy,
        "ece": natural.ece,
    }


def _labeled_splits(data: LabeledSet, recipe: ClassicalRecipe) -> tuple[LabeledSet, LabeledSet]:
    """The labeled rows to train on and those to measure by, with the recipe's labels."""
    data = data.relabel(recipe.labels).labeled()
    data = data.take([row for row in range(len(data)) if _is_readable(data, row)])
    split = split_rows(data, recipe.seed)
    if not split.train.any() or not split.valid.any():
        raise DataError(
            f"expected rows to train on and rows to measure by in {data.name}, found "
            f"{split.train.sum()} and {split.valid.sum()}"
        )
    check_variety(np.bincount(data.label_index[split.train]), data.name)
    return data.take(split.train), data.take(split.valid)


def _is_readable(data: LabeledSet, row: int) -> bool:
    try:
        data.load(row)
    except ImageReadError:
        return False
    return True


def _in_parts(
    function: Callable[[FloatArray], FloatArray], features: npt.NDArray[np.float16]
) -> FloatArray:
    """Apply a function to some rows at a time, to hold few of them in 32 bits."""
    starts = range(0, len(features), _ROWS_AT_ONCE)
    return np.concatenate(
        [function(features[i : i + _ROWS_AT_ONCE].astype(np.float32)) for i in starts]
    )


def _write_model(spec: ModelSpec, fit: "_Fit", folder: Path) -> ModelSpec:
    """Write the model's file and its sidecar; returns the spec as it was written."""
    folder.mkdir(parents=True, exist_ok=True)
    check_model_files(folder, spec.name)
    path = folder / spec.file
    save_machine(path, fit.machine, fit.vector_codes, fit.vector_scales)
    spec = dataclasses.replace(spec, sha256=checksum(path))
    sidecar_path(path).write_text(spec_to_json(spec), encoding="utf-8")
    return read_sidecar(sidecar_path(path))


def _blank_spec(recipe: ClassicalRecipe) -> ModelSpec:
    """The spec before anything is trained or measured."""
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

    def __init__(
        self, spec: ModelSpec, find: Mapping[str, _LandmarkFinder], report: Report
    ) -> None:
        self.spec = spec
        self._find = find
        self._report = report
        self._extractor = FeatureExtractor(feature_spec(spec))

    def __call__(
        self, data: LabeledSet, rows: IntArray, scheme: str, *, mirror: bool
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
            self._report(f"describing faces aligned by {scheme}", place + 1, len(rows))
        return list(parts)


def _eye_landmarks(image: Image, detector: FaceDetector) -> Landmarks:
    """The eyes of the face that fills a crop, or where they lie on average if it is not found."""
    height, width = image.shape[:2]
    scale = _SIDE / (max(height, width) * (1 + 2 * _MARGIN))
    shift = _MARGIN * max(height, width) * scale
    transform = np.array([[scale, 0, shift], [0, scale, shift]])
    framed = imaging.warp(imaging.as_rgb(image), transform, (_SIDE, _SIDE))
    for detection in detector.detect(framed, min_score=0.0):
        eyes = detection.landmarks
        if eyes is not None and detection.box.width >= _LEAST_SHARE * _SIDE:
            return Landmarks((eyes.points - np.float32(shift)) / np.float32(scale), _EYES_SCHEME)
    return Landmarks((_MEAN_EYES * (width, height)).astype(np.float32), _EYES_SCHEME)


_Projection = tuple[FloatArray, FloatArray]
"""Principal components: ``mean (D,)``, ``components (D, P)`` of 8-bit precision."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A fitted machine, its support vectors as they are stored, and the ``(N, K)`` logits of the
    training rows, each by machines that did not see it.
    """

    machine: KernelMachine
    vector_codes: npt.NDArray[np.int8]
    vector_scales: FloatArray
    held_out_logits: FloatArray


def _fit_projection(features: FloatArray, count: int, seed: int) -> _Projection:
    """The first principal components of ``(N, D)`` features."""
    rng = np.random.default_rng(seed)
    rows = features[np.sort(rng.permutation(len(features))[:_COVARIANCE_ROWS])]
    mean = rows.mean(axis=0)
    centered = rows - mean
    covariance = centered.T @ centered / np.float32(len(rows))
    size = len(covariance)
    count = min(count, size, len(rows) - 1)
    _, vectors = linalg.eigh(covariance, subset_by_index=(size - count, size - 1))
    components = np.ascontiguousarray(vectors[:, ::-1])
    scales = code_scales(components)
    return mean, np.asarray(np.rint(components / scales) * scales, np.float32)


def _fit_machine(
    recipe: ClassicalRecipe,
    projection: _Projection,
    projected: FloatArray,
    *,
    targets: FloatArray,
    truth: IntArray,
    groups: IntArray,
) -> _Fit:
    """Fit one-against-rest machines and their calibration.

    Args:
        projected: ``(N, P)`` of the training faces and their mirror images.
        targets: ``(N, K)`` target of each machine, in [0, 1].
        truth: ``(N,)`` label index, for choosing the ridge and for calibration.
        groups: ``(N,)`` rows of one group are held out together.
    """
    rng = np.random.default_rng(recipe.seed)
    chosen = np.sort(rng.permutation(len(projected))[: recipe.vectors])
    scales = code_scales(projected[chosen])
    codes = np.rint(projected[chosen] / scales).astype(np.int8)
    support = codes * scales
    gamma = recipe.kernel_width / _median_distance(projected, rng)
    whitening = _whitening(gaussian_kernel(support, support, gamma))
    mapped = np.empty((len(projected), len(support)), np.float32)
    for start in range(0, len(projected), _CHUNK):
        part = slice(start, start + _CHUNK)
        mapped[part] = gaussian_kernel(projected[part], support, gamma) @ whitening
    fold = fold_numbers(len(projected), recipe.folds, recipe.seed, groups)
    products = [_products(mapped[fold == f], targets[fold == f]) for f in range(recipe.folds)]
    gram, right = (np.sum(parts, axis=0) for parts in zip(*products, strict=True))
    held_out = np.empty((len(recipe.ridge), *targets.shape), np.float32)
    for place, strength in enumerate(recipe.ridge):
        for f, (own_gram, own_right) in enumerate(products):
            solved = _solve(gram - own_gram, right - own_right, strength * int((fold != f).sum()))
            held_out[place, fold == f] = mapped[fold == f] @ solved
    accuracies = [(decisions.argmax(axis=1) == truth).mean() for decisions in held_out]
    best = int(np.argmax(accuracies))
    solved = _solve(gram, right, recipe.ridge[best] * len(projected))
    calibration = _fit_calibration(held_out[best], truth)
    machine = KernelMachine(
        mean=projection[0],
        components=projection[1],
        vectors=support,
        gamma=gamma,
        weights=whitening @ solved,
        calibration=calibration,
    )
    logits = calibration_inputs(held_out[best]) @ calibration
    return _Fit(machine, codes, scales, logits)


def _fit_calibration(decisions: FloatArray, truth: IntArray) -> FloatArray:
    """Multinomial logistic regression from held-out decisions to labels: ``(2 K + 1, K)``.

    Method: matrix scaling (Guo et al. 2017), on the decisions and their logarithms.
    """
    inputs = calibration_inputs(decisions).astype(np.float64)
    rows, classes = np.arange(len(truth)), decisions.shape[1]
    start = np.zeros((inputs.shape[1], classes))
    start[classes : 2 * classes] = np.eye(classes)

    def loss(flat: Array) -> tuple[float, Array]:
        matrix = flat.reshape(start.shape)
        probabilities = softmax(inputs @ matrix)
        penalty = _CALIBRATION_PENALTY * float(((matrix - start) ** 2).sum())
        value = -float(np.log(probabilities[rows, truth] + 1e-12).mean()) + penalty
        probabilities[rows, truth] -= 1
        slope = inputs.T @ probabilities / len(rows)
        slope += 2 * _CALIBRATION_PENALTY * (matrix - start)
        return value, slope.ravel()

    found = optimize.minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 500}
    )
    return np.asarray(found.x.reshape(start.shape), np.float32)


def _median_distance(rows: FloatArray, rng: np.random.Generator) -> float:
    some = rows[rng.permutation(len(rows))[:1000]]
    first, second = some[: len(some) // 2], some[len(some) // 2 :]
    distances = ((first[:, None] - second[None, :64]) ** 2).sum(axis=-1)
    return float(np.median(distances))


def _whitening(kernel: FloatArray) -> FloatArray:
    """``(M, M)`` that turns kernel values into coordinates with the kernel as scalar product."""
    size = len(kernel)
    factor = linalg.cholesky(kernel.astype(np.float64) + _JITTER * np.eye(size), lower=True)
    inverse = linalg.solve_triangular(factor, np.eye(size), lower=True)
    return np.ascontiguousarray(inverse.T.astype(np.float32))


def _products(mapped: FloatArray, targets: FloatArray) -> tuple[Array, Array]:
    return (mapped.T @ mapped).astype(np.float64), (mapped.T @ targets).astype(np.float64)


def _solve(gram: Array, right: Array, ridge: float) -> FloatArray:
    regular = gram + ridge * np.eye(len(gram))
    return np.asarray(linalg.solve(regular, right, assume_a="pos"), np.float32)
