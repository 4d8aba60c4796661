"""Running a pipeline over a labeled set: its prediction for every row."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mien import geometry
from mien.errors import DataError, ImageReadError
from mien.evaluation.dataset import UNLABELED, IntArray, LabeledSet, TextArray
from mien.evaluation.figures import NO_PREDICTION
from mien.expression.crop import face_crop, is_trusted, landmarks_of_crop
from mien.geometry import Array
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import Face, FloatArray, Image

Progress = Callable[[int, int], None]
"""Called with the number of pictures done, and their total."""

_Found = TypeVar("_Found")

_Change = Callable[[Image, int], Image]
"""Changes a picture before it is analyzed; gets its row as well."""

_MIN_IOU = 0.3
"""A found face that overlaps the labeled one by less is another one."""

_SPLITS, _ALL_ROWS = ("train", "valid", "test"), "all"

# Outcome and probabilities of a row, and its value in the column of the mode.
_Row = tuple[str, FloatArray | None, str]

# Enough for the classifier to work in batches, few enough to report progress often.
_BATCH = 32
_WORKERS = 2

PREDICTED = "answered"
MISSED = "missed"
WRONG_FACE = "wrong_face"
_UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The predictions for the rows that count; row ``i`` is the same in every field.

    Attributes:
        data: name of the data set.
        labels: ``(K,)`` the expressions that could be predicted.
        truth: ``(N,)`` index into ``labels``.
        probabilities: ``(N, K)``, NaN where there is no prediction.
        outcome: ``(N,)`` :data:`PREDICTED`, :data:`MISSED` (no face was found) or
            :data:`WRONG_FACE` (faces were found, the labeled one was not).
        names: ``(N,)`` the pictures.
        columns: to slice by, each ``(N,)`` text.
        facts: how they were made: model, prior, mode.
        left_out: the rows that do not count, by reason: the names of the pictures.
    """

    data: str
    labels: tuple[Expression, ...]
    truth: IntArray
    probabilities: Array
    outcome: TextArray
    names: tuple[str, ...]
    columns: Mapping[str, TextArray] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_prediction(self) -> npt.NDArray[np.bool_]:
        """``(N,)``: whether there are probabilities."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def predicted(self) -> IntArray:
        """``(N,)`` index of the most probable label, or -1 where there is no prediction."""
        best = np.where(np.isfinite(self.probabilities), self.probabilities, -1.0).argmax(axis=1)
        return np.where(self.has_prediction, best, NO_PREDICTION)

    @property
    def confidence(self) -> Array:
        """``(N,)`` top probability, NaN where there is no prediction."""
        top: Array = self.probabilities.max(axis=1, initial=0.0)
        return top

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """``(N,)``: whether the prediction is right."""
        return np.asarray(self.predicted == self.truth)

    def take(self, rows: npt.ArrayLike) -> "Predictions":
        """Some rows, by index or by an ``(N,)`` mask."""
        wanted = np.arange(len(self))[np.asarray(rows)]
        return dataclasses.replace(
            self,
            truth=self.truth[wanted],
            probabilities=self.probabilities[wanted],
            outcome=self.outcome[wanted],
            names=tuple(self.names[i] for i in wanted),
            columns={name: column[wanted] for name, column in self.columns.items()},
        )


def predictable_rows(
    data: LabeledSet, model_labels: Sequence[Expression], only: Sequence[Expression] | None
) -> tuple[LabeledSet, tuple[Expression, ...]]:
    """The rows whose label is among those that may be predicted, and these in the model's order.

    `only` restricts the labels of the model. The other rows are added to ``left_out``.

    Raises:
        DataError: the model lacks a label, or no row is left.
    """
    unknown = [label.value for label in only or () if label not in model_labels]
    if unknown:
        raise DataError(
            f"expected labels out of {', '.join(model_labels)}, which the model has, "
            f"got {', '.join(unknown)}"
        )
    labels = tuple(label for label in model_labels if only is None or label in only)
    if only is not None and len(labels) < 2:
        raise DataError(
            f"expected at least two labels to choose from, got only {', '.join(labels)}, which "
            "would always be right: name more, or leave --labels out"
        )
    left_out = dict(data.left_out)
    keep = np.zeros(len(data), np.bool_)
    for index, label in enumerate(data.labels):
        mask = data.label_index == index
        if label in labels:
            keep |= mask
        elif mask.any():
            left_out[f"the answers do not include {label.value}"] = data.take(mask).names
    without = data.label_index == UNLABELED
    if without.any():
        left_out["no usable label"] = data.take(without).names
    if not keep.any():
        raise DataError(
            f"expected rows of {data.name} labeled {', '.join(labels)}, found none: "
            + "; ".join(f"{reason}: {len(names)}" for reason, names in left_out.items())
        )
    return dataclasses.replace(data.take(keep), left_out=left_out), labels


def predict(
    data: LabeledSet,
    pipeline: FacePipeline,
    *,
    only: Sequence[Expression] | None = None,
    progress: Progress | None = None,
    change: _Change | None = None,
) -> Predictions:
    """Predict the expression of every row.

    Face crops (``data.face_crops``) are aligned and classified; ``columns["aligned"]`` is
    ``"true"`` where landmarks were found. Photographs with one labeled face each pass through the
    whole pipeline: see :func:`choose_face`; ``columns["faces_found"]`` is ``"none"``, ``"one"`` or
    ``"several"``.

    Args:
        data: the labeled set.
        only: restricts the predictions to some labels.
        change: is applied to each picture first.

    Returns:
        The predictions of the readable rows, with the probabilities of the allowed labels scaled
        to sum to 1.

    Raises:
        DataError: no row has a label that the model can predict, or no picture can be read.
    """
    rows, labels = predictable_rows(data, pipeline.classifier.spec.labels, only)

    def readable(indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        for index in indices:
            try:
                image = rows.load(index)
            except ImageReadError:
                continue
            yield index, image if change is None else change(image, index)

    def predict_part(indices: Sequence[int]) -> list[_Row]:
        if data.face_crops:
            found = _classify_crops(readable(indices), pipeline)
        else:
            found = {
                index: _photograph(pipeline.analyze(image).faces, rows.box(index))
                for index, image in readable(indices)
            }
        return [found.get(index, (_UNREADABLE, None, "")) for index in indices]

    results = in_batches(len(rows), predict_part, progress)
    return _assembled(rows, labels, pipeline, results)


def _classify_crops(images: Iterable[tuple[int, Image]], pipeline: FacePipeline) -> dict[int, _Row]:
    spec = pipeline.classifier.spec
    crops: dict[int, tuple[Image, bool]] = {}
    for index, image in images:
        points = landmarks_of_crop(image, pipeline.landmarks)
        crops[index] = face_crop(image, None, points, spec).image, is_trusted(points)
    scores = pipeline.classifier.classify([crop for crop, _ in crops.values()])
    return {
        index: (PREDICTED, score.probabilities, str(aligned).lower())
        for (index, (_, aligned)), score in zip(crops.items(), scores, strict=True)
    }


def _photograph(faces: Sequence[Face], box_xyxy: FloatArray | None) -> _Row:
    found = ("none", "one", "several")[min(len(faces), 2)]
    if not faces:
        return MISSED, None, found
    face = choose_face(faces, box_xyxy)
    if face is None:
        return WRONG_FACE, None, found
    assert face.expression is not None
    return PREDICTED, face.expression.probabilities, found


def choose_face(faces: Sequence[Face], box_xyxy: npt.ArrayLike | None) -> Face | None:
    """The face that a label is about; None where it was not found.

    It is the one that overlaps the labeled ``(4,)`` box most, by an IoU of at least 0.3, or the
    largest face where the box is NaN or None.
    """
    if not faces:
        return None
    if box_xyxy is None or not np.isfinite(np.asarray(box_xyxy)).all():
        return max(faces, key=lambda face: face.box.area)
    boxes = np.array([face.box.to_array() for face in faces])
    overlaps = geometry.box_iou(boxes, box_xyxy)[:, 0]
    best = int(overlaps.argmax())
    return faces[best] if overlaps[best] >= _MIN_IOU else None


def in_batches(
    count: int, predict: Callable[[Sequence[int]], list[_Found]], progress: Progress | None
) -> list[_Found]:
    """What a function finds for the rows of a batch, for all rows; batches run in two threads."""
    batches = [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]
    results: list[_Found] = []
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
) -> Predictions:
    classifier = pipeline.classifier
    places = [classifier.spec.labels.index(label) for label in labels]
    probabilities = np.full((len(results), len(labels)), np.nan)
    for slot, (_, given, _) in zip(probabilities, results, strict=True):
        if given is not None:
            # Slightly above zero, so that a row whose allowed labels all have 0 keeps a prediction.
            slot[:] = np.asarray(given, np.float64)[places] + 1e-12
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    outcome = np.array([name for name, _, _ in results], np.str_)
    unreadable = outcome == _UNREADABLE
    left_out = dict(data.left_out)
    for index in np.flatnonzero(unreadable).tolist():
        reason = data.why_unreadable(index)
        left_out[reason] = (*left_out.get(reason, ()), data.names[index])
    if unreadable.all():
        reasons = "; ".join(f"{reason} ({names[0]})" for reason, names in left_out.items())
        raise DataError(
            f"expected readable pictures in {data.name}, but none of the {len(results)} is: "
            f"{reasons}"
        )
    facts = {
        "model": classifier.name,
        "prior": classifier.prior,
        "landmarks": pipeline.landmarks.name,
        "mode": "crops" if data.face_crops else "photographs",
    }
    if not data.face_crops:
        facts["detector"] = pipeline.detector.name
    column = "aligned" if data.face_crops else "faces_found"
    every = Predictions(
        data=data.name,
        labels=labels,
        truth=np.array([labels.index(x) if x in labels else -1 for x in data.labels])[
            data.label_index
        ],
        probabilities=probabilities,
        outcome=outcome,
        names=data.names,
        columns={**data.columns, column: np.array([value for _, _, value in results], np.str_)},
        facts=facts,
        left_out=left_out,
    )
    return every.take(~unreadable)


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

    def apply(self, data: LabeledSet, model_labels: Sequence[Expression]) -> tuple[LabeledSet, str]:
        """The rows and the name of their split.

        Raises:
            DataError: no such split, or no row is left.
        """
        split = self.split or ("valid" if "valid" in data.split else _ALL_ROWS)
        if split not in (*_SPLITS, _ALL_ROWS):
            expected = ", ".join((*_SPLITS, _ALL_ROWS))
            raise DataError(f"expected a split out of {expected}, got {split!r}")
        rows = data if split == _ALL_ROWS else data.in_split(split)
        if 0 < self.limit < len(rows):
            # Rows that cannot be predicted are dropped first, or they would use up the limit.
            rows, _ = predictable_rows(rows, model_labels, self.only)
            rng = np.random.default_rng(self.seed)
            rows = rows.take(np.sort(rng.permutation(len(rows))[: self.limit]))
        crops = data.face_crops if self.crops is None else self.crops
        return dataclasses.replace(rows, face_crops=crops), split
