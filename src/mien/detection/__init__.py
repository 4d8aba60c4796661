"""Finding faces. Each module is a detector; :mod:`mien.detection.base` is their contract."""

from pathlib import Path

from mien.detection.base import FaceDetector
from mien.detection.blazeface import BlazeFace
from mien.errors import SpecError
from mien.runtime import catalog

__all__ = ["BlazeFace", "FaceDetector", "build_detector"]


def build_detector(
    name_or_path: str | Path = "blazeface",
    *,
    threads: int = 1,
    provider: str = "cpu",
    tiles: str = "off",
) -> FaceDetector:
    """A face detector by its name, or from a model file.

    Args:
        name_or_path: ``"blazeface"`` (the default), ``"blazeface-short"``, ``"haar"``; or the path
            of a model file, whose spec names its ``architecture`` among its parameters.
        threads: that one run may use.
        provider: where it runs; a key of :data:`mien.runtime.session.PROVIDERS`.
        tiles: ``"auto"`` searches large images in overlapping tiles, ``"off"`` does not.

    Raises:
        ModelNotFoundError: there is no such detector and no such file.
        SpecError: the file's spec is missing, or names no architecture that mien can decode.
        ProviderError: the provider is not installed.
    """
    entry = catalog.find(name_or_path)
    architecture = entry.spec.parameters.get("architecture")
    if entry.spec.task != "detection" or architecture != "blazeface":
        raise SpecError(
            f"expected a detection model whose parameters name the architecture blazeface, got "
            f"{entry.spec.name!r} for {entry.spec.task} with architecture {architecture!r}"
        )
    return BlazeFace(entry, threads=threads, provider=provider)
