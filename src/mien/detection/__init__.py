"""Finding faces. Each module is a detector; :mod:`mien.detection.base` is their contract."""

from pathlib import Path

from mien.detection.base import FaceDetector
from mien.detection.blazeface import BlazeFace
from mien.detection.haar import HaarDetector
from mien.detection.search import FaceSearch
from mien.detection.yunet import YuNet
from mien.errors import ModelNotFoundError, SettingError, SpecError
from mien.runtime import catalog

__all__ = [
    "BlazeFace",
    "FaceDetector",
    "FaceSearch",
    "HaarDetector",
    "YuNet",
    "build_detector",
]

_DEFAULT, _NEAR = "blazeface", "blazeface-short"
_YUNET_PREFIX = "yunet:"


def build_detector(
    name_or_path: str | Path = "blazeface",
    *,
    threads: int = 1,
    provider: str = "cpu",
    tiles: str = "off",
) -> FaceDetector:
    """A face detector by its name, or from a model file.

    Args:
        name_or_path: ``"blazeface"`` (the default, which asks ``"blazeface-short"`` where it finds
            nothing), ``"blazeface-short"``, ``"haar"``,
            ``"yunet:PATH"`` with the path of a YuNet file; or the path of a model file whose spec
            names its ``architecture``, ``"blazeface"`` or ``"yunet"``, among its parameters.
        threads: that one run may use. Haar cascades and YuNet use those of OpenCV.
        provider: where it runs; a key of :data:`mien.runtime.session.PROVIDERS`. Haar cascades and
            YuNet run on the CPU.
        tiles: ``"auto"`` searches large images in overlapping tiles, ``"off"`` does not. Haar
            cascades and YuNet, whose input has no fixed size, need none.

    Raises:
        ModelNotFoundError: there is no such detector and no such file.
        SpecError: the file's spec is missing, or names no architecture that mien can decode.
        ProviderError: the provider is not installed.
        SettingError: tiles is neither of the two.
    """
    if tiles not in ("auto", "off"):
        raise SettingError(f"expected tiles to be auto or off, got {tiles!r}")
    name = str(name_or_path)
    if name == "haar":
        return HaarDetector(catalog.find("haar-frontalface"), catalog.find("haar-eye"))
    if name.startswith(_YUNET_PREFIX):
        return YuNet(Path(name.removeprefix(_YUNET_PREFIX)))
    entry = _find(name_or_path)
    architecture = entry.spec.parameters.get("architecture")
    if entry.spec.task != "detection" or architecture not in ("blazeface", "yunet"):
        raise SpecError(
            "expected a detection model whose parameters name the architecture blazeface or yunet, "
            f"got {entry.spec.name!r} for {entry.spec.task} with architecture {architecture!r}"
        )
    if architecture == "yunet":
        return YuNet(entry.path)
    detector = BlazeFace(entry, threads=threads, provider=provider)
    near = None
    if name == _DEFAULT:
        near = BlazeFace(catalog.find(_NEAR), threads=threads, provider=provider)
    return FaceSearch(detector, tiled=tiles == "auto", near=near)


def _find(name_or_path: str | Path) -> catalog.CatalogEntry:
    try:
        return catalog.find(name_or_path)
    except ModelNotFoundError:
        if name_or_path != "yunet":
            raise
        raise ModelNotFoundError(
            "mien ships no YuNet model: give the path of its file, as in "
            "yunet:face_detection_yunet_2023mar.onnx"
        ) from None
