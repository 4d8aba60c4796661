"""Face landmarks. :mod:`mien.landmarks.base` is the contract."""

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
    """Build a landmark model by name, or from a model file.

    Args:
        name: name of the model or path of its file; ``"detector"`` uses the landmarks of the
            face detector.
        threads: maximum number of threads per run.
        provider: execution provider; a key of :data:`mien.runtime.session.PROVIDERS`.

    Raises:
        ModelNotFoundError: no such model.
        SpecError: the model has no spec, or is for another task.
        ProviderError: the provider is not installed.
    """
    if name == "detector":
        return DetectorLandmarks()
    entry = catalog.find(name, task="landmarks")
    if entry.spec.task != "landmarks":
        raise SpecError(f"expected a landmark model, got {name!r} for {entry.spec.task}")
    return FaceMesh(entry, threads=threads, provider=provider)
