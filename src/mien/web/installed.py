"""The page that a browser installs as an application: the site of `mien export-site`, served."""

import mimetypes
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, send_file, url_for
from flask.typing import ResponseReturnValue

from mien.web.pages import STATIC, static_file
from mien.web.services import services
from mien.web.site import WORKER, is_built, service_worker, site_files

blueprint = Blueprint("installed", __name__, url_prefix="/app")


def init_app(app: Flask) -> None:
    """Add the site, and for templates its address."""
    app.register_blueprint(blueprint)
    app.jinja_env.globals.update(address_to_install=_address)


def _address() -> str | None:
    """None where the server analyzes everything itself, or the client is not built."""
    is_usable = services().config.live != "server" and is_built()
    return url_for("installed.file") if is_usable else None


@blueprint.get("/", endpoint="file")
@blueprint.get("/<path:name>", endpoint="file")
def _file(name: str = "index.html") -> ResponseReturnValue:
    """One file of the site; its service worker keeps all of them for use without a connection."""
    if _address() is None:
        abort(404)
    settings = services().inference.pipeline.settings
    files = site_files(settings.model, settings.prior)
    source = service_worker(files) if name == WORKER else files.get(name) or abort(404)
    if isinstance(source, Path) and source.is_relative_to(STATIC):
        return static_file(source.relative_to(STATIC).as_posix())
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if isinstance(source, str):
        response = Response(source, mimetype=kind)
    else:
        # Flask takes a relative path as one in its package.
        response = send_file(source.absolute(), mimetype=kind, conditional=True)
    response.headers["Cache-Control"] = "no-cache"
    return response
