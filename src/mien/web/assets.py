"""Scripts and style sheets: their addresses, compressed bodies, and long times in the cache."""

import gzip
import hashlib
import json
import mimetypes
import re
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request, send_from_directory, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

_STATIC = Path(__file__).parent / "static"
_DIST = _STATIC / "dist"
_TEXT = {".js", ".mjs", ".css", ".svg"}
# Vite's names contain a hash of the content.
_HASHED = re.compile(r"dist/.+-[\w-]{8}\.\w+")
_FOREVER = "public, max-age=31536000, immutable"


def init_app(app: Flask) -> None:
    """Serve the files below ``static/``, and add what templates need to refer to them."""
    app.view_functions["static"] = _static
    app.url_defaults(_add_version)
    app.jinja_env.globals.update(
        client=_client,
        client_is_built=lambda: bool(_manifest()),
        device_addresses=_device_addresses,
    )


@cache
def _manifest() -> dict[str, dict[str, Any]]:
    """Vite's manifest of the browser client; empty where the client was not built."""
    path = _DIST / ".vite" / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _client(name: str) -> Markup:
    """The elements of a page's head for one of its scripts; none where the client was not built.

    What the script imports is named as well, so that the browser does not find it one by one.
    """
    entry = _manifest().get(f"src/{name}.ts")
    if entry is None:
        return Markup("")
    sheets, modules, pending = list(entry.get("css", [])), [], list(entry.get("imports", []))
    while pending:
        part = _manifest()[pending.pop()]
        if part["file"] not in modules:
            modules.append(part["file"])
            sheets += part.get("css", [])
            pending += part.get("imports", [])

    def address(file: str) -> str:
        return str(escape(url_for("static", filename=f"dist/{file}")))

    tags = [f'<link rel="stylesheet" href="{address(sheet)}">' for sheet in sheets]
    tags += [f'<link rel="modulepreload" href="{address(module)}">' for module in modules]
    tags.append(f'<script type="module" src="{address(entry["file"])}"></script>')
    return Markup("\n".join(tags))


def _device_addresses() -> Markup:
    """Attributes that say where the library is that analyzes images in the browser."""
    addresses = {
        "library": url_for("static", filename="dist/device/mien-web.js"),
        "runtime": url_for("static", filename="dist/device/runtime/"),
        "models": url_for("device.spec", name="x").removesuffix("x.json"),
    }
    return Markup(" ").join(
        Markup('data-{}="{}"').format(name, address) for name, address in addresses.items()
    )


def _add_version(endpoint: str, values: dict[str, Any]) -> None:
    """Addresses change with their content, so that browsers need not ask again."""
    name = values.get("filename", "")
    if endpoint == "static" and not _HASHED.fullmatch(name) and (_STATIC / name).is_file():
        values.setdefault("v", _version(name))


@cache
def _version(name: str) -> str:
    path = _STATIC / name
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "none"


def _static(filename: str) -> ResponseReturnValue:
    """A file of the site, compressed where the browser reads that."""
    response = _compressed(filename) or send_from_directory(_STATIC, filename)
    if _HASHED.fullmatch(filename) or request.args.get("v") == _version(filename):
        response.headers["Cache-Control"] = _FOREVER
    else:
        response.headers["Cache-Control"] = "no-cache"
    return response


def _compressed(filename: str) -> Response | None:
    """The compressed file; None where it would be sent as it is."""
    encodings = request.accept_encodings
    if Path(filename).suffix not in {*_TEXT, ".wasm"} or "Range" in request.headers:
        return None
    response: Response | None = None
    # Vite made the Brotli files with the build.
    if encodings["br"] and (_DIST / f"{filename.removeprefix('dist/')}.br").is_file():
        response = send_from_directory(
            _DIST,
            f"{filename.removeprefix('dist/')}.br",
            mimetype=mimetypes.guess_type(filename)[0],
        )
        response.headers["Content-Encoding"] = "br"
    elif encodings["gzip"] and Path(filename).suffix in _TEXT:
        response = Response(_gzipped(filename), mimetype=mimetypes.guess_type(filename)[0])
        response.headers["Content-Encoding"] = "gzip"
        response.set_etag(_version(filename) + "-gzip")
        response.make_conditional(request)
    if response is not None:
        response.vary.add("Accept-Encoding")
    return response


@cache
def _gzipped(filename: str) -> bytes:
    path = _STATIC / filename
    if not path.resolve().is_relative_to(_STATIC.resolve()) or not path.is_file():
        abort(404)
    return gzip.compress(path.read_bytes(), 9, mtime=0)
