"""Expression classification: which expression a face apparently shows."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from mien.errors import ModelError
from mien.runtime import catalog
from mien.types import ExpressionScores, Image, ModelSpec

_log = logging.getLogger(__name__)


@runtime_checkable
class ExpressionClassifier(Protocol):
    """Classifies apparent expressions. Safe to share between threads and to use after a fork.

    Attributes:
        name: shown in results.
        spec: labels, input size and alignment template, which define the crops.
        prior: name of the prior of the probabilities.
    """

    name: str
    spec: ModelSpec
    prior: str

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """Classify a batch of face crops.

        Args:
            crops: ``(H, W, 3)`` RGB or ``(H, W)`` gray uint8, aligned to ``spec.alignment`` and
                of the size ``spec.input.size_wh``.

        Returns:
            One per crop, in order.
        """
        ...


def build_classifier(
    name_or_path: str | Path = "default",
    *,
    prior: str = "default",
    threads: int = 1,
    provider: str = "cpu",
) -> ExpressionClassifier:
    """Build an expression classifier by the name or path of its model.

    Args:
        name_or_path: ``"default"`` or ``"ensemble"`` (`transfer`, `direct` and `opencv-fer`), a
            name listed by ``mien models``, or the path of a file with its spec inside or next to
            it.
        prior: see :func:`mien.expression.priors.resolve_prior`.
        threads: maximum number of threads per run.
        provider: execution provider of a neural model.

    Raises:
        ModelNotFoundError: no such model.
        ModelFileError: the file is damaged or of an unknown format.
        SpecError: the model has no spec, or an invalid one.
        ModelError: the model is for another task.
        SettingError: the prior is unknown, or cannot be used with the model.
    """
    if name_or_path in ("default", catalog.DEFAULT_EXPRESSION_MODEL):
        from mien.expression.ensemble import EnsembleClassifier

        return EnsembleClassifier(prior=prior, threads=threads, provider=provider)
    entry = catalog.find(name_or_path, task="expression")
    if prior in ("natural", "half", "uniform") and len({*entry.spec.training_prior}) == 1:
        _log.warning(
            "the prior %s changes nothing: the labels of %r were equally frequent in training; "
            "a JSON file can give their frequencies", prior, entry.spec.name,
        )  # fmt: skip
    if entry.spec.task != "expression":
        names = ", ".join(catalog.names("expression"))
        raise ModelError(
            f"expected an expression model ({catalog.DEFAULT_EXPRESSION_MODEL}, {names}), but "
            f"{entry.spec.name!r} is for {entry.spec.task}"
        )
    if entry.path.suffix == ".onnx":
        from mien.expression.neural import NeuralClassifier

        return NeuralClassifier(entry, prior=prior, threads=threads, provider=provider)
    from mien.expression.classical import ClassicalClassifier

    return ClassicalClassifier(entry, prior=prior)


__all__ = ["ExpressionClassifier", "build_classifier"]
