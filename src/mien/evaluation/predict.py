"""Running a pipeline over a labeled set, of face crops or photographs, and measuring it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mien import geometry
from mien.errors import DataError, ImageReadError
from mien.evaluation.dataset import SPLITS, LabeledSet
from mien.evaluation.predictions import (
    MISSED,
    PREDICTED,
    UNREADABLE,
    WRONG_FACE,
    Predictions,
    assemble,
    predictable_rows,
)
from mien.expression.crop import face_crop, is_trusted, landmarks_of_crop
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import Face, Image

Progress = Callable[[int, int], None]
"""Called with the number of pictures done, and their total."""

Change = Callable[[Image, int], Image]
"""Changes a picture before it is analyzed; gets its row as well."""

MIN_IOU = 0.3
"""A found face that overlaps the labeled one by less is another one."""

_ALL_ROWS = "all"

# Outcome, probabilities and further columns of one row.
_Row = tuple[str, npt.NDArray[np.float32] | None, dict[str, str]]

# Enough for the classifier to work in batches, few enough to keep photographs in memory.
_BATCH = 32
_WORKERS = 2


class Predict(Protocol):
    """:func:`predict_crops` or :func:`predict_photographs`."""

    def __call__(
        self,
        data: LabeledSet,
        pipeline: FacePipeline,
        *,
        only: Sequence[Expression] | None = None,
        progress: Progress | None = None,
        change: Change | None = None,
    ) -> Predictions: ...


def predict_crops(
    data: LabeledSet,
    pipeline: FacePipeline,
    *,
    only: Sequence[Expression] | None = None,
    progress: Progress | None = None,
    change: Change | None = None,
) -> Predictions:
    """Classify pictures that are face crops; every readable one gets a prediction.

    Args:
        data: the crops, aligned by :func:`mien.expression.crop.face_crop`.
        pipeline: its landmark model and its classifier are used.
        only: restricts the predictions to some labels.
        progress: called after each batch.
        change: is applied to each crop first.

    Raises:
        DataError: no row has a label that the model can predict, or no picture can be read.
    """
    rows, labels = predictable_rows(data, pipeline.classifier.spec.labels, only)

    def predict(indices: Sequence[int]) -> list[_Row]:
        found: dict[int, tuple[Image, str]] = {}
        for index in indices:
            image = _load(rows, index, change)
            if image is not None:
                points = landmarks_of_crop(image, pipeline.landmarks)
                crop = face_crop(image, None, points, pipeline.classifier.spec).image
                found[index] = crop, str(is_trusted(points)).lower()
        scores = pipeline.classifier.classify([crop for crop, _ in found.values()])
        by_index = dict(zip(found, scores, strict=True))
        return [
            (PREDICTED, by_index[i].probabilities, {"aligned": found[i][1]})
            if i in by_index
            else (UNREADABLE, None, {"aligned": ""})
            for i in indices
        ]

    results = _in_batches(len(rows), predict, progress)
    return _assembled(rows, labels, pipeline, results, {"mode": "crops"})


def predict_photographs(
    data: LabeledSet,
    pipeline: FacePipeline,
    *,
    only: Sequence[Expression] | None = None,
    progress: Progress | None = None,
    change: Change | None = None,
) -> Predictions:
    """Run the whole pipeline on photographs that have one labeled face each.

    Where the set has the face's box, the found face that overlaps it most is taken, and one that
    overlaps it by less than :data:`MIN_IOU` is the wrong face; otherwise the largest found face is
    taken. ``columns["faces_found"]`` is ``"none"``, ``"one"`` or ``"several"``.

    Args:
        data: the photographs.
        pipeline: to be run.
        only: restricts the predictions to some labels.
        progress: called after each batch.
        change: is applied to each photograph first.

    Raises:
        DataError: no row has a label that the model can predict, or no picture can be read.
    """
    rows, labels = predictable_rows(data, pipeline.classifier.spec.labels, only)

    def predict_one(index: int) -> _Row:
        image = _load(rows, index, change)
        if image is None:
            return UNREADABLE, None, {"faces_found": ""}
        faces = pipeline.analyze(image).faces
        columns = {"faces_found": ("none", "one", "several")[min(len(faces), 2)]}
        if not faces:
            return MISSED, None, columns
        face = choose_face(faces, rows.box(index))
        if face is None:
            return WRONG_FACE, None, columns
        assert face.expression is not None
        return PREDICTED, face.expression.probabilities, columns

    results = _in_batches(len(rows), lambda part: [predict_one(index) for index in part], progress)
    facts = {"mode": "photographs", "detector": pipeline.detector.name}
    return _assembled(rows, labels, pipeline, results, facts)


def choose_face(faces: Sequence[Face], box_xyxy: npt.ArrayLike | None) -> Face | None:
    """The face that a label is about; None where it was not found.

    Args:
        faces: found faces.
        box_xyxy: ``(4,)`` the labeled face, NaN or None where that is not known.
    """
    if not faces:
        return None
    if box_xyxy is None or not np.isfinite(np.asarray(box_xyxy)).all():
        return max(faces, key=lambda face: face.box.width * face.box.height)
    boxes = np.array([face.box.to_array() for face in faces])
    overlaps = geometry.box_iou(boxes, box_xyxy)[:, 0]
    best = int(overlaps.argmax())
    return faces[best] if overlaps[best] >= MIN_IOU else None


def _load(data: LabeledSet, index: int, change: Change | None) -> Image | None:
    try:
        image = data.load(index)
    except ImageReadError:
        return None
    return image if change is None else change(image, index)


def _in_batches(
    count: int, predict: Callable[[Sequence[int]], list[_Row]], progress: Progress | None
) -> list[_Row]:
    batches = [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]
    results: list[_Row] = []
    pool = ThreadPoolExecutor(_WORKERS)
    try:
        for part in pool.map(predict, batches):
            results.extend(part)
            if progress is not None:
                progress(len(results), count)
    finally:
        # After Ctrl-C or an error the batches that have not started are dropped.
        pool.shutdown(cancel_futures=True)
    return results


def _assembled(
    data: LabeledSet,
    labels: tuple[Expression, ...],
    pipeline: FacePipeline,
    results: Sequence[_Row],
    facts: Mapping[str, str],
) -> Predictions:
    return assemble(
        data,
        labels,
        pipeline.classifier.spec.labels,
        [(outcome, probabilities) for outcome, probabilities, _ in results],
        facts={
            "model": pipeline.classifier.name,
            "prior": pipeline.classifier.prior,
            "landmarks": pipeline.landmarks.name,
            **facts,
        },
        columns={name: [row[2][name] for row in results] for name in results[0][2]},
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a data set are evaluated, and as what.

    Attributes:
        crops: whether the pictures are face crops; None uses what the data set says.
        split: "train", "valid", "test" or "all"; None is "valid" where the data set has one, so
            that nothing is measured on training rows by mistake, and "all" otherwise.
        only: restricts the predictions, and the rows, to some labels.
        limit: maximum number of rows, drawn at random; 0 for all.
        seed: of the draw.
    """

    crops: bool | None = None
    split: str | None = None
    only: tuple[Expression, ...] | None = None
    limit: int = 0
    seed: int = 0

    def apply(
        self, data: LabeledSet, model_labels: Sequence[Expression]
    ) -> tuple[LabeledSet, Predict, str]:
        """The rows, the function that predicts them, and the name of their split.

        Raises:
            DataError: no such split, or no row is left.
        """
        split = self.split or ("valid" if "valid" in data.split else _ALL_ROWS)
        if split not in (*SPLITS, _ALL_ROWS):
            expected = ", ".join((*SPLITS, _ALL_ROWS))
            raise DataError(f"expected a split out of {expected}, got {split!r}")
        rows = data if split == _ALL_ROWS else data.in_split(split)
        if 0 < self.limit < len(rows):
            # Rows that cannot be predicted are dropped first, or they would use up the limit.
            rows, _ = predictable_rows(rows, model_labels, self.only)
            rng = np.random.default_rng(self.seed)
            rows = rows.take(np.sort(rng.permutation(len(rows))[: self.limit]))
        crops = data.face_crops if self.crops is None else self.crops
        predict: Predict = predict_crops if crops else predict_photographs
        return dataclasses.replace(rows, face_crops=crops), predict, split
