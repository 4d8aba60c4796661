"""BlazeFace: a single-shot detector of faces and six points on each."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mien import geometry, imaging
from mien.detection.merging import merge_weighted
from mien.errors import SpecError
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.types import Box, Detection, FloatArray, Image, Landmarks

_MERGE_IOU = 0.3
_POINTS = 6


class BlazeFace:
    """Bazarevsky et al., "BlazeFace: sub-millisecond neural face detection on mobile GPUs", 2019.

    Its detections carry landmarks of the scheme ``"blazeface6"``: the eye on the left in the image,
    the eye on the right, the tip of the nose, the middle of the mouth, the ear on the left, the ear
    on the right.

    Args:
        entry: a model whose spec gives, in its parameters, ``anchor_grids``, for each output grid
            in order its columns, rows and anchors per cell; and ``scale``, by which the network's
            offsets are divided to become fractions of the input. Its outputs are the offsets
            ``(1, A, 16)`` (centre, size, six points; x before y) and logits ``(1, A, 1)``.
        threads: that one run may use.
        provider: where it runs.

    Raises:
        SpecError: a parameter is missing or cannot be used.
        ProviderError: the provider is not installed.
    """

    def __init__(self, entry: CatalogEntry, *, threads: int = 1, provider: str = "cpu") -> None:
        self.name = entry.spec.name
        self._input = entry.spec.input
        self._session = Session(entry.path, threads=threads, provider=provider)
        self._centers, self._scale = _read_parameters(entry.spec.name, entry.spec.parameters)

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`."""
        framed, transform = imaging.letterbox(image, self._input.size_wh)
        batch = imaging.to_input([framed], self._input)
        offsets, logits = self._session.run({self._input.name: batch})[:2]
        if logits.size != len(self._centers):
            raise SpecError(
                f"the anchor_grids in the spec of {self.name!r} give {len(self._centers)} anchors, "
                f"but the model gives {logits.size} scores"
            )
        logits = logits.reshape(-1)
        (found,) = np.nonzero(logits >= _logit(min_score))
        if not found.size:
            return []
        coordinates = self._decode(offsets.reshape(len(self._centers), -1)[found], found)
        scores = 1 / (1 + np.exp(-logits[found].clip(-80, 80)))
        merged, best_scores = merge_weighted(coordinates, scores, _MERGE_IOU)
        to_image = geometry.invert(transform)
        points = geometry.apply_transform(to_image, merged.reshape(-1, 2)).reshape(
            len(merged), -1, 2
        )
        return [
            Detection(
                Box(*(float(value) for value in corners[:2].reshape(4))),
                float(score),
                Landmarks(corners[2:].astype(np.float32), "blazeface6"),
            )
            for corners, score in zip(points, best_scores, strict=True)
            if (corners[1] > corners[0]).all()
        ]

    def _decode(
        self, offsets: FloatArray, found: "np.ndarray[Any, np.dtype[np.intp]]"
    ) -> FloatArray:
        """Offsets ``(N, 16)`` of some anchors to corners and points ``(N, 16)`` in input pixels."""
        size = np.asarray(self._input.size_wh, np.float32)
        pairs = offsets[:, : 4 + 2 * _POINTS].reshape(len(found), -1, 2) * (size / self._scale)
        middle = self._centers[found] * size
        half = pairs[:, 1] / 2
        pairs[:, 2:] += middle[:, None]
        center = pairs[:, 0] + middle
        pairs[:, 0], pairs[:, 1] = center - half, center + half
        return pairs.reshape(len(found), -1)


def _read_parameters(name: str, parameters: Mapping[str, Any]) -> tuple[FloatArray, float]:
    try:
        grids = [tuple(int(n) for n in grid) for grid in parameters["anchor_grids"]]
        scale = float(parameters["scale"])
        centers = np.concatenate([anchor_centers(*grid) for grid in grids])
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(
            f"expected anchor_grids ([columns, rows, anchors per cell] each) and scale in the "
            f"parameters of {name!r}, got {dict(parameters)}: {error!r}"
        ) from None
    if not scale > 0:
        raise SpecError(f"expected a positive scale in the parameters of {name!r}, got {scale}")
    return centers, scale


def anchor_centers(columns: int, rows: int, per_cell: int) -> FloatArray:
    """Centres of the anchors of a grid, ``(rows * columns * per_cell, 2)``, as fractions."""
    cells = itertools.product(range(rows), range(columns), range(per_cell))
    return np.array([((x + 0.5) / columns, (y + 0.5) / rows) for y, x, _ in cells], np.float32)


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(bounded / (1 - bounded))
