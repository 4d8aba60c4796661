"""The site of the documentation, where its folder is given (``MIEN_DOCS_DIR``)."""

from pathlib import Path

from flask import Blueprint, Response, abort, send_from_directory
from werkzeug.security import safe_join

from mien.web import headers
from mien.web.services import services

blueprint = Blueprint("documentation", __name__, url_prefix="/documentation")


@blueprint.get("/", defaults={"name": "index.html"})
@blueprint.get("/<path:name>")
def _file(name: str) -> Response:
    """A page of the site, or a file that belongs to it."""
    # Flask takes a relative path as one in its package.
    folder = services().config.docs_path.absolute()
    if name.endswith(".html"):
        path = safe_join(str(folder), name)
        page = Path(path).read_bytes() if path and Path(path).is_file() else abort(404)
        response = Response(page, mimetype="text/html")
        response.headers["Content-Security-Policy"] = headers.policy(trusted=page)
    else:
        response = send_from_directory(folder, name)
    response.headers["Cache-Control"] = "no-cache"
    return response
