"""Face landmarks. :mod:`mien.landmarks.base` is the contract."""

from pathlib import Path

from mien.config import BLENDSHAPE_LANDMARKS
from mien.errors import ModelNotFoundError, SpecError
from mien.landmarks.base import DetectorLandmarks, LandmarkPredictor
from mien.landmarks.blendshapes import Blendshapes
from mien.landmarks.facemesh import FaceMesh
from mien.landmarks.regions import Region, box_from_landmarks, roi_from_landmarks
from mien.runtime import catalog

__all__ = [
    "Blendshapes",
    "DetectorLandmarks",
    "FaceMesh",
    "LandmarkPredictor",
    "Region",
    "box_from_landmarks",
    "build_blendshapes",
    "build_landmarks",
    "roi_from_landmarks",
]

_NAMES = "facemesh, face-landmarker, detector"


def build_landmarks(
    name: str | Path = "default", *, threads: int = 1, provider: str = "cpu"
) -> LandmarkPredictor:
    """Build a landmark model by name, or from a model file.

    Args:
        name: name of the model or path of its file; ``"default"`` is facemesh, and ``"detector"``
            uses the landmarks of the face detector.
        threads: maximum number of threads per run.
        provider: execution provider; a key of :data:`mien.runtime.session.PROVIDERS`.

    Raises:
        ModelNotFoundError: no such model.
        SpecError: the model has no spec, or is for another task.
        ProviderError: the provider is not installed.
    """
    if name == "detector":
        return DetectorLandmarks()
    try:
        entry = catalog.find("facemesh" if name == "default" else name)
    except ModelNotFoundError:
        if catalog.looks_like_a_path(name):
            raise
        raise ModelNotFoundError(
            f"expected a landmark model ({_NAMES}) or the path of a model file, got {name!r}"
        ) from None
    architecture = entry.spec.parameters.get("architecture", "facemesh")
    if entry.spec.task != "landmarks" or architecture != "facemesh":
        raise SpecError(
            f"expected a landmark model ({_NAMES}), got {str(name)!r} for {entry.spec.task} "
            f"with architecture {architecture!r}"
        )
    presence = None
    if entry.spec.name == BLENDSHAPE_LANDMARKS:
        presence = FaceMesh(catalog.find("facemesh"), threads=threads, provider=provider)
    return FaceMesh(entry, presence=presence, threads=threads, provider=provider)


def build_blendshapes(
    scheme: str, *, threads: int = 1, provider: str = "cpu"
) -> Blendshapes | None:
    """Build the model of blendshapes for landmarks of a scheme; None where there is none.

    Args:
        scheme: of the landmarks; those with irises have one.
        threads: maximum number of threads per run.
        provider: execution provider; a key of :data:`mien.runtime.session.PROVIDERS`.

    Raises:
        ProviderError: the provider is not installed.
    """
    entry = catalog.find("face-blendshapes", task="blendshapes")
    if entry.spec.parameters["scheme"] != scheme:
        return None
    return Blendshapes(entry, threads=threads, provider=provider)
