"""The site of the documentation, where its folder is given (``MIEN_DOCS_DIR``)."""

from pathlib import Path

from flask import Blueprint, abort, redirect, send_file, url_for
from werkzeug import Response
from werkzeug.security import safe_join

from mien.web import headers
from mien.web.services import services

blueprint = Blueprint("documentation", __name__, url_prefix="/documentation")


@blueprint.get("/", defaults={"name": ""})
@blueprint.get("/<path:name>")
def _file(name: str) -> Response:
    """A page of the site, or a file that belongs to it."""
    try:
        folder = services().config.docs_path.resolve()
        path = _find(folder, name)
        if name and not name.endswith("/") and (folder / name).is_dir():
            # Links of its index are relative to it.
            return redirect(url_for(".file", name=f"{name}/"))
        if path.suffix == ".html":
            page = path.read_bytes()
            response = Response(page, mimetype="text/html")
            response.headers["Content-Security-Policy"] = headers.policy(trusted=page)
        else:
            response = send_file(path)
    except (OSError, ValueError, RuntimeError):
        # No such file, one that cannot be read, or a name that none can have: too long, with a null
        # character, a link to itself.
        abort(404)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _find(folder: Path, name: str) -> Path:
    """The file of a name in a resolved folder, or the index of a folder in it.

    Raises:
        OSError, ValueError, RuntimeError: there is none; it is hidden; or it is elsewhere, behind a
            link.
    """
    joined = safe_join(str(folder), name)
    if joined is None:
        raise FileNotFoundError(name)
    path = Path(joined).resolve(strict=True)
    if path.is_dir():
        path = (path / "index.html").resolve(strict=True)
    parts = [*name.split("/"), *path.relative_to(folder).parts]
    if any(part.startswith(".") for part in parts) or not path.is_file():
        raise FileNotFoundError(name)
    return path
