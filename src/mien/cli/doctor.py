"""``mien doctor``: check the installation. Each check covers one topic and changes nothing."""

import dataclasses
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from mien.cli.console import print_json, stdout_console
from mien.cli.options import JsonFlag
from mien.config import Settings, data_folder
from mien.errors import CameraError, MienError, counted

app = typer.Typer(add_completion=False)

_STYLES = {"ok": "green", "note": "yellow", "broken": "bold red"}

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
_CLIENT = Path(__file__).parents[1] / "web/static/dist/device/mien-web.js"


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a check found, and how to fix it; a note is about something optional."""

    topic: str
    state: Literal["ok", "note", "broken"]
    message: str


@app.command("doctor", epilog="Exit status: 0 if nothing is broken, else 1.")
def _doctor(
    json: JsonFlag = False,
    cameras: Annotated[
        bool,
        typer.Option(
            "--try-cameras",
            help="Also capture one frame from each camera; this turns on the camera's light.",
        ),
    ] = False,
) -> None:
    """Check the installation and explain how to fix problems."""
    findings = [*_diagnose(), *(_try_cameras() if cameras else ())]
    broken = any(finding.state == "broken" for finding in findings)
    if json:
        documents = [dataclasses.asdict(finding) for finding in findings]
        print_json({"healthy": not broken, "findings": documents})
    else:
        _print(findings)
    if broken:
        raise typer.Exit(1)


def _print(findings: list[_Finding]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    topic = ""
    for finding in findings:
        shown = finding.topic if finding.topic != topic else ""
        topic = finding.topic
        state = Text(finding.state, style=_STYLES[finding.state])
        table.add_row(Text(shown, style="bold"), state, Text(finding.message))
    stdout_console().print(table)


def _diagnose() -> Iterator[_Finding]:
    """Run all checks; an error that a check raises becomes its finding."""
    for topic, check in _CHECKS.items():
        try:
            yield from check(topic)
        except (MienError, ImportError, OSError) as error:
            yield _Finding(topic, "broken", str(error))


def _python(topic: str) -> Iterator[_Finding]:
    yield _Finding(
        topic,
        "ok",
        f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} processors",
    )


def _mien(topic: str) -> Iterator[_Finding]:
    from mien import __version__

    yield _Finding(topic, "ok", f"{__version__} in {Path(__file__).parents[1]}")


def _wheels(topic: str) -> Iterator[_Finding]:
    """Packages that provide the same module overwrite each other's files."""
    for names in (_OPENCV, _ONNXRUNTIME):
        versions = {name: version for name in names if (version := _version(name))}
        listed = " ".join(f"{name} {version}" for name, version in versions.items())
        if not versions:
            yield _Finding(topic, "note", f"none of {', '.join(names)} is installed as a package")
        elif len(versions) == 1:
            yield _Finding(topic, "ok", listed)
        else:
            # Files of one version are the same ones, but for windows and extra modules.
            same = names == _OPENCV and len(set(versions.values())) == 1
            yield _Finding(
                topic,
                "note" if same else "broken",
                f"side by side: {listed}; they have the same files, and those installed last are "
                "used. To have one with all that these offer: pip uninstall -y "
                f"{' '.join(versions)} && {_install_one(versions)}",
            )


def _install_one(installed: Iterable[str]) -> str:
    """How to install one package in place of several."""
    if not set(installed) <= set(_OPENCV):
        return "pip install one of them"
    if all("headless" in name for name in installed):
        return "pip install opencv-contrib-python-headless"
    return (
        "pip install opencv-contrib-python. It has windows and all modules; mien works with every "
        "package of OpenCV, although `pip check` then says that it requires the headless one"
    )


def _providers(topic: str) -> Iterator[_Finding]:
    from mien.runtime.session import PROVIDERS, available_providers

    available = available_providers()
    for name, full_name in PROVIDERS.items():
        if name in available:
            yield _Finding(topic, "ok", f"{name} ({full_name}): select it with --provider {name}")
        else:
            yield _Finding(
                topic, "note", f"{name} ({full_name}) is not available in the installed onnxruntime"
            )


def _models(topic: str) -> Iterator[_Finding]:
    from mien.runtime import catalog

    for entry in catalog.entries():
        try:
            catalog.verify(entry)
        except MienError as error:
            yield _Finding(topic, "broken", str(error))
        else:
            yield _Finding(topic, "ok", f"{entry.spec.name}: checksum matches")


def _extras(topic: str) -> Iterator[_Finding]:
    for extra, packages in _packages_by_extra().items():
        missing = [name for name in packages if not _version(name)]
        if missing:
            fix = f"pip install 'mien[{extra}]'"
            yield _Finding(topic, "note", f"{extra}: {', '.join(missing)} not installed; run {fix}")
        else:
            yield _Finding(topic, "ok", f"{extra}: installed")
    if not _CLIENT.is_file():
        yield _Finding(
            topic,
            "note",
            "web: the browser client is not built, so there is no live page and no export-site; in "
            "a clone run `npm ci && npm run build` in client/, then install mien from it again",
        )


def _packages_by_extra() -> dict[str, list[str]]:
    """The packages that each extra requires, read from the metadata of mien."""
    needs: dict[str, list[str]] = {}
    for requirement in metadata.requires("mien") or []:
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name and name[0] != "mien":
            needs.setdefault(extra[1], []).append(name[0])
    return needs


def _folders(topic: str) -> Iterator[_Finding]:
    for purpose, folder in (
        ("added models and other data", data_folder()),
        ("temporary files", Path(tempfile.gettempdir())),
    ):
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
            yield _Finding(topic, "ok", f"{folder} is writable ({purpose})")
        else:
            yield _Finding(
                topic,
                "broken",
                f"{folder} is not writable ({purpose}); set MIEN_DATA_DIR or TMPDIR to a "
                "writable folder",
            )


def _cameras(topic: str) -> Iterator[_Finding]:
    """List the devices without opening any camera, so that no light turns on."""
    from mien.media import camera as cameras

    if not cameras.can_list_cameras():
        yield _Finding(topic, "note", "cannot be listed on this system; use --try-cameras")
        return
    found = cameras.list_cameras()
    if not found:
        yield _Finding(topic, "note", "no camera found; in a container, pass the device through")
    for camera in found:
        if camera.permitted:
            yield _Finding(topic, "ok", f"{camera.index}: {camera.name}")
        else:
            fix = "add your user to the group video"
            yield _Finding(
                topic, "note", f"{camera.index}: {camera.name}; permission denied, {fix}"
            )


def _try_cameras(topic: str = "cameras") -> Iterator[_Finding]:
    """Capture one frame from each camera, which turns on its light."""
    from mien.media import camera as cameras

    listed = [camera.index for camera in cameras.list_cameras()]
    for index in listed or ([] if cameras.can_list_cameras() else [0]):
        try:
            width, height = cameras.try_camera(index)
        except CameraError as error:
            yield _Finding(topic, "broken", str(error))
        else:
            yield _Finding(topic, "ok", f"{index}: {width}×{height} pixels")


def _speed(topic: str) -> Iterator[_Finding]:
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
    yield _Finding(
        topic,
        "ok" if len(result) else "broken",
        f"{statistics.median(times_ms):.0f} ms for {counted(len(result), 'face')} in "
        f"{width}×{height} pixels "
        f"({counted(pipeline.settings.threads, 'thread')}, {pipeline.settings.provider}); "
        f"models loaded in {loading_ms:.0f} ms",
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


_CHECKS: dict[str, Callable[[str], Iterator[_Finding]]] = {
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
