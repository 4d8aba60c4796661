"""BlazeFace: a single-shot face detector with six landmarks per face."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien import geometry, imaging
from mien.errors import SpecError
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.types import Box, Detection, FloatArray, Image, InputSpec, Landmarks, ModelSpec

_MERGE_IOU = 0.3
_POINTS = 6
# Where a picture has more weak anchors, such as a plain one, the best of them are enough.
_MAX_WEAK = 200
# Sides of an input are multiples of it, so that the levels of the network fit.
_STRIDE = 32
# A box ends at the border within this share of its longer side.
_BORDER_MARGIN = 0.1


class BlazeFace:
    """Bazarevsky et al., "BlazeFace: sub-millisecond neural face detection on mobile GPUs", 2019.

    Its detections carry landmarks of the scheme ``"blazeface6"``: left eye, right eye (as seen in
    the image), nose tip, mouth center, left ear, right ear.

    Args:
        entry: a model whose spec has these parameters: ``anchor_grids``, the columns, rows and
            anchors per cell of each output grid; ``scale``, which the network's offsets are divided
            by to become fractions of the input; and, if the axes ``height`` and ``width`` are
            dynamic, ``sides``, their possible lengths. The outputs are offsets ``(1, A, 16)``
            (center, size, six points; x before y) and logits ``(1, A, 1)``.
        threads: maximum number of threads per run.
        provider: execution provider.

    Raises:
        SpecError: a parameter is missing or invalid.
        ProviderError: the provider is not installed.
    """

    def __init__(self, entry: CatalogEntry, *, threads: int = 1, provider: str = "cpu") -> None:
        self.name = entry.spec.name
        facts = _Facts.of(entry.spec)
        self._unit = np.asarray(entry.spec.input.size_wh, np.float32) / facts.scale
        full_wh = entry.spec.input.size_wh
        *frames, self._closer = (
            _Frame(
                replace(entry.spec.input, size_wh=size_wh),
                Session(entry.path, threads=threads, provider=provider, sizes=sizes),
                facts.anchors(full_wh, size_wh),
            )
            for size_wh, sizes in facts.sizes(full_wh)
        )
        self._frames = {frame.input.size_wh: frame for frame in frames or [self._closer]}

    def detect(
        self,
        image: Image,
        *,
        min_score: float = 0.5,
        weak_score: float | None = None,
        border_score: float | None = None,
        closer: bool = False,
    ) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            min_score: in [0, 1]; faces with a lower score are dropped.
            weak_score: below min_score; faces down to this score are added where they do not
                overlap the others. They do not change the others.
            border_score: lower score for those of them that reach to the border of the image.
            closer: whether the image is a closer look at one face: half the input in both
                directions shows it well enough, where the axes are dynamic.
        """
        frame = self._closer if closer else self._frame_for(image)
        framed, transform = imaging.letterbox(image, frame.input.size_wh)
        batch = imaging.to_input([imaging.lit(framed)], frame.input)
        offsets, logits = frame.session.run({frame.input.name: batch})[:2]
        if logits.size != len(frame.anchors):
            raise SpecError(
                f"expected {len(frame.anchors)} scores, as the anchor_grids of {self.name!r} say, "
                f"got {logits.size}; correct the spec"
            )
        logits = logits.reshape(-1)
        weak_score = min_score if weak_score is None else weak_score
        lowest = weak_score if border_score is None else border_score
        (found,) = np.nonzero(logits >= _logit(lowest))
        if not found.size:
            return []
        chosen = offsets.reshape(len(frame.anchors), -1)[found]
        coordinates = self._decode(chosen, frame.anchors[found])
        if border_score is not None:
            counts = logits[found] >= _logit(weak_score)
            counts |= _reaches_border(coordinates, transform, image)
            found, coordinates = found[counts], coordinates[counts]
        strong = logits[found] >= _logit(min_score)
        scores = 1 / (1 + np.exp(-logits[found].clip(-80, 80)))
        merged, best_scores = _merge_weighted(coordinates[strong], scores[strong], _MERGE_IOU)
        if not strong.all():
            best = np.flatnonzero(~strong)
            if len(best) > _MAX_WEAK:
                best = best[np.argsort(-scores[best], kind="stable")[:_MAX_WEAK]]
            weak, weak_scores = _merge_weighted(coordinates[best], scores[best], _MERGE_IOU)
            overlaps = geometry.box_iou(weak[:, :4], merged[:, :4])
            alone = overlaps.max(axis=1, initial=0) <= _MERGE_IOU
            merged = np.concatenate([merged, weak[alone]])
            best_scores = np.concatenate([best_scores, weak_scores[alone]])
        # The letterbox only scales and moves.
        points = (merged.reshape(-1, 2 + _POINTS, 2) - transform[:, 2]) / transform.diagonal()
        return [
            Detection(
                Box(*corners[:2].reshape(4).tolist()),
                float(score),
                Landmarks(corners[2:].astype(np.float32), "blazeface6"),
            )
            for corners, score in zip(points, best_scores, strict=True)
            if (corners[1] > corners[0]).all()
        ]

    def _frame_for(self, image: Image) -> "_Frame":
        """The input size that holds the whole image with the least padding."""
        if len(self._frames) == 1:
            return next(iter(self._frames.values()))
        height, width = image.shape[:2]
        full_wh = max(self._frames)
        scale = min(full_wh[0] / width, full_wh[1] / height)
        fitting = (
            frame
            for (wide, high), frame in self._frames.items()
            if wide >= round(width * scale) and high >= round(height * scale)
        )
        return min(fitting, key=lambda frame: len(frame.anchors))

    def _decode(self, offsets: FloatArray, anchors: FloatArray) -> FloatArray:
        """Convert offsets ``(N, 16)`` to box corners and points ``(N, 16)`` in input pixels."""
        pairs = offsets[:, : 4 + 2 * _POINTS].reshape(len(anchors), -1, 2) * self._unit
        half = pairs[:, 1] / 2
        pairs[:, 2:] += anchors[:, None]
        center = pairs[:, 0] + anchors
        pairs[:, 0], pairs[:, 1] = center - half, center + half
        return pairs.reshape(len(anchors), -1)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One input size, its session, and its anchors ``(A, 2)`` in input pixels."""

    input: InputSpec
    session: Session
    anchors: FloatArray


@dataclass(frozen=True, slots=True)
class _Facts:
    """The parameters of the spec; see :class:`BlazeFace`."""

    grids: tuple[tuple[int, int, int], ...]
    scale: float
    sides: tuple[int, ...]

    @classmethod
    def of(cls, spec: ModelSpec) -> "_Facts":
        given = spec.parameters
        try:
            grids = tuple((int(x), int(y), int(count)) for x, y, count in given["anchor_grids"])
            scale = float(given["scale"])
            sides = tuple(sorted(int(side) for side in given.get("sides", ())))
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(
                f"expected anchor_grids ([columns, rows, anchors per cell] each) and scale in the "
                f"parameters of {spec.name!r}, got {dict(given)}: {error!r}"
            ) from None
        if not scale > 0:
            raise SpecError(
                f"expected a positive scale in the parameters of {spec.name!r}, got {scale}"
            )
        width, height = spec.input.size_wh
        if sides and not width == height == sides[-1]:
            raise SpecError(
                f"expected a square input as long as the longest of sides in the parameters of "
                f"{spec.name!r}, got {sides} for {width}x{height}"
            )
        return cls(grids, scale, sides)

    def sizes(self, full_wh: tuple[int, int]) -> list[tuple[tuple[int, int], dict[str, int]]]:
        """Every input size, with the sizes of the dynamic axes; the last is for closer looks."""
        if not self.sides:
            return [(full_wh, {})]
        longest = self.sides[-1]
        wide = [(longest, side) for side in self.sides]
        high = [(side, longest) for side in self.sides[:-1]]
        closer = longest if longest % (2 * _STRIDE) else longest // 2
        return [((x, y), {"width": x, "height": y}) for x, y in (*wide, *high, (closer, closer))]

    def anchors(self, full_wh: tuple[int, int], size_wh: tuple[int, int]) -> FloatArray:
        """Anchors in pixels of an input; cells have the same size as in the full input."""
        parts = [
            _anchor_centers(columns * size_wh[0] // full_wh[0], rows * size_wh[1] // full_wh[1], n)
            for columns, rows, n in self.grids
        ]
        return np.concatenate(parts) * np.asarray(size_wh, np.float32)


def _reaches_border(
    coordinates: FloatArray, transform: npt.NDArray[np.float64], image: Image
) -> npt.NDArray[np.bool_]:
    """Which boxes ``(N, 4 or more)``, in pixels of an input, reach to the border of the image."""
    start = transform[:, 2]
    end = start + transform.diagonal() * (image.shape[1], image.shape[0])
    low, high = coordinates[:, :2], coordinates[:, 2:4]
    margin = _BORDER_MARGIN * (high - low).max(axis=1, keepdims=True)
    reaching: npt.NDArray[np.bool_] = ((low - margin < start) | (high + margin > end)).any(axis=1)
    return reaching


def _merge_weighted(
    coordinates: npt.ArrayLike, scores: npt.ArrayLike, iou_threshold: float
) -> tuple[FloatArray, FloatArray]:
    """Non-maximum suppression that averages the suppressed boxes into the best one.

    Method: blending as in Bazarevsky et al., "BlazeFace: sub-millisecond neural face detection on
    mobile GPUs", 2019, section 3.4: coordinates are score-weighted means, which
    also reduces jitter between frames.

    Args:
        coordinates: ``(N, C)``; the first four columns are x_min, y_min, x_max, y_max, the others
            are averaged in the same way.
        scores: ``(N,)``, positive.
        iou_threshold: boxes with a higher IoU with the best one are averaged into it.

    Returns:
        Merged coordinates ``(M, C)`` and the best score of each ``(M,)``, best first.
    """
    values = np.asarray(coordinates, np.float32)
    weights = np.asarray(scores, np.float32)
    order = np.argsort(-weights, kind="stable")
    if len(order) < 2:
        return values, weights
    overlaps = geometry.box_iou(values[:, :4], values[:, :4])
    merged: list[FloatArray] = []
    best_scores: list[np.float32] = []
    while order.size:
        close = overlaps[order[0], order] > iou_threshold
        close[0] = True
        group = order[close]
        share = weights[group] / weights[group].sum()
        merged.append(share @ values[group])
        best_scores.append(weights[order[0]])
        order = order[~close]
    return np.reshape(merged, (-1, values.shape[1])).astype(np.float32), np.asarray(
        best_scores, np.float32
    )


def _anchor_centers(columns: int, rows: int, per_cell: int) -> FloatArray:
    """Anchor centers of a grid as fractions, ``(rows * columns * per_cell, 2)``."""
    cells = itertools.product(range(rows), range(columns), range(per_cell))
    return np.array([((x + 0.5) / columns, (y + 0.5) / rows) for y, x, _ in cells], np.float32)


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(bounded / (1 - bounded))
