"""Finding points on faces. :mod:`mien.landmarks.base` is the contract."""

from pathlib import Path

from mien.errors import SpecError
from mien.landmarks.base import DetectorLandmarks, LandmarkPredictor
from mien.landmarks.facemesh import FaceMesh
from mien.landmarks.regions import Region, box_from_landmarks, roi_from_landmarks
from mien.runtime import catalog

__all__ = [
    "DetectorLandmarks",
    "FaceMesh",
    "LandmarkPredictor",
    "Region",
    "box_from_landmarks",
    "build_landmarks",
    "roi_from_landmarks",
]


def build_landmarks(
    name: str | Path = "facemesh", *, threads: int = 1, provider: str = "cpu"
) -> LandmarkPredictor:
    """A landmark model by its name, or from a model file.

    Args:
        name: of the model, or the path of its file; ``"detector"`` for the points that the
            detector itself gives.
        threads: that one run may use.
        provider: where it runs; a key of :data:`mien.runtime.session.PROVIDERS`.

    Raises:
        ModelNotFoundError: there is no such model.
        SpecError: its spec is missing, or is for another task.
        ProviderError: the provider is not installed.
    """
    if name == "detector":
        return DetectorLandmarks()
    entry = catalog.find(name)
    if entry.spec.task != "landmarks":
        raise SpecError(f"expected a landmark model, got {name!r} for {entry.spec.task}")
    return FaceMesh(entry, threads=threads, provider=provider)
