"""The third step: which expression a face apparently shows."""

from pathlib import Path

from mien.errors import ModelError
from mien.expression.base import ExpressionClassifier
from mien.runtime import catalog


def build_classifier(
    name_or_path: str | Path = "default",
    *,
    prior: str = "default",
    threads: int = 1,
    provider: str = "cpu",
) -> ExpressionClassifier:
    """An expression classifier by the name or the path of its model.

    Args:
        name_or_path: ``"default"``, a name that ``mien models`` lists, or the path of a file with
            its spec inside or beside it.
        prior: see :func:`mien.expression.priors.resolve_prior`.
        threads: that one run may use.
        provider: where a neural model runs.

    Raises:
        ModelNotFoundError, SpecError, ModelFileError: it cannot be used.
        ModelError: it is a model of another kind.
        SettingError: the prior cannot be used with it.
    """
    if name_or_path == "default":
        name_or_path = catalog.DEFAULT_EXPRESSION_MODEL
    entry = catalog.find(name_or_path)
    if entry.spec.task != "expression":
        raise ModelError(
            f"expected an expression model, but {entry.spec.name!r} is for {entry.spec.task}"
        )
    if entry.path.suffix == ".onnx":
        from mien.expression.neural import NeuralClassifier

        return NeuralClassifier(entry, prior=prior, threads=threads, provider=provider)
    from mien.expression.classical import ClassicalClassifier

    return ClassicalClassifier(entry, prior=prior)


__all__ = ["ExpressionClassifier", "build_classifier"]
