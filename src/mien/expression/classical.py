"""Expression classification without any network: texture features and a kernel machine."""

import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.errors import InputError, ModelFileError, SpecError
from mien.expression.features import FeatureExtractor, FeatureSpec, HogGrid
from mien.expression.priors import resolve_prior, scores_from_logits
from mien.runtime.catalog import CatalogEntry
from mien.types import ExpressionScores, FloatArray, Image, ModelSpec

DECISION_FLOOR = 0.01
"""Decisions below this count as this where the calibration takes their logarithm."""


@dataclass(frozen=True, slots=True, eq=False)
class KernelMachine:
    """One-against-rest least-squares support vector machines that share their support vectors.

    Method: least-squares support vector machines (Suykens and Vandewalle 1999) with a Gaussian
    kernel, over the support vectors that stand for all training faces (Nyström method, Williams and
    Seeger 2001), on the principal components of the features.

    Attributes:
        mean: ``(D,)`` of the features.
        components: ``(D, P)`` principal directions.
        vectors: ``(M, P)`` the support vectors' principal components.
        gamma: the kernel is ``exp(-gamma * squared distance)``.
        weights: ``(M, K)`` of the kernel's values in each machine's decision.
        calibration: ``(2 K + 1, K)`` from the decisions, their logarithms and 1 to logits.
    """

    mean: FloatArray
    components: FloatArray
    vectors: FloatArray
    gamma: float
    weights: FloatArray
    calibration: FloatArray

    def project(self, features: FloatArray) -> FloatArray:
        """Principal components: ``(N, D)`` to ``(N, P)``."""
        return np.asarray((features - self.mean) @ self.components)

    def decisions(self, projected: FloatArray) -> FloatArray:
        """The machines' decisions: ``(N, P)`` to ``(N, K)``, near 1 where one says yes, else 0."""
        return gaussian_kernel(projected, self.vectors, self.gamma) @ self.weights

    def logits(self, features: FloatArray) -> FloatArray:
        """Calibrated logits: ``(N, D)`` to ``(N, K)``."""
        return calibration_inputs(self.decisions(self.project(features))) @ self.calibration


def gaussian_kernel(rows: FloatArray, vectors: FloatArray, gamma: float) -> FloatArray:
    """``exp(-gamma * squared distance)`` between ``(N, P)`` and ``(M, P)``: ``(N, M)``."""
    distances = rows @ vectors.T
    distances *= -2
    distances += np.einsum("np,np->n", rows, rows)[:, None]
    distances += np.einsum("mp,mp->m", vectors, vectors)
    np.maximum(distances, 0, out=distances)
    distances *= -gamma
    return np.asarray(np.exp(distances, out=distances))


def calibration_inputs(decisions: npt.NDArray[Any]) -> FloatArray:
    """What calibration is linear in: decisions, their logarithms, 1: ``(N, 2 K + 1)``."""
    logarithms = np.log(np.maximum(decisions, DECISION_FLOOR))
    ones = np.ones((len(decisions), 1), np.float32)
    return np.concatenate([decisions, logarithms, ones], axis=1).astype(np.float32)


def save_machine(
    path: Path,
    machine: KernelMachine,
    vector_codes: npt.NDArray[np.int8],
    vector_scales: FloatArray,
) -> None:
    """Write a machine: components as float16, support vectors as 8-bit codes.

    Args:
        path: of the ``.npz`` file.
        machine: its ``vectors`` are ``vector_codes * vector_scales``.
        vector_codes: ``(M, P)``.
        vector_scales: ``(P,)``.
    """
    np.savez(
        path,
        mean=machine.mean,
        components=machine.components.astype(np.float16),
        vector_codes=vector_codes,
        vector_scales=vector_scales,
        gamma=np.float32(machine.gamma),
        weights=machine.weights,
        calibration=machine.calibration,
    )


def load_machine(path: Path) -> KernelMachine:
    """Read a machine that :func:`save_machine` wrote.

    Raises:
        ModelFileError: the file is missing, damaged, or something else.
    """
    try:
        # Opened here, because NumPy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            scales = file["vector_scales"].astype(np.float32)
            return KernelMachine(
                mean=file["mean"].astype(np.float32),
                components=file["components"].astype(np.float32),
                vectors=file["vector_codes"].astype(np.float32) * scales,
                gamma=float(file["gamma"]),
                weights=file["weights"].astype(np.float32),
                calibration=file["calibration"].astype(np.float32),
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelFileError(
            f"expected a classical expression model in {path}, but it cannot be read: {error}"
        ) from error


def feature_spec(spec: ModelSpec) -> FeatureSpec:
    """The features that a model's spec tells.

    Raises:
        SpecError: it tells none.
    """
    try:
        given = spec.parameters["features"]
        hog = tuple(HogGrid(**grid) for grid in given["hog"])
        return FeatureSpec(spec.input.size_wh, hog, int(given.get("lbp_grid", 0)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SpecError(
            f"expected features with a list of hog grids in the parameters of {spec.name!r}, "
            f"which cannot be read: {error!r}"
        ) from error


class ClassicalClassifier:
    """Features and a kernel machine, by OpenCV and NumPy; see :class:`ExpressionClassifier`.

    The file is read at the first face. It may be shared between threads, and used after a fork.

    Args:
        entry: the model. Its spec tells the features, labels, input, alignments and priors.
        prior: see :func:`mien.expression.priors.resolve_prior`.

    Raises:
        SpecError: its spec tells no features.
        SettingError: the prior cannot be used with it.
    """

    def __init__(self, entry: CatalogEntry, *, prior: str = "default") -> None:
        self.spec = entry.spec
        self.name = entry.spec.name
        self.prior, self._log_ratio = resolve_prior(prior, entry.spec)
        self._path = entry.path
        self._extractor = FeatureExtractor(feature_spec(entry.spec))
        self._lock = threading.Lock()
        self._machine: KernelMachine | None = None

    def logits(self, crops: Sequence[Image]) -> npt.NDArray[np.float32]:
        """Calibrated logits under the training prior: ``(N, K)``.

        Raises:
            InputError: a crop has another size than the spec tells.
            ModelFileError: the model's file cannot be used.
        """
        machine = self._loaded()
        grays = [self._gray(crop) for crop in crops]
        return machine.logits(self._extractor.describe_all(grays))

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """See :meth:`mien.expression.base.ExpressionClassifier.classify`."""
        return scores_from_logits(self.logits(crops), self.spec, self._log_ratio)

    def warm_up(self) -> None:
        """Load the model now instead of at the first face."""
        self._loaded()

    def _gray(self, crop: Image) -> Image:
        if crop.shape[1::-1] != self.spec.input.size_wh:
            width, height = self.spec.input.size_wh
            raise InputError(
                f"expected crops of {width}x{height} pixels for the model {self.name!r}, "
                f"got {crop.shape[1]}x{crop.shape[0]}"
            )
        return np.ascontiguousarray(imaging.to_gray(crop))

    def _loaded(self) -> KernelMachine:
        with self._lock:
            if self._machine is None:
                self._machine = self._load()
            return self._machine

    def _load(self) -> KernelMachine:
        machine = load_machine(self._path)
        found = len(machine.mean), machine.weights.shape[1]
        wanted = self._extractor.length, len(self.spec.labels)
        if found != wanted:
            raise ModelFileError(
                f"the file {self._path} does not fit its spec: expected {wanted[0]} features and "
                f"{wanted[1]} labels, found {found[0]} and {found[1]}"
            )
        return machine
