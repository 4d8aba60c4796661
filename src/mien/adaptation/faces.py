"""The faces of a labeled set as a network sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np

from mien.adaptation.head import LOG_FLOOR, OTHER_LOGS, PARTS, Features
from mien.errors import DataError, ImageReadError
from mien.evaluation.data_check import near_duplicate_groups
from mien.evaluation.dataset import SUBJECT, UNLABELED, IntArray, LabeledSet
from mien.evaluation.predict import Progress, choose_face, in_batches
from mien.evaluation.summary import first_names
from mien.expression.crop import face_crop, landmarks_of_crop
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax, uniform_shift
from mien.geometry import Array
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import FloatArray, Image

_PERSON_COLUMNS = (SUBJECT, "person", "participant", "group")

LEAST, MOST = 3, 500
"""Pictures of each label that are needed, and that are used."""


SeenFace = tuple[Image, FloatArray]
"""An aligned crop, and the probabilities ``(C,)`` of the model as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class LabeledFaces:
    """Aligned crops with their labels; row ``i`` is the same in every field.

    Attributes:
        labels: ``(K,)`` of the data set, those of the model first.
        truth: ``(N,)`` index of the label.
        crops: ``N`` aligned crops.
        scores: ``(N, C)`` what the model as it is says about them.
        groups: ``(N,)`` equal numbers for one person, or for near-duplicates.
        names: of the pictures.
        left_out: the names of the pictures that are not among them, by reason.
    """

    labels: tuple[Expression, ...]
    truth: IntArray
    crops: tuple[Image, ...]
    scores: Array
    groups: IntArray
    names: tuple[str, ...]
    left_out: dict[str, tuple[str, ...]]


def find_faces(
    data: LabeledSet, pipeline: FacePipeline, progress: Progress | None = None
) -> LabeledFaces:
    """Cut out the labeled face of every picture.

    Raises:
        DataError: there are too few labels, or too few faces of a label.
    """
    rows = _at_most(data.labeled())
    spec = pipeline.classifier.spec
    found, lost = find_crops(rows, pipeline, progress)
    for index in _with_other_labels(rows, found):
        del found[index]
        lost.setdefault("the same picture has another label, too", []).append(rows.names[index])
    kept = rows.take(list(found))
    there = {label for label, count in kept.counts().items() if count}
    labels = (
        *(label for label in spec.labels if label in there),
        *(label for label in kept.labels if label in there and label not in spec.labels),
    )
    _check_counts(rows, kept, {**data.left_out, **lost})
    images = tuple(crop for crop, _ in found.values())
    groups = person_groups(kept, images)
    if len(np.unique(groups)) < 2:
        raise DataError(
            f"expected pictures of several people in {rows.name}, got {len(images)} of one person, "
            "or copies of one: the result could not be checked on others; add pictures"
        )
    return LabeledFaces(
        labels=labels,
        truth=kept.relabel(labels).label_index,
        crops=images,
        scores=np.array([scores for _, scores in found.values()], np.float64),
        groups=groups,
        names=kept.names,
        left_out={
            **data.left_out,
            **_surplus(data, rows),
            **{reason: tuple(names) for reason, names in lost.items()},
        },
    )


def _with_other_labels(rows: LabeledSet, found: Mapping[int, SeenFace]) -> list[int]:
    """The rows whose crop is also that of a row with another label."""
    labels: dict[bytes, set[int]] = {}
    marks = {index: sha256(crop.tobytes()).digest() for index, (crop, _) in found.items()}
    for index, mark in marks.items():
        labels.setdefault(mark, set()).add(int(rows.label_index[index]))
    return [index for index, mark in marks.items() if len(labels[mark]) > 1]


def read_features(
    crops: Sequence[Image], classifier: NeuralClassifier, progress: Progress | None = None
) -> Features:
    """What the network says about the crops and their mirror images."""
    spec = classifier.spec
    extra = [name for name in (*PARTS, OTHER_LOGS) if name in spec.outputs]
    wanted = [spec.outputs[0], *extra]

    def read(rows: Sequence[int]) -> list[tuple[FloatArray, ...]]:
        views = [view for row in rows for view in (crops[row], crops[row][:, ::-1])]
        outputs = classifier.run(list(map(np.ascontiguousarray, views)), wanted)
        return list(zip(*(output.reshape(len(rows), 2, -1) for output in outputs), strict=True))

    found = zip(*in_batches(len(crops), read, progress), strict=True)
    values = {
        name: np.stack(rows).astype(np.float64) for name, rows in zip(wanted, found, strict=True)
    }
    logits = values.pop(spec.outputs[0])
    logs = np.log(np.maximum(softmax(logits / spec.temperature + uniform_shift(spec)), 1e-12))
    other_logs = values.pop(OTHER_LOGS, np.zeros((*logits.shape[:2], 0)))
    return Features(np.maximum(logs, LOG_FLOOR), values, other_logs)


def find_crops(
    rows: LabeledSet, pipeline: FacePipeline, progress: Progress | None = None
) -> tuple[dict[int, SeenFace], dict[str, list[str]]]:
    """The pictures' faces by row, and the names of the other pictures by reason."""
    faces: dict[int, SeenFace] = {}
    lost: dict[str, list[str]] = {}
    results = in_batches(len(rows), partial(_find_part, rows, pipeline), progress)
    for index, found in enumerate(results):
        if isinstance(found, str):
            lost.setdefault(found, []).append(rows.names[index])
        else:
            faces[index] = found
    return faces, lost


def _find_part(
    rows: LabeledSet, pipeline: FacePipeline, indices: Sequence[int]
) -> list[SeenFace | str]:
    found = [_find_face(rows, index, pipeline) for index in indices]
    crops = [crop for crop in found if isinstance(crop, np.ndarray)]
    scores = iter(pipeline.classifier.classify(crops))
    return [
        (crop, next(scores).probabilities) if isinstance(crop, np.ndarray) else crop
        for crop in found
    ]


def _find_face(rows: LabeledSet, index: int, pipeline: FacePipeline) -> SeenFace | Image | str:
    """A picture's face, of a face crop only the aligned one, or why there is none."""
    try:
        image = rows.load(index)
    except ImageReadError:
        return rows.why_unreadable(index)
    spec = pipeline.classifier.spec
    if rows.face_crops:
        points = landmarks_of_crop(image, pipeline.landmarks)
        return face_crop(image, None, points, spec).image
    faces = pipeline.analyze(image).faces
    face = choose_face(faces, rows.box(index))
    if face is None:
        return "the labeled face was not found" if faces else "no face was found"
    assert face.expression is not None
    crop = face_crop(image, face.box, face.landmarks, spec).image
    return crop, face.expression.probabilities


def _at_most(data: LabeledSet) -> LabeledSet:
    """At most :data:`MOST` rows of each label, drawn at random."""
    rng = np.random.default_rng(0)
    kept = [
        rng.permutation(np.flatnonzero(data.label_index == index))[:MOST]
        for index in range(len(data.labels))
    ]
    return data.take(np.sort(np.concatenate(kept)))


def _surplus(data: LabeledSet, rows: LabeledSet) -> dict[str, tuple[str, ...]]:
    found = {}
    unlabeled = data.label_index == UNLABELED
    if unlabeled.any():
        found["no usable label"] = data.take(unlabeled).names
    if len(rows) < int((~unlabeled).sum()):
        used = set(rows.names)
        names = data.take(~unlabeled).names
        found[f"more than {MOST} pictures of a label"] = tuple(n for n in names if n not in used)
    return found


def _check_counts(rows: LabeledSet, kept: LabeledSet, lost: Mapping[str, Sequence[str]]) -> None:
    counts = kept.counts()
    given = {label: n for label, n in rows.counts().items() if n}
    reasons = "".join(
        f"; {reason}: {len(names)} ({first_names(names, len(names))})"
        for reason, names in lost.items()
    )
    if "no face was found" in lost and not rows.face_crops:
        reasons += " (use --crops if the pictures are tight face crops)"
    if len(given) < 2:
        raise DataError(
            f"expected pictures of at least two labels in {rows.name}, got "
            f"{', '.join(given) or 'none'}{reasons}"
        )
    few = {label: counts[label] for label in given if counts[label] < LEAST}
    if few:
        listed = ", ".join(f"{label}: {count}" for label, count in few.items())
        raise DataError(
            f"expected at least {LEAST} usable pictures of each label, got {listed}{reasons}: add "
            "pictures, or take the label away"
        )


def person_groups(kept: LabeledSet, crops: tuple[Image, ...]) -> IntArray:
    """``(N,)`` equal numbers below N for one person, or for near-duplicates of unknown persons."""
    named = np.full(len(kept), "")
    for name, values in kept.columns.items():
        if name.lower() in _PERSON_COLUMNS:  # the first that is not empty
            named = np.where(named == "", np.char.strip(np.asarray(values).astype(str)), named)
    unknown = named == ""
    if unknown.all():
        if kept.group is not None:
            return np.unique(kept.group, return_inverse=True)[1]
        return near_duplicate_groups(crops)
    groups = np.unique(named, return_inverse=True)[1].astype(np.int64)
    if unknown.any():  # an empty cell says nothing about who it is: these are not one person
        groups[unknown] = len(named) + near_duplicate_groups(
            tuple(crop for crop, blank in zip(crops, unknown, strict=True) if blank)
        )
    return np.asarray(np.unique(groups, return_inverse=True)[1], np.int64)
