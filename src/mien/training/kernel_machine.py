"""Fitting the classical route's machine: principal components, kernel machine, calibration."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from mien.evaluation.calibration import fold_numbers
from mien.evaluation.dataset import IntArray
from mien.expression.classical import KernelMachine, calibration_inputs, gaussian_kernel
from mien.expression.priors import softmax
from mien.geometry import Array
from mien.training.recipe import ClassicalRecipe
from mien.types import FloatArray

# Components of the covariance change little beyond this many faces, whose cost grows with each.
_COVARIANCE_ROWS = 12_000
# Added to the kernel matrix of the support vectors, which is singular in 32 bits.
_JITTER = 1e-4
_CHUNK = 4096
_CALIBRATION_PENALTY = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class _Projection:
    """Principal components: ``mean (D,)``, ``components (D, P)`` of float16 precision."""

    mean: FloatArray
    components: FloatArray

    def apply(self, features: FloatArray) -> FloatArray:
        return np.asarray((features - self.mean) @ self.components)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted machine and the measurements of its training.

    Attributes:
        machine: as it is used.
        vector_codes, vector_scales: its support vectors as they are stored.
        held_out_logits: ``(N, K)`` of the training rows, each by machines that did not see it.
    """

    machine: KernelMachine
    vector_codes: npt.NDArray[np.int8]
    vector_scales: FloatArray
    held_out_logits: FloatArray


def fit_projection(features: FloatArray, count: int, seed: int) -> _Projection:
    """The first principal components of ``(N, D)`` features."""
    rng = np.random.default_rng(seed)
    rows = features[np.sort(rng.permutation(len(features))[:_COVARIANCE_ROWS])]
    mean = rows.mean(axis=0)
    centered = rows - mean
    covariance = centered.T @ centered / np.float32(len(rows))
    size = len(covariance)
    count = min(count, size, len(rows) - 1)
    _, vectors = linalg.eigh(covariance, subset_by_index=(size - count, size - 1))
    components = vectors[:, ::-1].astype(np.float16).astype(np.float32)
    return _Projection(mean, np.ascontiguousarray(components))


def fit_machine(
    recipe: ClassicalRecipe,
    projection: _Projection,
    projected: FloatArray,
    *,
    targets: FloatArray,
    truth: IntArray,
    groups: IntArray,
) -> Fit:
    """Fit one-against-rest machines and their calibration.

    Args:
        recipe: number of vectors, width of the kernel, ridges, folds and seed.
        projection: that made ``projected``.
        projected: ``(N, P)`` of the training faces and their mirror images.
        targets: ``(N, K)`` target of each machine, in [0, 1].
        truth: ``(N,)`` label index, for choosing the ridge and for calibration.
        groups: ``(N,)`` rows of one group are held out together.
    """
    rng = np.random.default_rng(recipe.seed)
    chosen = np.sort(rng.permutation(len(projected))[: recipe.vectors])
    codes, scales = _as_codes(projected[chosen])
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
        mean=projection.mean,
        components=projection.components,
        vectors=support,
        gamma=gamma,
        weights=whitening @ solved,
        calibration=calibration,
    )
    logits = calibration_inputs(held_out[best]) @ calibration
    return Fit(machine, codes, scales, logits)


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


def _as_codes(vectors: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    scales = np.abs(vectors).max(axis=0) / np.float32(127)
    return np.rint(vectors / scales).astype(np.int8), scales.astype(np.float32)


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
