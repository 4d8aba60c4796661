"""What other models see in the faces, as part of what a network learns: distillation.

Method: Hinton et al. (2015), with the answers of several teachers to the plain and the mirrored
crop, averaged once before training. A single rater's slip weighs less beside them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mien import imaging
from mien.errors import SettingError
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.labels import Expression
from mien.runtime import catalog
from mien.training.faces import MAIN_HEAD, Faces
from mien.training.recipe import Recipe
from mien.types import AlignmentTemplate, FloatArray

_BATCH = 64


def taught(faces: Faces, recipe: Recipe, folder: Path, tell: Callable[[int, int], None]) -> Faces:
    """The same faces, their targets moved towards what the recipe's teachers answer.

    Args:
        faces: to learn from.
        folder: of the recipe, where a teacher's relative path starts; a name is looked up among
            the installed models.
        tell: called with how many faces are answered, and how many there are.

    Raises:
        SettingError: a teacher has other labels or another alignment than the recipe.
        ModelNotFoundError: there is no such teacher.
    """
    plan = recipe.distillation
    if not plan.teachers:
        return faces
    teachers = [_teacher(name, recipe, folder) for name in plan.teachers]
    answers = _answers(teachers, faces, recipe.network.labels, tell)
    own = faces.targets[MAIN_HEAD]
    mixed = ((1 - plan.share) * own + plan.share * answers).astype(np.float32)
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


def _answers(
    teachers: Sequence[NeuralClassifier],
    faces: Faces,
    labels: Sequence[Expression],
    tell: Callable[[int, int], None],
) -> FloatArray:
    """``(N, K)`` mean probabilities, at the temperature that the teachers were trained at."""
    total = np.zeros((len(faces), len(labels)), np.float64)
    for start in range(0, len(faces), _BATCH):
        rows = range(start, min(start + _BATCH, len(faces)))
        plain = [faces.aligned(row) for row in rows]
        views = plain + [np.ascontiguousarray(crop[:, ::-1]) for crop in plain]
        for teacher in teachers:
            sized = [imaging.resize(view, teacher.spec.input.size_wh) for view in views]
            order = [teacher.spec.labels.index(label) for label in labels]
            answered = softmax(teacher.logits(sized).astype(np.float64))[:, order]
            total[rows.start : rows.stop] += answered.reshape(2, len(rows), -1).mean(axis=0)
        tell(rows.stop, len(faces))
    return np.asarray(total / len(teachers), np.float32)
