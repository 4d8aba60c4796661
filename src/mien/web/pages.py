"""Pages of the site as a whole, what all templates use, and the files that browsers load."""

import gzip
import hashlib
import json
import mimetypes
import re
from functools import cache
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    render_template,
    request,
    send_file,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from mien import drawing
from mien.labels import Expression
from mien.runtime.catalog import CatalogEntry
from mien.runtime.spec import spec_to_json
from mien.web import api, words
from mien.web.config import is_loopback
from mien.web.services import services
from mien.web.site import networks, runs_in_browsers

blueprint = Blueprint("pages", __name__)
device = Blueprint("device", __name__, url_prefix="/device")

STATIC = Path(__file__).parent / "static"
_DIST = STATIC / "dist"
_TEXT = {".js", ".mjs", ".css", ".svg"}
# Vite's names contain a hash of the content.
_HASHED = re.compile(r"dist/.+-[\w-]{8}\.\w+")
_FOREVER = "public, max-age=31536000, immutable"


def init_app(app: Flask) -> None:
    """Add the pages, the functions and filters of the templates, and the files of browsers."""
    app.register_blueprint(blueprint)
    app.register_blueprint(device)
    app.view_functions["static"] = static_file
    app.url_defaults(_add_version)
    app.jinja_env.globals.update(
        client=_client,
        client_is_built=lambda: bool(_manifest()),
        device_addresses=_device_addresses,
        expressions=Expression,
    )
    app.jinja_env.filters["local_time"] = _local_time
    app.jinja_env.filters["code"] = _with_code
    app.context_processor(_template_context)


def _with_code(text: str) -> Markup:
    """Text whose parts between backticks are marked as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _local_time(iso: str) -> Markup:
    """A time in UTC, which the page's script shows in the visitor's time zone."""
    shown = iso.replace("T", " ").replace("Z", " UTC")
    return Markup('<time datetime="{}">{}</time>').format(iso, shown)


def _template_context() -> dict[str, object]:
    return {
        "config": services().config,
        "insecure_origin": not request.is_secure
        and not is_loopback(request.host.rsplit(":", 1)[0].strip("[]")),
        "version": services().version,
    }


@blueprint.get("/about")
def _about() -> str:
    """What the numbers mean."""
    return render_template("about.html")


@blueprint.get("/docs")
def _docs() -> str:
    """The API, from its OpenAPI description."""
    return render_template("docs.html", api=api.description())


@blueprint.get("/colors.css")
def _colors() -> Response:
    """The colors of the expressions, the same as in annotated pictures."""
    known = {one.value: drawing.EXPRESSION_COLORS[one] for one in Expression}
    own = {f"own-{number}": color for number, color in enumerate(drawing.OWN_COLORS)}
    lines = [f"  --x-{name}: rgb{color};" for name, color in (known | own).items()]
    rules = [
        f".x-{name} {{ fill: var(--x-{name}); stroke: var(--x-{name}); --x: var(--x-{name}); }}"
        for name in known | own
    ]
    text = ":root {\n" + "\n".join(lines) + "\n}\n" + "\n".join(rules) + "\n"
    response = Response(text, mimetype="text/css")
    response.headers["Cache-Control"] = "max-age=86400"
    return response


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
    # Only where a script will ask for them: browsers warn of what is loaded for nothing.
    if texts := words.language().words:
        tags.append(f'<link rel="preload" href="{escape(texts)}" as="fetch" crossorigin>')
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
    if endpoint == "static" and not _HASHED.fullmatch(name) and (STATIC / name).is_file():
        values.setdefault("v", _version(name))


@cache
def _version(name: str) -> str:
    path = STATIC / name
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "none"


def static_file(filename: str) -> ResponseReturnValue:
    """A file of the site, compressed where the browser reads that."""
    response = _compressed(filename) or send_from_directory(STATIC, filename)
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
    path = STATIC / filename
    if not path.resolve().is_relative_to(STATIC.resolve()) or not path.is_file():
        abort(404)
    return gzip.compress(path.read_bytes(), 9, mtime=0)


def _networks() -> dict[str, CatalogEntry]:
    """Those of the server's settings; nothing where their model runs on the server only."""
    settings = services().inference.pipeline.settings
    return networks(settings.model, settings.prior) if runs_in_browsers(settings.model) else {}


@device.get("/models/<name>.json")
def _spec(name: str) -> Response:
    """The spec of a network."""
    entry = _networks().get(name) or abort(404)
    response = Response(spec_to_json(entry.spec), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    return response


@device.get("/models/<name>.onnx")
def _network(name: str) -> Response:
    """A network; the address has its checksum, so that it can be kept for good."""
    files = {entry.path.stem: entry for entry in _networks().values()}
    entry = files.get(name) or abort(404)
    # Flask takes a relative path as one in its package.
    response = send_file(
        entry.path.absolute(), mimetype="application/octet-stream", conditional=True
    )
    given = request.args.get("sha256", "")
    is_current = len(given) >= 16 and (entry.spec.sha256 or "").startswith(given)
    response.headers["Cache-Control"] = _FOREVER if is_current else "no-cache"
    return response
