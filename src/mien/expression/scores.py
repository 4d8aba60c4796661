"""From logits to calibrated probabilities under a prior."""

import numpy as np
import numpy.typing as npt

from mien.expression.priors import softmax
from mien.types import ExpressionScores, ModelSpec


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
