"""One evaluation from data to document."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.dataset import SPLITS, LabeledSet
from mien.evaluation.figures import measure
from mien.evaluation.predict import Progress, ask_about_crops, ask_about_photographs
from mien.evaluation.predictions import Answers, answerable
from mien.evaluation.report import rows_document
from mien.evaluation.robustness import Ask, measure_robustness
from mien.labels import Expression, parse_expression
from mien.pipeline import FacePipeline

ALL_ROWS = "all"


@dataclass(frozen=True, slots=True)
class Question:
    """What to find out about a model.

    Attributes:
        crops: whether the pictures are face crops; None takes the data set's word for it.
        split: "train", "valid", "test" or "all"; None is "valid" where the data set has one, so
            that nobody measures on training rows by mistake, and everything else otherwise.
        only: restricts the answers, and the rows, to some labels.
        slices: columns to slice by.
        limit: at most so many rows, drawn at random; 0 takes all.
        robustness: whether to measure accuracy under corruption as well.
        seed: of the draw, the bootstrap and the corruptions.
    """

    crops: bool | None = None
    split: str | None = None
    only: tuple[Expression, ...] | None = None
    slices: tuple[str, ...] = ()
    limit: int = 0
    robustness: bool = False
    seed: int = 0


def evaluate(
    data: LabeledSet,
    pipeline: FacePipeline,
    question: Question | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Answers]:
    """Ask a pipeline about a labeled set, and measure its answers.

    Args:
        data: the labeled set.
        pipeline: whose classifier, or whose every step, is measured.
        question: what to find out.
        progress: is told how far it is.

    Returns:
        The document, see :func:`mien.evaluation.figures.measure`, with every row's answer under
        ``rows`` and the robustness under ``robustness``; and the answers.

    Raises:
        DataError: no row is left, or no such column.
    """
    question = question or Question()
    part, split = _chosen_rows(data, pipeline, question)
    crops = data.face_crops if question.crops is None else question.crops
    part = dataclasses.replace(part, face_crops=crops)
    ask: Ask = ask_about_crops if crops else ask_about_photographs
    answers = ask(part, pipeline, only=question.only, progress=progress)
    answers = dataclasses.replace(answers, facts={**answers.facts, "split": split})
    document = measure(answers, slices=question.slices, seed=question.seed)
    if question.robustness:
        document["robustness"] = measure_robustness(
            part, pipeline, ask, only=question.only, progress=progress, seed=question.seed
        )
    document["rows"] = rows_document(answers)
    return document, answers


def _chosen_rows(
    data: LabeledSet, pipeline: FacePipeline, question: Question
) -> tuple[LabeledSet, str]:
    split = question.split
    if split is None:
        split = "valid" if "valid" in data.split else ALL_ROWS
    if split not in (*SPLITS, ALL_ROWS):
        raise DataError(f"expected a split out of {', '.join((*SPLITS, ALL_ROWS))}, got {split!r}")
    part = data if split == ALL_ROWS else data.in_split(split)
    if 0 < question.limit < len(part):
        # Rows that cannot be asked about are counted first, or they would use up the limit.
        part, _ = answerable(part, pipeline.classifier.spec.labels, question.only)
        rng = np.random.default_rng(question.seed)
        part = part.take(np.sort(rng.permutation(len(part))[: question.limit]))
    return part, split


def parse_labels(names: Sequence[str]) -> tuple[Expression, ...]:
    """Expressions out of words with commas between them.

    Raises:
        DataError: a word is no expression.
    """
    words = [word for name in names for word in name.split(",") if word.strip()]
    return tuple(dict.fromkeys(parse_expression(word) for word in words))
