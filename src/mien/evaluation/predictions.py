"""What a model predicted for every row of a data set."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.evaluation.dataset import UNLABELED, IntArray, LabeledSet, TextArray
from mien.evaluation.figures import NO_PREDICTION
from mien.labels import Expression

PREDICTED = "answered"
MISSED = "missed"
WRONG_FACE = "wrong_face"
UNREADABLE = "unreadable"


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
    probabilities: npt.NDArray[np.float64]
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
    def confidence(self) -> npt.NDArray[np.float64]:
        """``(N,)`` top probability, NaN where there is no prediction."""
        top: npt.NDArray[np.float64] = self.probabilities.max(axis=1, initial=0.0)
        return top

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """``(N,)``: whether the prediction is right."""
        return np.asarray(self.predicted == self.truth)

    def take(self, rows: npt.ArrayLike) -> "Predictions":
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


def predictable_rows(
    data: LabeledSet, model_labels: Sequence[Expression], only: Sequence[Expression] | None
) -> tuple[LabeledSet, tuple[Expression, ...]]:
    """The rows whose label a model can predict, and the labels that it may choose from.

    Args:
        data: the labeled set.
        model_labels: that the model has.
        only: restricts the predictions to some of these.

    Returns:
        The rows whose label is among them, the others added to ``left_out``; the labels in the
        model's order.

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
    left_out = dict(data.left_out)
    keep = np.zeros(len(data), np.bool_)
    for index, label in enumerate(data.labels):
        mask = data.label_index == index
        if label in labels:
            keep |= mask
        elif mask.any():
            reason = f"the answers do not include {label.value}"
            left_out[reason] = tuple(data.names[i] for i in np.flatnonzero(mask))
    without = data.label_index == UNLABELED
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
) -> Predictions:
    """Put the predictions for each row of a set together.

    Args:
        data: as :func:`predictable_rows` returned it.
        labels: as :func:`predictable_rows` returned them.
        model_labels: in the order of the probabilities.
        rows: for each row its outcome and ``(len(model_labels),)`` probabilities, or None.
        facts: how they were made.
        columns: further columns to slice by.

    Returns:
        The predictions, with the probabilities of ``labels`` scaled to sum to 1, without the rows
        that could not be read.
    """
    places = [list(model_labels).index(label) for label in labels]
    probabilities = np.full((len(rows), len(labels)), np.nan)
    for slot, (_, given) in zip(probabilities, rows, strict=True):
        if given is not None:
            # Slightly above zero, so that a row whose allowed labels all have 0 keeps a prediction.
            slot[:] = np.asarray(given, np.float64)[places] + 1e-12
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    outcome = np.array([name for name, _ in rows], np.str_)
    truth_of = np.array([list(labels).index(x) if x in labels else -1 for x in data.labels])
    every = Predictions(
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
