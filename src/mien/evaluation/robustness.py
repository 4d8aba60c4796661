"""Accuracy under corruption."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from mien.errors import ImageReadError
from mien.evaluation import confusion
from mien.evaluation.corruptions import SEVERITIES, corrupt
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.figures import matrix_of, plain
from mien.evaluation.predict import Change, Progress, choose_face
from mien.evaluation.predictions import Answers
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.types import Box, Face, Image


class Ask(Protocol):
    """:func:`mien.evaluation.predict.ask_about_crops`, or the one about photographs."""

    def __call__(
        self,
        data: LabeledSet,
        pipeline: FacePipeline,
        *,
        only: Sequence[Expression] | None = None,
        progress: Progress | None = None,
        change: Change | None = None,
    ) -> Answers: ...


def measure_robustness(
    data: LabeledSet,
    pipeline: FacePipeline,
    ask: Ask,
    *,
    only: Sequence[Expression] | None = None,
    progress: Progress | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy at every severity of every corruption, applied before anything looks at a picture.

    Args:
        data: its pictures are asked about 36 times.
        pipeline: what is measured.
        ask: how it is asked.
        only: restricts the answers to some labels.
        progress: is told how far it is.
        seed: of the corruptions; row ``i`` of two models' runs is corrupted alike.

    Returns:
        ``n``, ``clean`` accuracy, ``mean_1_to_3``, ``mean_1_to_5``, ``drop_1_to_3`` (clean minus
        mean), and for each corruption its accuracy and balanced accuracy at severities 1 to 5.
    """
    runs = 1 + sum(len(strengths) for strengths in SEVERITIES.values())
    done = 0

    def part_of_all(part: int, of: int) -> None:
        if progress is not None:
            progress(done * of + part, runs * of)

    clean = ask(data, pipeline, only=only, progress=part_of_all)
    data = data.take(np.isin(data.names, clean.names))
    faces = None if data.face_crops else _find_faces(data, pipeline)
    done += 1
    table: dict[str, dict[str, Any]] = {}
    for kind, strengths in SEVERITIES.items():
        accuracies, balanced = [], []
        for severity in range(1, len(strengths) + 1):
            change = _corruption(kind, severity, seed, faces)
            answers = ask(data, pipeline, only=only, progress=part_of_all, change=change)
            matrix = matrix_of(answers)
            accuracies.append(float(confusion.accuracy(matrix)))
            balanced.append(float(confusion.balanced_accuracy(matrix)))
            done += 1
        table[kind] = {
            "strengths": list(strengths),
            "accuracy": accuracies,
            "balanced_accuracy": balanced,
            "mean_1_to_3": float(np.mean(accuracies[:3])),
        }
    every = np.array([facts["accuracy"] for facts in table.values()])
    clean_accuracy = float(confusion.accuracy(matrix_of(clean)))
    document = {
        "n": len(clean),
        "seed": seed,
        "clean": clean_accuracy,
        "mean_1_to_3": every[:, :3].mean(),
        "mean_1_to_5": every.mean(),
        "drop_1_to_3": clean_accuracy - every[:, :3].mean(),
        "corruptions": table,
    }
    return dict(plain(document))


def _corruption(
    kind: str, severity: int, seed: int, faces: Sequence[Box | None] | None
) -> Callable[[Image, int], Image]:
    def change(image: Image, index: int) -> Image:
        face = None if faces is None else faces[index]
        return corrupt(image, kind, severity, seed=seed * 1_000_003 + index, face=face)

    return change


def _find_faces(data: LabeledSet, pipeline: FacePipeline) -> list[Box | None]:
    """Where the labeled face of each photograph is, before it is corrupted."""
    found: list[Box | None] = []
    for index in range(len(data)):
        try:
            faces = [Face(detection) for detection in pipeline.detect(data.load(index))]
        except ImageReadError:
            faces = []
        given = None if data.boxes_xyxy is None else data.boxes_xyxy[index]
        face = choose_face(faces, given) if faces else None
        found.append(None if face is None else face.box)
    return found
