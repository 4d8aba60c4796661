"""Moving probabilities from the shares of expressions in training to those in use.

A model learns how common each expression was in its training data and leans towards the common
ones. FER+ is a third neutral and one hundredth disgust, so a model trained on it hardly ever
answers disgust where all expressions are equally likely. Dividing by the training share and
multiplying by the expected one corrects this exactly, if only the shares differ (Saerens, Latinne
and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural
Computation 14(1), 2002).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import DataError, SettingError
from mien.labels import Expression, parse_expression
from mien.types import ExpressionScores, ModelSpec


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis, without overflow."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def resolve_prior(prior: str, spec: ModelSpec) -> tuple[str, npt.NDArray[np.float64] | None]:
    """The name and the log ratio of a prior against the training shares of a model.

    Args:
        prior: ``"default"`` (the model's own choice), ``"natural"`` (the training shares),
            ``"uniform"``, or the path of a JSON file that maps each expression to its share.
        spec: of the model.

    Returns:
        The prior's name as it stands in results, and ``(K,)`` numbers to add to the logits, or
        None where nothing changes.

    Raises:
        SettingError: no such prior, or the model does not tell its training shares.
    """
    if prior == "default":
        if isinstance(spec.prior, Mapping):
            return "model", _log_ratio(_shares(spec.prior, spec.labels), spec)
        prior = spec.prior
    if prior == "natural":
        return prior, None
    if prior == "uniform":
        return prior, _log_ratio(np.full(len(spec.labels), 1 / len(spec.labels)), spec)
    return Path(prior).name, _log_ratio(_shares(_read(Path(prior)), spec.labels), spec)


def _read(path: Path) -> Mapping[str, float]:
    wanted = "expected the prior to be default, natural, uniform, or a JSON file of shares"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SettingError(f"{wanted}, got {str(path)!r}, which is no readable file") from None
    except ValueError as error:
        raise SettingError(f"{wanted}; {path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise SettingError(f"{wanted} such as {{'neutral': 0.5, …}}; {path} holds no object")
    return document


def _shares(given: Mapping[str, float], labels: Sequence[Expression]) -> npt.NDArray[np.float64]:
    try:
        by_label = {parse_expression(str(name)): float(share) for name, share in given.items()}
    except (DataError, TypeError, ValueError) as error:
        raise SettingError(f"a prior's shares cannot be read: {error}") from None
    missing = [label.value for label in labels if label not in by_label]
    if missing:
        raise SettingError(f"expected a share for every expression; {', '.join(missing)} missing")
    shares = np.array([by_label[label] for label in labels])
    if not np.isfinite(shares).all() or (shares <= 0).any():
        raise SettingError(f"expected shares above 0 in a prior, got {by_label}")
    return np.asarray(shares / shares.sum())


def _log_ratio(shares: npt.NDArray[np.float64], spec: ModelSpec) -> npt.NDArray[np.float64]:
    if not spec.training_prior:
        raise SettingError(
            f"the model {spec.name!r} does not tell the shares of its training data, so its "
            "probabilities cannot be moved to another prior: use --prior natural"
        )
    return np.asarray(np.log(shares) - np.log(spec.training_prior))


def scores_from_logits(
    logits: npt.NDArray[np.float32], spec: ModelSpec, log_ratio: npt.NDArray[np.float64] | None
) -> list[ExpressionScores]:
    """Calibrate, move to the prior, and mark what is uncertain.

    Args:
        logits: ``(N, K)``.
        spec: gives the labels, the temperature and the threshold of doubt.
        log_ratio: ``(K,)`` from :func:`mien.expression.priors.resolve_prior`.
    """
    calibrated = logits.astype(np.float64) / spec.temperature
    if log_ratio is not None:
        calibrated = calibrated + log_ratio
    return [
        ExpressionScores(
            labels=spec.labels,
            probabilities=probabilities.astype(np.float32),
            uncertain=bool(probabilities.max() < spec.uncertain_below),
        )
        for probabilities in softmax(calibrated)
    ]
