"""Expression classification without a neural network: texture features and a kernel machine."""

import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.errors import InputError, ModelFileError, SpecError
from mien.expression.priors import resolve_prior, scores_from_logits
from mien.runtime.catalog import CatalogEntry
from mien.types import ExpressionScores, FloatArray, Image, ModelSpec


@dataclass(frozen=True, slots=True)
class HogGrid:
    """A grid of histograms of oriented gradients; sizes in pixels.

    Attributes:
        block: side of the blocks that are normalized together.
        stride: distance between blocks.
        cell: side of the cells, each with one histogram.
        bins: number of bins of the unsigned orientation.
    """

    block: int
    stride: int
    cell: int
    bins: int = 9


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which features describe a crop.

    Attributes:
        size_wh: width and height of the crop in pixels.
        hog: one grid per scale.
        lbp_grid: cells per row and column of the local binary patterns; 0 for none.
    """

    size_wh: tuple[int, int]
    hog: tuple[HogGrid, ...]
    lbp_grid: int = 0


# Derivative aperture, window sigma, type and threshold of the normalization, square root of the
# gray levels. All are explicit because the last defaults to False in OpenCV 4 and to True in OpenCV
# 5.
_HOG_SETTINGS = (1, -1.0, cv2.HOGDescriptor_L2Hys, 0.2, True)


class FeatureExtractor:
    """Computes a feature vector in [0, 1] of a gray crop. Safe to share between threads.

    Methods: histograms of oriented gradients (Dalal and Triggs 2005) in OpenCV's implementation,
    and square roots of the histograms of uniform local binary patterns of eight neighbors (Ojala
    et al. 2002; for faces Ahonen et al. 2006).
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._hog = [
            cv2.HOGDescriptor(
                spec.size_wh,
                (grid.block, grid.block),
                (grid.stride, grid.stride),
                (grid.cell, grid.cell),
                grid.bins,
                *_HOG_SETTINGS,
            )
            for grid in spec.hog
        ]
        self._lbp = _PatternHistograms(spec.size_wh, spec.lbp_grid) if spec.lbp_grid else None
        self.length = sum(hog.getDescriptorSize() for hog in self._hog)
        self.length += self._lbp.length if self._lbp else 0

    def describe(self, gray: Image) -> FloatArray:
        """Features ``(length,)`` of one crop.

        Args:
            gray: ``(H, W)`` uint8, of the size in the spec.
        """
        parts = [np.asarray(hog.compute(gray), np.float32).ravel() for hog in self._hog]
        if self._lbp is not None:
            parts.append(self._lbp.describe(gray))
        return np.concatenate(parts)

    def describe_all(self, grays: Sequence[Image]) -> FloatArray:
        """Features ``(N, length)`` of several crops."""
        features = np.empty((len(grays), self.length), np.float32)
        for slot, gray in zip(features, grays, strict=True):
            slot[:] = self.describe(gray)
        return features


class _PatternHistograms:
    """Histograms of uniform local binary patterns on a grid."""

    def __init__(self, size_wh: tuple[int, int], grid: int) -> None:
        width, height = size_wh
        self._bin_of_pattern, self._bins = _uniform_patterns()
        rows = np.arange(height) * grid // height
        columns = np.arange(width) * grid // width
        cells = rows[:, None] * grid + columns[None, :]
        self._first_bin = (cells * self._bins).astype(np.int32)
        self._cell_sizes = np.bincount(cells.ravel()).astype(np.float32)[:, None]
        self.length = grid * grid * self._bins

    def describe(self, gray: Image) -> FloatArray:
        # Without smoothing, noise would change the patterns of smooth skin.
        smooth = cv2.GaussianBlur(gray, (3, 3), 0)
        framed = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        height, width = gray.shape
        patterns = np.zeros((height, width), np.uint8)
        for bit, (row, column) in enumerate(_NEIGHBORS):
            neighbor = framed[row : row + height, column : column + width]
            patterns |= (neighbor >= smooth).view(np.uint8) << np.uint8(bit)
        places = self._first_bin + self._bin_of_pattern[patterns]
        counts = np.bincount(places.ravel(), minlength=self.length)
        shares = counts.astype(np.float32).reshape(-1, self._bins) / self._cell_sizes
        return np.asarray(np.sqrt(shares).ravel())


# Row and column of the eight neighbors, in an image with a border of one pixel.
_NEIGHBORS = ((1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2))


def _uniform_patterns() -> tuple[npt.NDArray[np.int32], int]:
    """The bin of each of the 256 patterns; those with more than two transitions share the last."""
    changes = [sum((p >> i & 1) != (p >> (i + 1) % 8 & 1) for i in range(8)) for p in range(256)]
    uniform = [p for p in range(256) if changes[p] <= 2]
    bins = np.full(256, len(uniform), np.int32)
    bins[uniform] = np.arange(len(uniform))
    return bins, len(uniform) + 1


_DECISION_FLOOR = 0.01
"""Lower bound of decisions before the calibration takes their logarithm."""


@dataclass(frozen=True, slots=True, eq=False)
class KernelMachine:
    """One-vs-rest least-squares support vector machines with shared support vectors.

    Method: least-squares support vector machines (Suykens and Vandewalle 1999) with a Gaussian
    kernel and a subset of the training faces as support vectors (Nyström method, Williams and
    Seeger 2001), on the principal components of the features.

    Attributes:
        mean: ``(D,)`` mean of the features.
        components: ``(D, P)`` principal axes.
        vectors: ``(M, P)`` principal components of the support vectors.
        gamma: the kernel is ``exp(-gamma * squared distance)``.
        weights: ``(M, K)`` weights of the kernel values in each decision.
        calibration: ``(2 K + 1, K)`` from decisions, their logarithms and 1 to logits.
    """

    mean: FloatArray
    components: FloatArray
    vectors: FloatArray
    gamma: float
    weights: FloatArray
    calibration: FloatArray

    def project(self, features: FloatArray) -> FloatArray:
        """Project features ``(N, D)`` to principal components ``(N, P)``."""
        return np.asarray((features - self.mean) @ self.components)

    def decisions(self, projected: FloatArray) -> FloatArray:
        """Decisions ``(N, K)`` from ``(N, P)``: near 1 for the class of a machine, else near 0."""
        return gaussian_kernel(projected, self.vectors, self.gamma) @ self.weights

    def logits(self, features: FloatArray) -> FloatArray:
        """Calibrated logits ``(N, K)`` from features ``(N, D)``."""
        return calibration_inputs(self.decisions(self.project(features))) @ self.calibration


def gaussian_kernel(rows: FloatArray, vectors: FloatArray, gamma: float) -> FloatArray:
    """Kernel matrix ``(N, M)`` of ``exp(-gamma * squared distance)``."""
    distances = rows @ vectors.T
    distances *= -2
    distances += np.einsum("np,np->n", rows, rows)[:, None]
    distances += np.einsum("mp,mp->m", vectors, vectors)
    np.maximum(distances, 0, out=distances)
    distances *= -gamma
    return np.asarray(np.exp(distances, out=distances))


def calibration_inputs(decisions: npt.NDArray[Any]) -> FloatArray:
    """Inputs of the linear calibration ``(N, 2 K + 1)``: decisions, their logarithms, 1."""
    logarithms = np.log(np.maximum(decisions, _DECISION_FLOOR))
    ones = np.ones((len(decisions), 1), np.float32)
    return np.concatenate([decisions, logarithms, ones], axis=1).astype(np.float32)


def code_scales(columns: FloatArray) -> FloatArray:
    """The unit ``(P,)`` of the 8-bit codes of each column."""
    return np.asarray(np.abs(columns).max(axis=0) / 127, np.float32)


def save_machine(
    path: Path,
    machine: KernelMachine,
    vector_codes: npt.NDArray[np.int8],
    vector_scales: FloatArray,
) -> None:
    """Write a machine with components and support vectors as 8-bit codes.

    Args:
        path: the ``.npz`` file.
        machine: with ``vectors`` equal to ``vector_codes * vector_scales``, and components that are
            multiples of :func:`code_scales`.
        vector_codes: ``(M, P)`` int8.
        vector_scales: ``(P,)`` float32.
    """
    scales = code_scales(machine.components)
    np.savez(
        path,
        mean=machine.mean,
        component_codes=np.rint(machine.components / scales).astype(np.int8),
        component_scales=scales,
        vector_codes=vector_codes,
        vector_scales=vector_scales,
        gamma=np.float32(machine.gamma),
        weights=machine.weights,
        calibration=machine.calibration,
    )


def _load_machine(path: Path) -> KernelMachine:
    """Read a machine written by :func:`save_machine`.

    Raises:
        ModelFileError: the file is missing, damaged, or of another kind.
    """
    try:
        # Opened here because NumPy does not close a damaged file.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            scales = file["vector_scales"].astype(np.float32)
            if "components" in file:  # of machines trained before
                components = file["components"].astype(np.float32)
            else:
                components = file["component_codes"] * file["component_scales"].astype(np.float32)
            return KernelMachine(
                mean=file["mean"].astype(np.float32),
                components=components,
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
    """The feature parameters of a model's spec.

    Raises:
        SpecError: they are missing or invalid.
    """
    try:
        given = spec.parameters["features"]
        hog = tuple(HogGrid(**grid) for grid in given["hog"])
        return FeatureSpec(spec.input.size_wh, hog, int(given.get("lbp_grid", 0)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SpecError(
            f"expected features with a list of HOG grids in the spec of {spec.name!r}: {error!r}"
        ) from error


class ClassicalClassifier:
    """Texture features and a kernel machine; see :class:`ExpressionClassifier`.

    The file is read at the first face.

    Args:
        entry: the model; its spec has features, labels, input, alignments and priors.
        prior: see :func:`mien.expression.priors.resolve_prior`.

    Raises:
        SpecError: the spec has no features.
        SettingError: the prior is unknown, or cannot be used with the model.
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
        """Calibrated logits ``(N, K)`` under the training prior.

        Raises:
            InputError: a crop does not have the size of the spec.
            ModelFileError: the model file is damaged or does not fit its spec.
        """
        machine = self._loaded()
        grays = [self._gray(crop) for crop in crops]
        return machine.logits(self._extractor.describe_all(grays))

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """See :meth:`mien.expression.ExpressionClassifier.classify`."""
        return scores_from_logits(self.logits(crops), self.spec, self._log_ratio)

    def warm_up(self) -> None:
        """Load the model now rather than at the first face."""
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
        machine = _load_machine(self._path)
        found = len(machine.mean), machine.weights.shape[1]
        expected = self._extractor.length, len(self.spec.labels)
        if found != expected:
            raise ModelFileError(
                f"{self._path} does not fit its spec: expected {expected[0]} features and "
                f"{expected[1]} labels, got {found[0]} and {found[1]}"
            )
        return machine
