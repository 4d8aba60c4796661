"""Blendshapes: what the parts of a face do, from its landmarks."""

from collections.abc import Mapping

import numpy as np

from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.runtime.spec import read_parameters
from mien.types import Landmarks


class Blendshapes:
    """MediaPipe's blendshapes: 52 values in [0, 1] by ARKit's names.

    Safe to share between threads and to use after a fork. The architecture is that of Tolstikhin et
    al., "MLP-Mixer: an all-MLP architecture for vision", 2021.

    Args:
        entry: a model whose spec has the parameters ``scheme``, the landmark scheme, ``points``,
            the indices of the points that it reads, and ``names``, those of its outputs.
        threads: maximum number of threads per run.
        provider: execution provider.

    Attributes:
        name: of the model.
        scheme: of the landmarks that it reads.

    Raises:
        SpecError: a parameter is missing.
        ProviderError: the provider is not installed.
    """

    def __init__(self, entry: CatalogEntry, *, threads: int = 1, provider: str = "cpu") -> None:
        self.scheme, self._points, self._names = read_parameters(
            entry.spec, scheme=str, points=lambda v: [int(k) for k in v], names=list
        )
        self.name = entry.spec.name
        self._input = entry.spec.input.name
        self._session = Session(entry.path, threads=threads, provider=provider)

    def predict(self, landmarks: Landmarks) -> Mapping[str, float] | None:
        """The value of each blendshape in [0, 1]; None for landmarks of another scheme.

        The face should be less tilted than 30 degrees: the values are those of MediaPipe, which
        depend on the tilt.
        """
        if landmarks.scheme != self.scheme:
            return None
        points = landmarks.points[self._points, :2]
        (values,) = self._session.run({self._input: points[np.newaxis, np.newaxis]})
        return dict(zip(self._names, values[0].tolist(), strict=True))
