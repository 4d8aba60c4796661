"""Files with which a browser analyzes images itself, and a site of them alone; without Flask."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mien.errors import InputError, ModelError, ModelFileError
from mien.expression.priors import with_prior
from mien.recording import replacing
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry
from mien.runtime.spec import spec_to_json

_STATIC = Path(__file__).parent / "static"
_LIBRARY = _STATIC / "dist" / "device"
_NETWORKS = ("blazeface", "blazeface-short", "facemesh", "verifier")
WORKER = "service-worker.js"


def networks(model: str = "default", prior: str = "default") -> dict[str, CatalogEntry]:
    """The networks of a browser by the names that it asks for; ``default`` classifies expressions.

    Args:
        model: name or path of an expression model; ``"default"`` is that of streams.
        prior: see :func:`mien.expression.priors.resolve_prior`; part of the spec then.

    Raises:
        ModelNotFoundError: no such model.
        ModelError: the model cannot run in a browser.
        SettingError: the prior cannot be used with the model.
    """
    name = catalog.STREAM_EXPRESSION_MODEL if model == "default" else model
    if name == catalog.DEFAULT_EXPRESSION_MODEL:
        raise ModelError(
            f"expected one expression network for browsers, got {name!r}: choose quick"
        )
    entry = catalog.find(name, task="expression")
    spec = with_prior(entry.spec, prior)
    if spec.task != "expression" or entry.path.suffix != ".onnx" or spec.input.layout != "NCHW":
        raise ModelError(
            f"expected an expression network with NCHW input for browsers, got {spec.name!r}: "
            "choose quick, transfer or a model adapted from them"
        )
    # An adapted model has its spec inside, and no checksum.
    spec = replace(spec, file=entry.path.name, sha256=spec.sha256 or catalog.checksum(entry.path))
    found = {name: catalog.find(name) for name in _NETWORKS}
    return {**found, "default": CatalogEntry(spec, entry.path, entry.shipped)}


def runs_in_browsers(model: str) -> bool:
    """Whether :func:`networks` has the expression model."""
    try:
        networks(model)
    except ModelError:
        return False
    return True


def export_site(folder: Path, *, model: str = "default", prior: str = "default") -> list[Path]:
    """Write a site that any static host serves: live, photographs and videos, in the browser alone.

    Args:
        folder: new or empty, or with an earlier export, which is replaced.
        model, prior: see :func:`networks`.

    Returns:
        The files.

    Raises:
        InputError: the folder has other files.
        ModelFileError: the browser client is not built.
        MienError: the model or the prior cannot be used.
        OSError: the folder cannot be written.
    """
    if not is_built():
        raise ModelFileError(
            f"expected the built browser client in {_LIBRARY}, but there is none: in a clone run "
            "npm ci and npm run build in client/, then install mien from it again"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder, got the file {folder}: choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / WORKER).is_file():
        raise InputError(
            f"expected a new or empty folder, or an earlier export, got {folder}, which has other "
            f"files: name one that does not exist, such as {folder / 'site'}"
        )
    sources = site_files(model, prior)
    for name, source in sources.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as unfinished:
            if isinstance(source, str):
                unfinished.write_text(source, encoding="utf-8")
            else:
                shutil.copyfile(source, unfinished)
    # A model of an earlier export may be private.
    for path in (folder / "models").iterdir():
        if path.relative_to(folder).as_posix() not in sources:
            path.unlink()
    # Last, so that browsers fetch a new version only when all of it is there.
    with replacing(folder / WORKER) as unfinished:
        unfinished.write_text(service_worker(sources), encoding="utf-8")
    return [folder / name for name in (*sources, WORKER)]


def site_files(model: str = "default", prior: str = "default") -> dict[str, Path | str]:
    """The file, or its text, by the path in the site; all but :func:`service_worker`."""
    return _sources(networks(model, prior))


def is_built() -> bool:
    """Whether there is a browser client, without which there is no site."""
    return (_LIBRARY / "mien-web.js").is_file()


def _sources(models: Mapping[str, CatalogEntry]) -> dict[str, Path | str]:
    found: dict[str, Path | str] = {"mark.svg": _STATIC / "mark.svg"}
    for name in ("index.html", "site.js", "site.css", "manifest.webmanifest"):
        found[name] = _LIBRARY / "site" / name
    for name in ("mien-web.js", "mien-worker.js", "mien-decoder.js"):
        found[name] = _LIBRARY / name
    for path in sorted((_LIBRARY / "runtime").iterdir()):
        if path.suffix == ".br":
            continue  # for the server
        found[f"runtime/{path.name}"] = path
    for name, entry in models.items():
        found[f"models/{name}.json"] = spec_to_json(entry.spec)
        found[f"models/{entry.path.name}"] = entry.path
    return found


def service_worker(sources: Mapping[str, Path | str]) -> str:
    """The script that keeps these files; its text changes with any of them."""
    digest = hashlib.sha256()
    for name, source in sources.items():
        digest.update(name.encode())
        digest.update(source.encode() if isinstance(source, str) else source.read_bytes())
    text = (_LIBRARY / "site" / WORKER).read_text(encoding="utf-8")
    digest.update(text.encode())
    files = json.dumps(["./", *sources])
    return text.replace("VERSION_OF_THE_FILES", f"mien-site-{digest.hexdigest()[:16]}").replace(
        '["LIST_OF_THE_FILES"]', files
    )
