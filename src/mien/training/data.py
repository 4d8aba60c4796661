"""From a labeled data set to faces that can be trained on."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien import geometry, imaging
from mien.errors import DataError, ImageReadError
from mien.evaluation.dataset import UNLABELED, LabeledSet, vote_shares
from mien.evaluation.predict import choose_face
from mien.evaluation.readers import read_data
from mien.expression.crop import crop_transform, landmarks_of_crop
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.training import split
from mien.training.balance import majority_prior
from mien.training.faces import MAIN_HEAD, SECOND_HEAD, Faces
from mien.training.recipe import Recipe, bare_spec
from mien.types import Face, FloatArray, Image, ModelSpec

Transform = npt.NDArray[np.float64]
Told = Callable[[int, int], None]
"""Called with how many pictures are prepared, and how many there are."""

# Pictures of any size are kept as one aligned size, with a margin and more pixels than the network
# needs, so that training can still turn and shift them.
_MARGIN = 0.25
_ENLARGED = 1.5
# What came of a picture.
_READY, _NO_FACE, _UNREADABLE = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """Faces to learn from and faces to choose by.

    Attributes:
        name: of the data set.
        train, valid: the faces.
        truth: by head, ``(len(valid),)`` label index, -1 where the row does not count.
        training_prior: ``(K,)`` shares of the labels in ``train``, see
            :func:`mien.training.balance.majority_prior`.
        second_labels: of the second head; empty where the recipe has none.
        facts: counts for the model card: what was used, and what was dropped and why.
        unreadable: names of the pictures that could not be read.
    """

    name: str
    train: Faces
    valid: Faces
    truth: dict[str, npt.NDArray[np.int64]]
    training_prior: FloatArray
    second_labels: tuple[Expression, ...]
    facts: dict[str, int]
    unreadable: tuple[str, ...] = ()


def load_training_data(
    path: Path, recipe: Recipe, pipeline: FacePipeline, *, crops: bool | None, seed: int, tell: Told
) -> TrainingData:
    """Read, split, align.

    Rows of the train split that are near-duplicates of valid ones are dropped; so are rows without
    a usable label, those where most people saw none of the recipe's expressions, and those whose
    file cannot be read.

    Args:
        path: see :func:`mien.evaluation.readers.read_data`.
        pipeline: finds the faces and their landmarks.
        crops: whether the pictures are face crops already, else photographs; None takes the data
            set's word for it.
        seed: of the split, where the data set has none.

    Raises:
        DataError: no such data, or too little of it.
    """
    data = read_data(path, recipe.labeling)
    if recipe.labeling != "ferplus":
        # The votes are of the other labeling.
        data = dataclasses.replace(data, name=recipe.labeling, votes=None)
    crops = data.face_crops if crops is None else crops
    second = read_data(path, "fer2013") if recipe.network.second_head else None
    targets = _targets(data, recipe.network.labels)
    valid = split.valid_rows(data, seed)
    leaking = ~valid & split.in_groups_of(data, valid)
    usable = _usable_rows(data, targets)
    train_rows = np.flatnonzero(~valid & ~leaking & usable & (data.split != "test"))
    valid_rows = np.flatnonzero(valid)
    if not len(train_rows) or not len(valid_rows):
        raise DataError(f"expected rows to train on and rows to choose by in {path}, found none")
    split.check_variety(targets[train_rows].sum(axis=0), path.name)
    by_head = {MAIN_HEAD: targets}
    truth = {MAIN_HEAD: split.renumbered(data, recipe.network.labels)[valid_rows]}
    if second is not None:
        by_head[SECOND_HEAD] = _one_hot(second.label_index, len(second.labels))
        truth[SECOND_HEAD] = second.label_index[valid_rows]
    rows = np.concatenate([train_rows, valid_rows])
    faces, outcome = prepare_faces(
        data.take(rows),
        bare_spec(recipe),
        pipeline,
        targets={head: table[rows] for head, table in by_head.items()},
        crops=crops,
        tell=tell,
    )
    learning = np.arange(len(rows)) < len(train_rows)
    found, unreadable = outcome == _READY, outcome == _UNREADABLE
    for of_head in truth.values():
        of_head[unreadable[~learning]] = UNLABELED
    if not found[learning].any() or not (truth[MAIN_HEAD] != UNLABELED).any():
        raise DataError(
            f"expected faces to learn from and faces to choose by in {path}, found "
            f"{found[learning].sum()} and {(truth[MAIN_HEAD] != UNLABELED).sum()}"
        )
    return TrainingData(
        name=data.name,
        train=faces.take(learning & found),
        valid=faces.take(~learning),
        truth=truth,
        training_prior=majority_prior(targets[train_rows]),
        second_labels=() if second is None else second.labels,
        facts={
            "train": int((learning & found).sum()),
            "valid": int((truth[MAIN_HEAD] != UNLABELED).sum()),
            "dropped_near_duplicates": int((leaking & usable).sum()),
            "dropped_without_label": int((~valid & ~usable).sum()),
            "dropped_without_face": int((learning & (outcome == _NO_FACE)).sum()),
            "dropped_unreadable": int(unreadable.sum()),
        },
        unreadable=tuple(data.names[row] for row in rows[unreadable]),
    )


def _targets(data: LabeledSet, labels: Sequence[Expression]) -> FloatArray:
    """``(N, K)`` shares: of the votes where there are votes, else all for the one label."""
    if data.votes is not None:
        return vote_shares(data.votes, data.vote_names, labels)
    return _one_hot(split.renumbered(data, labels), len(labels))


def _one_hot(label_index: npt.NDArray[np.int64], classes: int) -> FloatArray:
    table = np.zeros((len(label_index), classes), np.float32)
    known = np.flatnonzero(label_index != UNLABELED)
    table[known, label_index[known]] = 1
    return table


def _usable_rows(data: LabeledSet, targets: FloatArray) -> npt.NDArray[np.bool_]:
    usable = targets.sum(axis=1) > 0
    if data.votes is None:
        return np.asarray(usable)
    votes = np.where(data.votes < 2, 0, data.votes).astype(np.int64)
    elsewhere = np.isin(data.vote_names, ("unknown", "NF"))
    lost, kept = votes[:, elsewhere].sum(axis=1), votes[:, ~elsewhere].sum(axis=1)
    return np.asarray(usable & (lost < kept))


def prepare_faces(
    data: LabeledSet,
    spec: ModelSpec,
    pipeline: FacePipeline,
    *,
    targets: dict[str, FloatArray] | None = None,
    crops: bool = True,
    tell: Told = lambda *_: None,
) -> tuple[Faces, npt.NDArray[np.int64]]:
    """Find and align the face in every picture.

    Args:
        data: the pictures.
        spec: of the model to be trained: input size and alignment template.
        pipeline: finds faces and landmarks.
        targets: by head, ``(N, labels)``, see :class:`Faces`.
        crops: whether the pictures are face crops already, else photographs.
        tell: called with the number of pictures done and their total.

    Returns:
        A face for every row, and ``(N,)`` its outcome. Rows without a face show the whole picture,
        unreadable ones are black.
    """
    size_wh, targets = spec.input.size_wh, targets or {}
    pixels = data.pixels if crops else None
    outcome = np.full(len(data), _READY)
    if pixels is not None and pixels.ndim == 3:
        transforms = np.empty((len(data), 2, 3))
        for row, image in enumerate(pixels):
            transforms[row] = _crop_transform(image, spec, pipeline)
            tell(row + 1, len(data))
        return Faces(pixels, transforms, size_wh, targets), outcome
    margin = _MARGIN * size_wh[0] * _ENLARGED
    enlarge = geometry.similarity(_ENLARGED, translation=(margin, margin))
    side = round(size_wh[0] * _ENLARGED + 2 * margin)
    images = np.zeros((len(data), side, side), np.uint8)
    for row in range(len(data)):
        tell(row + 1, len(data))
        try:
            image = data.load(row)
        except ImageReadError:
            outcome[row] = _UNREADABLE
            continue
        if crops:
            transform = _crop_transform(image, spec, pipeline)
        else:
            transform, found = _photograph_transform(image, data, row, spec, pipeline)
            outcome[row] = _READY if found else _NO_FACE
        wide = imaging.warp(image, geometry.compose(enlarge, transform), (side, side))
        images[row] = imaging.to_gray(wide)
    transforms = np.repeat(geometry.invert(enlarge)[None], len(data), axis=0)
    return Faces(images, transforms, size_wh, targets), outcome


def _crop_transform(image: Image, spec: ModelSpec, pipeline: FacePipeline) -> Transform:
    """Of a picture that is a face crop."""
    return crop_transform(image, None, landmarks_of_crop(image, pipeline.landmarks), spec)


def _photograph_transform(
    image: Image, data: LabeledSet, row: int, spec: ModelSpec, pipeline: FacePipeline
) -> tuple[Transform, bool]:
    """Of the labeled face in a photograph, and whether it was found."""
    rgb = imaging.as_rgb(image)
    faces = [Face(detection) for detection in pipeline.detect(rgb)]
    box = None if data.boxes_xyxy is None else data.boxes_xyxy[row]
    face = choose_face(faces, box) if faces else None
    if face is None:
        return crop_transform(image, None, None, spec), False
    (landmarks,) = pipeline.landmarks.predict(rgb, [face.detection])
    return crop_transform(image, face.box, landmarks, spec), True
