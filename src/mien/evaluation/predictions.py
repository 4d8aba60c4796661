"""What a model answered on every row of a data set."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.evaluation.confusion import NO_ANSWER
from mien.evaluation.dataset import UNLABELLED, IntArray, LabeledSet, TextArray
from mien.labels import Expression

ANSWERED = "answered"
MISSED = "missed"
WRONG_FACE = "wrong_face"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The answers to the rows that count; row ``i`` is the same in every field.

    Attributes:
        data: name of the data set.
        labels: ``(K,)`` the expressions that could be answered.
        truth: ``(N,)`` index into ``labels``.
        probabilities: ``(N, K)``, NaN where there is no answer.
        outcome: ``(N,)`` :data:`ANSWERED`, :data:`MISSED` (no face was found) or
            :data:`WRONG_FACE` (faces were found, the labeled one was not).
        names: ``(N,)`` the pictures.
        columns: to slice by, each ``(N,)`` text.
        facts: how the answers came about: model, prior, mode.
        left_out: the rows that do not count, by reason: the names of the pictures.
    """

    data: str
    labels: tuple[Expression, ...]
    truth: IntArray
    probabilities: npt.NDArray[np.float64]
    outcome: TextArray
    names: tuple[str, ...]
    columns: Mapping[str, TextArray] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_answer(self) -> npt.NDArray[np.bool_]:
        """``(N,)``: whether there are probabilities."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def answer(self) -> IntArray:
        """``(N,)`` index of the most probable label, or -1 where there is no answer."""
        best = np.where(np.isfinite(self.probabilities), self.probabilities, -1.0).argmax(axis=1)
        return np.where(self.has_answer, best, NO_ANSWER)

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """``(N,)`` top probability, NaN where there is no answer."""
        top: npt.NDArray[np.float64] = self.probabilities.max(axis=1, initial=0.0)
        return top

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """``(N,)``: whether the answer is right."""
        return np.asarray(self.answer == self.truth)

    def take(self, rows: npt.ArrayLike) -> "Answers":
        """Some rows, by index or by an ``(N,)`` mask."""
        wanted = np.asarray(rows)
        if wanted.dtype == np.bool_:
            wanted = np.flatnonzero(wanted)
        return dataclasses.replace(
            self,
            truth=self.truth[wanted],
            probabilities=self.probabilities[wanted],
            outcome=self.outcome[wanted],
            names=tuple(self.names[i] for i in wanted),
            columns={name: column[wanted] for name, column in self.columns.items()},
        )


def answerable(
    data: LabeledSet, model_labels: Sequence[Expression], only: Sequence[Expression] | None
) -> tuple[LabeledSet, tuple[Expression, ...]]:
    """The rows that a model can be asked about, and the labels that it may answer.

    Args:
        data: the labeled set.
        model_labels: that the model has.
        only: restricts the answers to some of these.

    Returns:
        The rows whose label is among the answers, the others added to ``left_out``; the labels in
        the model's order.

    Raises:
        DataError: a label that the model lacks was asked for, or no row is left.
    """
    unknown = [label.value for label in only or () if label not in model_labels]
    if unknown:
        raise DataError(
            f"expected labels out of {', '.join(model_labels)}, which the model has, "
            f"got {', '.join(unknown)}"
        )
    labels = tuple(label for label in model_labels if only is None or label in only)
    left_out = dict(data.left_out)
    keep = np.zeros(len(data), np.bool_)
    for index, label in enumerate(data.labels):
        mask = data.label_index == index
        if label in labels:
            keep |= mask
        elif mask.any():
            reason = f"the answers do not include {label.value}"
            left_out[reason] = tuple(data.names[i] for i in np.flatnonzero(mask))
    without = data.label_index == UNLABELLED
    if without.any():
        left_out["no usable label"] = tuple(data.names[i] for i in np.flatnonzero(without))
    if not keep.any():
        raise DataError(
            f"expected rows of {data.name} labeled {', '.join(labels)}, found none: "
            + "; ".join(f"{reason}: {len(names)}" for reason, names in left_out.items())
        )
    return dataclasses.replace(data.take(keep), left_out=left_out), labels


def assemble(
    data: LabeledSet,
    labels: tuple[Expression, ...],
    model_labels: Sequence[Expression],
    rows: Sequence[tuple[str, npt.NDArray[np.float32] | None]],
    *,
    facts: Mapping[str, str],
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Answers:
    """Put the answers to each row of a set together.

    Args:
        data: as :func:`answerable` gave it.
        labels: as :func:`answerable` gave them.
        model_labels: in the order of the probabilities.
        rows: for each row its outcome and ``(len(model_labels),)`` probabilities, or None.
        facts: how they came about.
        columns: further columns that came with the answers.

    Returns:
        The answers, with the probabilities of ``labels`` scaled to sum to 1, and without the rows
        that could not be read.
    """
    places = [list(model_labels).index(label) for label in labels]
    probabilities = np.full((len(rows), len(labels)), np.nan)
    for slot, (_, given) in zip(probabilities, rows, strict=True):
        if given is not None:
            # A hair above zero keeps a row whose every allowed label was ruled out answerable.
            slot[:] = np.asarray(given, np.float64)[places] + 1e-12
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    outcome = np.array([name for name, _ in rows], np.str_)
    truth_of = np.array([list(labels).index(x) if x in labels else -1 for x in data.labels])
    every = Answers(
        data=data.name,
        labels=labels,
        truth=truth_of[data.label_index],
        probabilities=probabilities,
        outcome=outcome,
        names=data.names,
        columns={
            **data.columns,
            **{name: np.array(values, np.str_) for name, values in (columns or {}).items()},
        },
        facts=facts,
    )
    unreadable = outcome == UNREADABLE
    left_out = dict(data.left_out)
    if unreadable.any():
        left_out["the picture cannot be read"] = tuple(
            data.names[i] for i in np.flatnonzero(unreadable)
        )
    if unreadable.all():
        raise DataError(f"expected readable pictures in {data.name}, but none of them is")
    return dataclasses.replace(every.take(~unreadable), left_out=left_out)
