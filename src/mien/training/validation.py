"""How good a network is on the valid split, after every epoch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mien.evaluation import figures as evaluation_figures
from mien.evaluation.calibration import fit_temperature, negative_log_likelihood
from mien.evaluation.dataset import UNLABELED
from mien.training.faces import MAIN_HEAD, SECOND_HEAD, Faces
from mien.training.networks.heads import ExpressionNetwork
from mien.types import FloatArray

_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The valid split, aligned once.

    Attributes:
        crops: ``(N, 1, size, size)`` uint8.
        truth: by head, ``(N,)`` index of the label, -1 where a row does not count.
        mean, std: of the network's input.
        log_prior: ``(K,)`` logarithm of the training shares of the main head's labels.
    """

    crops: torch.Tensor
    truth: dict[str, npt.NDArray[np.int64]]
    mean: float
    std: float
    log_prior: FloatArray

    @classmethod
    def of(
        cls,
        faces: Faces,
        truth: dict[str, npt.NDArray[np.int64]],
        mean: float,
        std: float,
        training_prior: FloatArray,
    ) -> "Validation":
        crops = np.stack([faces.aligned(row) for row in range(len(faces))])[:, None]
        log_prior = np.log(np.maximum(training_prior, 1e-9))
        return cls(torch.from_numpy(crops), truth, mean, std, log_prior)

    @torch.no_grad()
    def logits(self, network: ExpressionNetwork, device: torch.device) -> dict[str, FloatArray]:
        """By head, ``(N, labels)``."""
        parts = [
            network(batch.to(device, torch.get_default_dtype()).sub_(self.mean).div_(self.std))
            for batch in self.crops.split(_BATCH)
        ]
        return {head: torch.cat([part[head] for part in parts]).cpu().numpy() for head in parts[0]}

    def measure(self, network: ExpressionNetwork, device: torch.device) -> dict[str, float]:
        """Figures for ``metrics.jsonl``; ``score`` is the one that chooses between epochs.

        The score is the mean of the accuracy under the natural prior and the balanced accuracy
        under the uniform one: neither users with everyday faces nor those with rare expressions
        are to be sacrificed.
        """
        by_head = self.logits(network, device)
        counted = self.truth[MAIN_HEAD] != UNLABELED
        logits, truth = by_head[MAIN_HEAD][counted], self.truth[MAIN_HEAD][counted]
        temperature = fit_temperature(logits, truth)
        calibrated = (logits / temperature).astype(np.float32)
        natural = _matrix(calibrated, truth)
        uniform = _matrix(calibrated - self.log_prior, truth)
        figures = {
            "accuracy": float(evaluation_figures.accuracy(natural)),
            "balanced_accuracy_uniform": float(evaluation_figures.balanced_accuracy(uniform)),
            "macro_f1": float(evaluation_figures.macro_f1(natural)),
            "nll": negative_log_likelihood(calibrated, truth),
        }
        figures["score"] = (figures["accuracy"] + figures["balanced_accuracy_uniform"]) / 2
        if SECOND_HEAD in by_head:
            known = self.truth[SECOND_HEAD] != UNLABELED
            second = _matrix(by_head[SECOND_HEAD][known], self.truth[SECOND_HEAD][known])
            figures["second_accuracy"] = float(evaluation_figures.accuracy(second))
        return figures


def _matrix(logits: FloatArray, truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return evaluation_figures.confusion_matrix(truth, logits.argmax(axis=1), logits.shape[1])
