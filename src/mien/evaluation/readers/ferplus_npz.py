"""FER2013's pictures joined with FER+'s votes, in one NumPy file."""

import zipfile
import zlib
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np

from mien.errors import DataError
from mien.evaluation.dataset import UNLABELLED, ArrayImages, LabeledSet
from mien.evaluation.votes import majority_label
from mien.labels import FER2013_ORDER, Expression

Labeling = Literal["ferplus", "fer2013"]
"""Whose labels: the ten people of FER+, or the single one that came with FER2013."""


def parse_labeling(text: str) -> Labeling:
    """Read the name of a labeling.

    Raises:
        DataError: another word.
    """
    for name in get_args(Labeling):
        if name == text:
            return cast(Labeling, name)
    raise DataError(f"expected a labeling out of {', '.join(get_args(Labeling))}, got {text!r}")


_NEEDED = ("images", "split", "votes", "vote_names")


def read_npz(path: Path, labeling: Labeling = "ferplus") -> LabeledSet:
    """Read a file with ``images (N, 48, 48)``, ``split``, ``votes (N, V)`` and ``vote_names``.

    ``row``, ``dup_group`` (near-duplicates share a number) and ``fer_label`` are used where
    they are there; ``fer_label`` counts in FER2013's own order, -1 meaning unknown.

    Raises:
        DataError: another file, or the labels that were asked for are not in it.
    """
    try:
        # NumPy leaves a file open that it opened itself and cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"expected a NumPy .npz file at {path}, but: {error}") from None
    missing = [name for name in _NEEDED if name not in arrays]
    if missing:
        raise DataError(
            f"expected the arrays {', '.join(_NEEDED)} in {path}, found no {', '.join(missing)}"
        )
    images = arrays["images"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(
            f"expected images of shape (N, H, W) or (N, H, W, 3) and type uint8 in {path}, "
            f"got {images.shape} and {images.dtype}"
        )
    vote_names = tuple(str(name) for name in arrays["vote_names"])
    if labeling == "fer2013":
        if "fer_label" not in arrays:
            raise DataError(f"expected the array fer_label in {path} for FER2013's own labels")
        labels = FER2013_ORDER
        label_index = arrays["fer_label"].astype(np.int64)
        label_index[(label_index < 0) | (label_index >= len(labels))] = UNLABELLED
    else:
        labels = tuple(Expression)
        label_index = majority_label(arrays["votes"], vote_names, labels)
    rows = arrays.get("row", np.arange(len(label_index)))
    return LabeledSet(
        name=path.stem,
        labels=labels,
        label_index=label_index,
        names=tuple(f"row {row}" for row in rows),
        images=ArrayImages(images, np.arange(len(images), dtype=np.int64)),
        split=arrays["split"].astype(np.str_),
        group=arrays["dup_group"].astype(np.int64) if "dup_group" in arrays else None,
        votes=arrays["votes"].astype(np.uint8),
        vote_names=vote_names,
        face_crops=True,
    )
