"""Probabilities under a prior: from the class frequencies in training to those expected in use.

A model is biased toward the expressions that are frequent in its training data. FER+ is a third
neutral and one hundredth disgust, so a model trained on it rarely predicts disgust even where all
expressions are equally likely. Dividing by the training frequency and multiplying by the expected
one corrects this exactly if only the frequencies differ (Saerens, Latinne and Decaestecker,
"Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14(1),
2002). Where the expected frequencies are not known, half of the correction is a good compromise:
dividing by the square root of the training frequency costs little on pictures like those of
training, and gains elsewhere (docs/evaluation.md).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import SettingError
from mien.labels import Expression, labels_of
from mien.types import ExpressionScores, ModelSpec

_EXAMPLE = '{"neutral": 0.5, "happiness": 0.2, …}'


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Numerically stable softmax over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def resolve_prior(prior: str, spec: ModelSpec) -> tuple[str, npt.NDArray[np.float64] | None]:
    """The name of a prior, and its log ratio to the training prior of a model.

    Args:
        prior: ``"default"`` (the model's own choice), ``"natural"`` (the training prior),
            ``"uniform"``, ``"half"`` (halfway between these two: the square root of the training
            prior, scaled), or the path of a JSON file with the probability of each expression.
        spec: spec of the model.

    Returns:
        The prior's name for results, and ``(K,)`` numbers to add to the logits, or None if nothing
        changes.

    Raises:
        SettingError: no such prior, or the model's spec has no training prior.
    """
    if prior == "default":
        if isinstance(spec.prior, Mapping):
            return "model", _log_ratio(_shares(spec.prior, spec.labels), spec)
        prior = spec.prior
    if prior == "natural":
        return prior, None
    if prior == "uniform":
        return prior, _log_ratio(np.ones(len(spec.labels)), spec)
    if prior == "half":
        return prior, _log_ratio(np.sqrt(spec.training_prior or 1.0), spec)
    return Path(prior).name, _log_ratio(_shares(_read(Path(prior)), spec.labels), spec)


def uniform_shift(spec: ModelSpec) -> npt.NDArray[np.float64]:
    """``(K,)`` what moves calibrated logits to a uniform prior; 0 where the prior is unknown."""
    shift = resolve_prior("uniform", spec)[1] if spec.training_prior else None
    return np.zeros(len(spec.labels)) if shift is None else shift


def with_prior(spec: ModelSpec, prior: str) -> ModelSpec:
    """A spec whose own prior is one of :func:`resolve_prior`, for programs that read no files.

    Raises:
        SettingError: no such prior, or the model's spec has no training prior.
    """
    if prior == "default":
        return spec
    resolve_prior(prior, spec)
    if prior in {"natural", "uniform", "half"}:
        return replace(spec, prior=prior)
    shares = _shares(_read(Path(prior)), spec.labels)
    named = zip(spec.labels, shares.tolist(), strict=True)
    return replace(spec, prior={label.value: share for label, share in named})


def _read(path: Path) -> Mapping[str, float]:
    expected = "expected the prior to be default, natural, half, uniform, or a JSON file"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SettingError(f"{expected}, got {str(path)!r}, which is no readable file") from None
    except ValueError as error:
        raise SettingError(f"{expected}; {path} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise SettingError(f"{expected} such as {_EXAMPLE}; {path} holds no object")
    return document


def _shares(given: Mapping[str, float], labels: Sequence[Expression]) -> npt.NDArray[np.float64]:
    meaning = labels_of(labels)(map(str, given))
    unknown = [name for name in given if str(name) not in meaning]
    if unknown:
        raise SettingError(
            f"expected a prior of expressions and numbers: {unknown[0]!r} is no expression; the "
            f"model has {', '.join(labels)}"
        )
    try:
        by_label = {meaning[str(name)]: float(share) for name, share in given.items()}
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"expected a prior of expressions and numbers, as in {_EXAMPLE}: {error}"
        ) from None
    missing = [label.value for label in labels if label not in by_label]
    if missing:
        raise SettingError(
            f"expected a prior with every expression; missing: {', '.join(missing)}: give each a "
            f"share above 0, as in {_EXAMPLE}"
        )
    shares = np.array([by_label[label] for label in labels])
    if not np.isfinite(shares).all() or (shares <= 0).any():
        given_shares = ", ".join(f"{name.value} {share:g}" for name, share in by_label.items())
        raise SettingError(f"expected a prior with finite numbers above 0, got {given_shares}")
    return np.asarray(shares / shares.sum())


def _log_ratio(expected: npt.NDArray[np.float64], spec: ModelSpec) -> npt.NDArray[np.float64]:
    if not spec.training_prior:
        raise SettingError(
            f"the spec of {spec.name!r} has no training prior, so its probabilities cannot be "
            "adjusted to another prior: use --prior natural"
        )
    shares = expected / expected.sum()
    return np.asarray(np.log(shares) - np.log(spec.training_prior))


def scores_from_logits(
    logits: npt.NDArray[np.float32], spec: ModelSpec, log_ratio: npt.NDArray[np.float64] | None
) -> list[ExpressionScores]:
    """Calibrated probabilities under a prior, with uncertain predictions marked.

    Args:
        logits: ``(N, K)``.
        spec: with labels, temperature and the threshold of uncertainty.
        log_ratio: ``(K,)`` from :func:`resolve_prior`.
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
