"""What a browser needs to analyze images itself: the networks and their specs."""

from flask import Blueprint, Response, abort, request, send_file

from mien.runtime.catalog import CatalogEntry
from mien.runtime.spec import spec_to_json
from mien.web.services import services
from mien.web.site import networks, runs_in_browsers

blueprint = Blueprint("device", __name__, url_prefix="/device")

_YEAR_S = 365 * 24 * 3600


def _networks() -> dict[str, CatalogEntry]:
    """Those of the server's settings; nothing where their model runs on the server only."""
    settings = services().inference.pipeline.settings
    return networks(settings.model, settings.prior) if runs_in_browsers(settings.model) else {}


@blueprint.get("/models/<name>.json")
def spec(name: str) -> Response:
    """The spec of a network."""
    entry = _networks().get(name) or abort(404)
    response = Response(spec_to_json(entry.spec), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.get("/models/<name>.onnx")
def network(name: str) -> Response:
    """A network; the address has its checksum, so that it can be kept for good."""
    files = {entry.path.stem: entry for entry in _networks().values()}
    entry = files.get(name) or abort(404)
    response = send_file(entry.path, mimetype="application/octet-stream", conditional=True)
    given = request.args.get("sha256", "")
    is_current = len(given) >= 16 and (entry.spec.sha256 or "").startswith(given)
    lasting = f"public, max-age={_YEAR_S}, immutable"
    response.headers["Cache-Control"] = lasting if is_current else "no-cache"
    return response
