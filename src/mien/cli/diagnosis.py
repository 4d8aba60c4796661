"""The checks of ``mien doctor``: each looks at one thing, and none changes anything."""

import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from mien.config import Settings, data_folder
from mien.errors import CameraError, MienError

State = Literal["ok", "note", "broken"]

_OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_ONNXRUNTIME = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-qnn",
)
_TIMED_RUNS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        topic: what was looked at.
        state: ``"ok"``, ``"note"`` (works without), or ``"broken"``.
        message: what was found, and the mend.
    """

    topic: str
    state: State
    message: str


def diagnose() -> Iterator[Finding]:
    """Every check in turn; what one of them cannot stand is its finding."""
    for topic, check in CHECKS.items():
        try:
            yield from check(topic)
        except (MienError, ImportError, OSError) as error:
            yield Finding(topic, "broken", str(error))


def _python(topic: str) -> Iterator[Finding]:
    yield Finding(
        topic,
        "ok",
        f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} processors",
    )


def _mien(topic: str) -> Iterator[Finding]:
    from mien import __version__

    yield Finding(topic, "ok", f"{__version__} in {Path(__file__).parents[1]}")


def _wheels(topic: str) -> Iterator[Finding]:
    """Wheels that bring the same module overwrite each other's files."""
    for names, wanted in (
        (_OPENCV, "opencv-contrib-python-headless"),
        (_ONNXRUNTIME, "the one onnxruntime package that you want"),
    ):
        installed = [name for name in names if _version(name)]
        listed = " ".join(f"{name} {_version(name)}" for name in installed)
        if len(installed) > 1:
            mend = f"pip uninstall {' '.join(installed)}; then install {wanted}"
            yield Finding(topic, "broken", f"these overwrite each other: {listed}. Mend: {mend}")
        elif installed:
            yield Finding(topic, "ok", listed)
        else:
            yield Finding(topic, "note", f"no wheel of {', '.join(names)} is recorded")


def _providers(topic: str) -> Iterator[Finding]:
    from mien.runtime.session import PROVIDERS, available_providers

    available = available_providers()
    for name, full_name in PROVIDERS.items():
        if name in available:
            yield Finding(topic, "ok", f"{name} ({full_name}): use it with --provider {name}")
        else:
            yield Finding(topic, "note", f"{name} ({full_name}) is not in this onnxruntime")


def _models(topic: str) -> Iterator[Finding]:
    from mien.runtime import catalog

    for entry in catalog.entries():
        try:
            catalog.verify(entry)
        except MienError as error:
            yield Finding(topic, "broken", str(error))
        else:
            yield Finding(topic, "ok", f"{entry.spec.name} is as recorded")


def _extras(topic: str) -> Iterator[Finding]:
    for extra, packages in _packages_by_extra().items():
        missing = [name for name in packages if not _version(name)]
        if missing:
            mend = f"pip install 'mien[{extra}]'"
            yield Finding(topic, "note", f"{extra} lacks {', '.join(missing)}: {mend}")
        else:
            yield Finding(topic, "ok", f"{extra} is installed")


def _packages_by_extra() -> dict[str, list[str]]:
    """What each extra of mien needs, out of its own metadata."""
    needs: dict[str, list[str]] = {}
    for requirement in metadata.requires("mien") or []:
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name and name[0] != "mien":
            needs.setdefault(extra[1], []).append(name[0])
    return needs


def _folders(topic: str) -> Iterator[Finding]:
    for purpose, folder in (
        ("added models and other data", data_folder()),
        ("temporary files", Path(tempfile.gettempdir())),
    ):
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
            yield Finding(topic, "ok", f"{folder} can be written ({purpose})")
        else:
            yield Finding(
                topic,
                "broken",
                f"{folder} cannot be written ({purpose}); set MIEN_DATA_DIR, or TMPDIR, to a "
                "folder that can",
            )


def _cameras(topic: str) -> Iterator[Finding]:
    """Only looks for the devices: no camera is opened, so no light goes on."""
    from mien.media import devices

    if not devices.can_list_cameras():
        yield Finding(topic, "note", "not listed on this system; see --try-cameras")
        return
    found = devices.list_cameras()
    if not found:
        yield Finding(topic, "note", "none is connected, or none is let into this container")
    for camera in found:
        if camera.permitted:
            yield Finding(topic, "ok", f"{camera.index}: {camera.name}")
        else:
            mend = "add yourself to the group video"
            yield Finding(topic, "note", f"{camera.index}: {camera.name}; not permitted, {mend}")


def try_cameras(topic: str = "cameras") -> Iterator[Finding]:
    """Take one picture with each camera; their lights go on."""
    from mien.media import devices

    listed = [camera.index for camera in devices.list_cameras()]
    for index in listed or ([] if devices.can_list_cameras() else [0]):
        try:
            width, height = devices.try_camera(index)
        except CameraError as error:
            yield Finding(topic, "broken", str(error))
        else:
            yield Finding(topic, "ok", f"{index} gives {width}×{height} pixels")


def _speed(topic: str) -> Iterator[Finding]:
    from mien.media.images import read_image
    from mien.pipeline import FacePipeline
    from mien.samples import sample_paths

    started = time.perf_counter()
    pipeline = FacePipeline(Settings.from_environment())
    pipeline.warm_up()
    loading_ms = 1000 * (time.perf_counter() - started)
    path = next(path for path in sample_paths() if path.stem == "group")
    image = read_image(path)
    times_ms = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        result = pipeline.analyze(image)
        times_ms.append(1000 * (time.perf_counter() - started))
    width, height = result.image_size_wh
    yield Finding(
        topic,
        "ok" if len(result) else "broken",
        f"{statistics.median(times_ms):.0f} ms for {len(result)} faces in {width}×{height} pixels "
        f"({pipeline.settings.threads} thread, {pipeline.settings.provider}); "
        f"loading the models {loading_ms:.0f} ms",
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


CHECKS: dict[str, Callable[[str], Iterator[Finding]]] = {
    "python": _python,
    "mien": _mien,
    "wheels": _wheels,
    "providers": _providers,
    "models": _models,
    "extras": _extras,
    "folders": _folders,
    "cameras": _cameras,
    "speed": _speed,
}
