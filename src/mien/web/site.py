"""Files with which a browser analyzes images itself, and a site of them alone; without Flask."""

import hashlib
import json
import shutil
from pathlib import Path

from mien.errors import InputError, ModelFileError
from mien.recording import replacing
from mien.runtime import catalog
from mien.runtime.catalog import CatalogEntry
from mien.runtime.spec import spec_to_json

_STATIC = Path(__file__).parent / "static"
_LIBRARY = _STATIC / "dist" / "device"
_NETWORKS = ("blazeface", "blazeface-short", "facemesh", "verifier")
_WORKER = "service-worker.js"


def networks() -> dict[str, CatalogEntry]:
    """The networks that run in a browser, by name; the last is their expression model."""
    names = (*_NETWORKS, catalog.STREAM_EXPRESSION_MODEL)
    return {name: catalog.find(name) for name in names}


def export_site(folder: Path) -> list[Path]:
    """Write a site that any static host serves: live, photographs and videos, in the browser alone.

    Args:
        folder: new or empty, or with an earlier export, which is replaced.

    Returns:
        The files.

    Raises:
        InputError: the folder has other files.
        ModelFileError: the browser client is not built.
        OSError: the folder cannot be written.
    """
    if not (_LIBRARY / "mien-web.js").is_file():
        raise ModelFileError(
            f"expected the built browser client in {_LIBRARY}, but there is none: run npm ci and "
            "npm run build in client/, or install a release"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder, got the file {folder}: choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _WORKER).is_file():
        raise InputError(f"expected an empty folder, or an earlier export, got {folder}")
    sources = _sources()
    for name, source in sources.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as unfinished:
            if isinstance(source, str):
                unfinished.write_text(source, encoding="utf-8")
            else:
                shutil.copyfile(source, unfinished)
    # Last, so that browsers fetch a new version only when all of it is there.
    with replacing(folder / _WORKER) as unfinished:
        unfinished.write_text(_service_worker(sources), encoding="utf-8")
    return [folder / name for name in (*sources, _WORKER)]


def _sources() -> dict[str, Path | str]:
    """The file, or its text, by the path in the site."""
    found: dict[str, Path | str] = {"mark.svg": _STATIC / "mark.svg"}
    for name in ("index.html", "site.js", "site.css", "manifest.webmanifest"):
        found[name] = _LIBRARY / "site" / name
    for name in ("mien-web.js", "mien-worker.js"):
        found[name] = _LIBRARY / name
    for path in sorted((_LIBRARY / "runtime").iterdir()):
        if path.suffix == ".br":
            continue  # for the server
        found[f"runtime/{path.name}"] = path
    for name, entry in networks().items():
        found[f"models/{name}.json"] = spec_to_json(entry.spec)
        found[f"models/{entry.path.name}"] = entry.path
    return found


def _service_worker(sources: dict[str, Path | str]) -> str:
    digest = hashlib.sha256()
    for name, source in sources.items():
        digest.update(name.encode())
        digest.update(source.encode() if isinstance(source, str) else source.read_bytes())
    text = (_LIBRARY / "site" / _WORKER).read_text(encoding="utf-8")
    digest.update(text.encode())
    files = json.dumps(["./", *sources])
    return text.replace("VERSION_OF_THE_FILES", f"mien-site-{digest.hexdigest()[:16]}").replace(
        '["LIST_OF_THE_FILES"]', files
    )
