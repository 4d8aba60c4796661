"""Expression classification by a neural network in ONNX format."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.expression.noise import sees_noise, without_noise
from mien.expression.priors import resolve_prior, scores_from_logits
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.types import ExpressionScores, Image

# Larger batches are not faster on a CPU, and memory would grow with the number of faces.
_MAX_BATCH = 32


class NeuralClassifier:
    """A network with one logit per expression; see :class:`ExpressionClassifier`.

    Args:
        entry: the model; its spec has labels, input, alignment, temperature and priors.
        prior: see :func:`mien.expression.priors.resolve_prior`.
        threads: maximum number of threads per run.
        provider: execution provider.
        noise_removed: the crops have no noise any more.
    """

    def __init__(
        self,
        entry: CatalogEntry,
        *,
        prior: str = "default",
        threads: int = 1,
        provider: str = "cpu",
        noise_removed: bool = False,
    ) -> None:
        self.spec = entry.spec
        self._removes_noise = sees_noise(entry.spec.input) and not noise_removed
        self.name = entry.spec.name
        self.prior, self._log_ratio = resolve_prior(prior, entry.spec)
        self._session = Session(entry.path, threads=threads, provider=provider)

    def logits(self, crops: Sequence[Image]) -> npt.NDArray[np.float32]:
        """Raw output of the network ``(N, K)``, before temperature and prior."""
        if not len(crops):
            return np.empty((0, len(self.spec.labels)), np.float32)
        return self.run(crops, self.spec.outputs[:1])[0]

    def run(self, crops: Sequence[Image], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Some outputs of the network for at least one crop, by their names in the spec."""
        if self._removes_noise:
            crops = [without_noise(crop) for crop in crops]
        # Some published models only accept one face at a time.
        size = int(self.spec.parameters.get("max_batch", _MAX_BATCH))
        parts = [
            self._session.run(
                {self.spec.input.name: imaging.to_input(batch, self.spec.input)}, outputs
            )
            for batch in (crops[i : i + size] for i in range(0, len(crops), size))
        ]
        return [np.concatenate(found) for found in zip(*parts, strict=True)]

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        """See :meth:`mien.expression.ExpressionClassifier.classify`."""
        return scores_from_logits(self.logits(crops), self.spec, self._log_ratio)

    def warm_up(self) -> None:
        """Load the model now rather than at the first face."""
        self._session.warm_up()
