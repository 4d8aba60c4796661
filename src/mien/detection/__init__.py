"""Face detection. Each module is one detector; :mod:`mien.detection.base` is their contract."""

from pathlib import Path

from mien.detection.base import FaceDetector
from mien.detection.blazeface import BlazeFace
from mien.detection.haar import HaarDetector
from mien.detection.search import FaceSearch
from mien.detection.verifier import FaceVerifier
from mien.detection.yunet import YuNet
from mien.errors import ModelNotFoundError, SettingError, SpecError
from mien.runtime import catalog
from mien.types.contract import check_stage

__all__ = [
    "BlazeFace",
    "FaceDetector",
    "FaceSearch",
    "HaarDetector",
    "YuNet",
    "build_detector",
    "build_verifier",
]

_DEFAULT, _CLOSE_UP = "blazeface", "blazeface-short"
_NAMES = "blazeface, blazeface-short, haar, yunet:PATH"
_YUNET_PREFIX = "yunet:"


def build_detector(
    name_or_path: str | Path | FaceDetector = "blazeface",
    *,
    threads: int = 1,
    provider: str = "cpu",
    tiles: str = "off",
) -> FaceDetector:
    """Build a face detector by name, or from a model file.

    Args:
        name_or_path: ``"blazeface"`` (the default; falls back to ``"blazeface-short"`` where it
            finds nothing), ``"blazeface-short"``, ``"haar"``, ``"yunet:PATH"`` with the path of a
            YuNet file, or the path of a model file whose spec has the parameter ``architecture``
            set to ``"blazeface"`` or ``"yunet"``. A detector is returned as it is.
        threads: maximum number of threads per run. Haar cascades and YuNet use OpenCV's threads.
        provider: execution provider; a key of :data:`mien.runtime.session.PROVIDERS`. Haar cascades
            and YuNet run on the CPU.
        tiles: ``"auto"`` searches large images in overlapping tiles, ``"off"`` does not. Haar
            cascades and YuNet accept images of any size and use no tiles.

    Raises:
        ModelNotFoundError: no such detector and no such file.
        SpecError: the file has no spec, or an architecture that mien cannot decode.
        ProviderError: the provider is not installed.
        SettingError: tiles is neither ``"auto"`` nor ``"off"``, or not a detector.
    """
    if not isinstance(name_or_path, str | Path):
        expected = "a detector with a name and a method detect(image, *, min_score)"
        check_stage(name_or_path, FaceDetector, expected)
        return name_or_path
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
            f"expected a face detector ({_NAMES}) or a detection model whose parameters name the "
            f"architecture blazeface or yunet, got {entry.spec.name!r} for {entry.spec.task} with "
            f"architecture {architecture!r}"
        )
    if architecture == "yunet":
        return YuNet(entry.path)
    detector = BlazeFace(entry, threads=threads, provider=provider)
    close_up = None
    if name == _DEFAULT:
        close_up = BlazeFace(catalog.find(_CLOSE_UP), threads=threads, provider=provider)
    return FaceSearch(detector, tiled=tiles == "auto", close_up=close_up)


def build_verifier(*, threads: int = 1, provider: str = "cpu") -> FaceVerifier:
    """Build the shipped verifier of detections in still images."""
    return FaceVerifier(catalog.find("verifier"), threads=threads, provider=provider)


def _find(name_or_path: str | Path) -> catalog.CatalogEntry:
    try:
        return catalog.find(name_or_path)
    except ModelNotFoundError as error:
        if name_or_path == "yunet":
            raise ModelNotFoundError(
                "mien ships no YuNet model: add the path of its file, as in "
                "yunet:face_detection_yunet_2023mar.onnx"
            ) from None
        if catalog.looks_like_a_path(name_or_path):
            raise
        raise ModelNotFoundError(
            f"expected a face detector ({_NAMES}) or the path of a model file, got "
            f"{str(name_or_path)!r}"
        ) from error
