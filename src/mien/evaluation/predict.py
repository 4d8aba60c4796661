"""Asking a pipeline about every picture of a labeled set: face crops, or photographs."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from mien import geometry
from mien.errors import ImageReadError
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.predictions import (
    ANSWERED,
    MISSED,
    UNREADABLE,
    WRONG_FACE,
    Answers,
    answerable,
    assemble,
)
from mien.expression.crop import face_crop, is_trusted, landmarks_of_crop
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import Face, Image

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and how many there are."""

Change = Callable[[Image, int], Image]
"""Changes a picture before it is looked at; gets its row as well."""

Row = tuple[str, npt.NDArray[np.float32] | None, dict[str, str]]

MIN_IOU = 0.3
"""A found face that overlaps the labeled one by less is another one."""

# Enough for the classifier to work in batches, few enough to hold photographs of.
_BATCH = 32
_WORKERS = 2


def ask_about_crops(
    data: LabeledSet,
    pipeline: FacePipeline,
    *,
    only: Sequence[Expression] | None = None,
    progress: Progress | None = None,
    change: Change | None = None,
) -> Answers:
    """Classify pictures that are face crops; every readable one gets an answer.

    Args:
        data: the crops. Each is aligned by the landmarks that are found in it, and taken as it is
            where none are.
        pipeline: its landmark model and its classifier are used.
        only: restricts the answers to some labels.
        progress: is told how far it is.
        change: is applied to each crop first.

    Raises:
        DataError: there is no row that the model can be asked about.
    """
    rows, labels = answerable(data, pipeline.classifier.spec.labels, only)

    def answer(indices: Sequence[int]) -> list[Row]:
        spec = pipeline.classifier.spec
        found: dict[int, tuple[Image, str]] = {}
        for index in indices:
            image = _load(rows, index, change)
            if image is not None:
                points = landmarks_of_crop(image, pipeline.landmarks)
                crop = face_crop(image, None, points, spec).image
                found[index] = crop, str(is_trusted(points)).lower()
        scores = pipeline.classifier.classify([crop for crop, _ in found.values()])
        by_index = dict(zip(found, scores, strict=True))
        return [
            (ANSWERED, by_index[i].probabilities, {"aligned": found[i][1]})
            if i in by_index
            else (UNREADABLE, None, {"aligned": ""})
            for i in indices
        ]

    answers = _in_batches(len(rows), answer, progress)
    return _assembled(rows, labels, pipeline, answers, {"mode": "crops"})


def ask_about_photographs(
    data: LabeledSet,
    pipeline: FacePipeline,
    *,
    only: Sequence[Expression] | None = None,
    progress: Progress | None = None,
    change: Change | None = None,
) -> Answers:
    """Run the whole pipeline on photographs that have one labeled face each.

    Where the set tells the face's box, the found face that overlaps it most is taken, and one that
    overlaps it by less than :data:`MIN_IOU` is the wrong face; else the largest found face is
    taken. ``columns["faces_found"]`` tells how many there were: none, one, several.

    Args:
        data: the photographs.
        pipeline: is asked.
        only: restricts the answers to some labels.
        progress: is told how far it is.
        change: is applied to each photograph first.

    Raises:
        DataError: there is no row that the model can be asked about.
    """
    rows, labels = answerable(data, pipeline.classifier.spec.labels, only)

    def answer(indices: Sequence[int]) -> list[Row]:
        return [answer_one(index) for index in indices]

    def answer_one(index: int) -> Row:
        image = _load(rows, index, change)
        if image is None:
            return UNREADABLE, None, {"faces_found": ""}
        faces = pipeline.analyze(image).faces
        columns = {"faces_found": ("none", "one", "several")[min(len(faces), 2)]}
        if not faces:
            return MISSED, None, columns
        box = None if rows.boxes_xyxy is None else rows.boxes_xyxy[index]
        face = choose_face(faces, box)
        if face is None:
            return WRONG_FACE, None, columns
        assert face.expression is not None
        return ANSWERED, face.expression.probabilities, columns

    answers = _in_batches(len(rows), answer, progress)
    facts = {"mode": "photographs", "detector": pipeline.detector.name}
    return _assembled(rows, labels, pipeline, answers, facts)


def choose_face(faces: Sequence[Face], box_xyxy: npt.ArrayLike | None) -> Face | None:
    """The face that a label is about; None where it was not found.

    Args:
        faces: at least one.
        box_xyxy: ``(4,)`` where the labeled face is, NaN or None where that is not known.
    """
    boxes = np.array([face.box.to_array() for face in faces])
    if box_xyxy is None or not np.isfinite(np.asarray(box_xyxy)).all():
        return max(faces, key=lambda face: face.box.width * face.box.height)
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
    count: int, answer: Callable[[Sequence[int]], list[Row]], progress: Progress | None
) -> list[Row]:
    batches = [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]
    answers: list[Row] = []
    pool = ThreadPoolExecutor(_WORKERS)
    try:
        for part in pool.map(answer, batches):
            answers.extend(part)
            if progress is not None:
                progress(len(answers), count)
    finally:
        # After Ctrl-C or an error nobody waits for the batches that have not begun.
        pool.shutdown(cancel_futures=True)
    return answers


def _assembled(
    data: LabeledSet,
    labels: tuple[Expression, ...],
    pipeline: FacePipeline,
    answers: Sequence[Row],
    facts: Mapping[str, str],
) -> Answers:
    columns = {name: [row[2][name] for row in answers] for name in answers[0][2]}
    return assemble(
        data,
        labels,
        pipeline.classifier.spec.labels,
        [(outcome, probabilities) for outcome, probabilities, _ in answers],
        facts={
            "model": pipeline.classifier.name,
            "prior": pipeline.classifier.prior,
            "landmarks": pipeline.landmarks.name,
            **facts,
        },
        columns=columns,
    )
