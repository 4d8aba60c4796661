"""Merging the several boxes that a detector gives for one face."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien import geometry
from mien.types import Detection, FloatArray

_REPEATED_IOU = 0.3
_REPEATED_CONTAINED = 0.6


def merge_weighted(
    coordinates: npt.ArrayLike, scores: npt.ArrayLike, iou_threshold: float
) -> tuple[FloatArray, FloatArray]:
    """Non-maximum suppression that averages the suppressed boxes into the best one.

    Method: the blending of Bazarevsky et al., "BlazeFace: sub-millisecond neural face detection on
    mobile GPUs", 2019, section 3.4: the coordinates are means weighted by score, which also keeps
    boxes from trembling between frames.

    Args:
        coordinates: ``(N, C)``, of which the first four columns are a box as x_min, y_min, x_max,
            y_max and the rest go along.
        scores: ``(N,)``, positive.
        iou_threshold: boxes that overlap the best one by more than this are averaged into it.

    Returns:
        ``(M, C)`` and ``(M,)``: the merged coordinates and the best score of each, the best first.
    """
    values = np.asarray(coordinates, np.float32)
    weights = np.asarray(scores, np.float32)
    order = np.argsort(-weights, kind="stable")
    if len(order) == 1:
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


def drop_repeated(detections: Sequence[Detection]) -> list[int]:
    """Which detections to keep, so that each face is there once: their indices, the best first.

    A box goes where a better one overlaps it by an IoU of more than 0.3, or where more than 0.6 of
    the smaller of the two lies in both.
    """
    if len(detections) < 2:
        return list(range(len(detections)))
    boxes = np.array([detection.box.to_array() for detection in detections])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    contained = geometry.intersection_area(boxes, boxes) / np.minimum(areas[:, None], areas)
    same = (geometry.box_iou(boxes, boxes) > _REPEATED_IOU) | (contained > _REPEATED_CONTAINED)
    kept: list[int] = []
    for i in np.argsort([-detection.score for detection in detections], kind="stable"):
        if not same[i, kept].any():
            kept.append(int(i))
    return kept
