"""Distillation: the predictions of other models as part of the targets.

Method: Hinton et al. (2015), with the predictions of several teachers for the plain and the
mirrored crop, averaged once before training. They reduce the weight of single raters' mistakes.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien import imaging
from mien.errors import SettingError
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.labels import Expression
from mien.runtime import catalog
from mien.training import Report, no_report
from mien.training.dataset import MAIN_HEAD, Faces
from mien.training.recipe import Recipe
from mien.types import AlignmentTemplate, FloatArray

_BATCH = 64


def distill(faces: Faces, recipe: Recipe, folder: Path, report: Report = no_report) -> Faces:
    """The same faces, their targets moved toward the predictions of the recipe's teachers.

    Args:
        faces: to train on.
        folder: of the recipe, where a teacher's relative path starts; a name is looked up among
            the installed models.
        report: progress, by batch of faces.

    Raises:
        SettingError: a teacher has other labels or another alignment than the recipe.
        ModelNotFoundError: there is no such teacher.
    """
    plan = recipe.distillation
    if not plan.teachers:
        return faces
    teachers = [_teacher(name, recipe, folder) for name in plan.teachers]
    predicted = _predict(teachers, faces, recipe.network.labels, report)
    own = faces.targets[MAIN_HEAD]
    mixed = ((1 - plan.share) * own + plan.share * predicted).astype(np.float32)
    return dataclasses.replace(faces, targets={**faces.targets, MAIN_HEAD: mixed})


def _teacher(name: str, recipe: Recipe, folder: Path) -> NeuralClassifier:
    file = folder / name
    teacher = NeuralClassifier(catalog.find(file if file.is_file() else name))
    spec = teacher.spec
    if set(spec.labels) != set(recipe.network.labels):
        raise SettingError(
            f"expected the teacher {name} to know {', '.join(recipe.network.labels)}, "
            f"it knows {', '.join(spec.labels)}"
        )
    if not _same_alignment(spec.alignment, recipe):
        raise SettingError(
            f"expected the teacher {name} to be aligned like the recipe's faces: "
            "copy [input] scheme, indices and points from its recipe"
        )
    return teacher


def _same_alignment(template: AlignmentTemplate | None, recipe: Recipe) -> bool:
    if template is None or (template.scheme, tuple(template.indices)) != (
        recipe.input.scheme,
        recipe.input.indices,
    ):
        return False
    return bool(np.allclose(template.points, recipe.input.points, atol=1e-3))


def _predict(
    teachers: Sequence[NeuralClassifier],
    faces: Faces,
    labels: Sequence[Expression],
    report: Report,
) -> FloatArray:
    """``(N, K)`` mean probabilities, without the calibration of the teachers."""
    total = np.zeros((len(faces), len(labels)), np.float64)
    for start in range(0, len(faces), _BATCH):
        rows = range(start, min(start + _BATCH, len(faces)))
        plain = [faces.aligned(row) for row in rows]
        views = plain + [np.ascontiguousarray(crop[:, ::-1]) for crop in plain]
        for teacher in teachers:
            sized = [imaging.resize(view, teacher.spec.input.size_wh) for view in views]
            order = [teacher.spec.labels.index(label) for label in labels]
            predicted = softmax(teacher.logits(sized).astype(np.float64))[:, order]
            total[rows.start : rows.stop] += predicted.reshape(2, len(rows), -1).mean(axis=0)
        report("running the teachers", rows.stop, len(faces))
    return np.asarray(total / len(teachers), np.float32)
