"""Pages that work without any script: the front door, photographs, the API's description."""

import hmac
import json
import re

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from mien import drawing
from mien.labels import Expression
from mien.samples import sample_paths
from mien.web import api, assets, limits, pictures
from mien.web.config import WebConfig, is_loopback
from mien.web.errors import ProblemError
from mien.web.security import token_mark

blueprint = Blueprint("pages", __name__)
_SHOWN_PX = 1600


def init_app(app: Flask) -> None:
    """Add the pages, and what all templates use."""
    app.register_blueprint(blueprint)
    app.jinja_env.globals.update(
        script=assets.script, styles=assets.styles, client_is_built=assets.is_built
    )
    app.jinja_env.filters["percent"] = lambda share: f"{100 * share:.0f}\u202f%"
    app.jinja_env.filters["code"] = _with_code
    app.context_processor(_about_this_request)


def _with_code(text: str) -> Markup:
    """What stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _about_this_request() -> dict[str, object]:
    config: WebConfig = current_app.extensions["mien.config"]
    return {
        "config": config,
        "insecure_origin": not request.is_secure
        and not is_loopback(request.host.rsplit(":", 1)[0].strip("[]")),
        "version": current_app.extensions["mien.version"],
    }


@blueprint.get("/")
def live() -> str:
    """The live page."""
    return render_template("live.html")


@blueprint.route("/photo", methods=["GET", "POST"])
@limits.limited(limits.ANALYZE, methods=["POST"])
def photo() -> ResponseReturnValue:
    """A photograph in, its faces out."""
    samples = [path.name for path in sample_paths()]
    if request.method == "GET":
        return render_template("photo.html", samples=samples)
    try:
        data, name = _photograph(samples)
        image, result = api.analyze_photograph(data, name)
    except ProblemError as problem:
        page = render_template("photo.html", samples=samples, problem=problem)
        return page, problem.status
    document = result.to_dict()
    return render_template(
        "photo.html",
        samples=samples,
        result=document,
        document=json.dumps(document, indent=2, ensure_ascii=False),
        thumbnails=[pictures.thumbnail(image, face.box) for face in result.faces],
        picture=pictures.data_url(drawing.annotate(image, result), longest_px=_SHOWN_PX),
    )


def _photograph(samples: list[str]) -> tuple[bytes, str | None]:
    chosen = request.form.get("sample")
    if chosen is None:
        return api.image_from_request()
    if chosen not in samples:
        raise ProblemError(404, "not_found", "There is no such sample photograph.")
    path = next(path for path in sample_paths() if path.name == chosen)
    return path.read_bytes(), chosen


@blueprint.get("/samples/<name>")
def sample(name: str) -> Response:
    """A sample photograph."""
    for path in sample_paths():
        if path.name == name:
            response = Response(path.read_bytes(), mimetype="image/jpeg")
            response.headers["Cache-Control"] = "max-age=86400"
            return response
    raise ProblemError(404, "not_found", "There is no such sample photograph.")


@blueprint.get("/about")
def about() -> str:
    """What the numbers mean, and what they do not."""
    return render_template("about.html")


@blueprint.get("/docs")
def docs() -> str:
    """The API, read from its own OpenAPI description."""
    return render_template("docs.html", api=current_app.extensions["mien.openapi"]())


@blueprint.get("/colors.css")
def colors() -> Response:
    """The colors of the expressions, the same as in annotated pictures."""
    lines = [
        f"  --x-{expression.value}: rgb{color};"
        for expression, color in drawing.EXPRESSION_COLORS.items()
    ]
    rules = [
        f".x-{expression.value} {{ fill: var(--x-{expression.value}); "
        f"stroke: var(--x-{expression.value}); --x: var(--x-{expression.value}); }}"
        for expression in Expression
    ]
    text = ":root {\n" + "\n".join(lines) + "\n}\n" + "\n".join(rules) + "\n"
    response = Response(text, mimetype="text/css")
    response.headers["Cache-Control"] = "max-age=3600"
    return response


@blueprint.route("/login", methods=["GET", "POST"])
@limits.limited(limits.LOGIN, methods=["POST"])
def login() -> ResponseReturnValue:
    """Where a visitor gives the access token."""
    config: WebConfig = current_app.extensions["mien.config"]
    target = request.values.get("next", "")
    # Only a path of this site: "//host" and "/\host" would lead away.
    if not target.startswith("/") or target.startswith(("//", "/\\")):
        target = url_for("pages.live")
    if not config.access_token:
        return redirect(target)
    if request.method == "POST":
        given = request.form.get("token", "").strip()
        if hmac.compare_digest(given.encode(), config.access_token.encode()):
            session["token"] = token_mark(config.access_token)
            return redirect(target)
        return make_response(render_template("login.html", next=target, wrong=True), 401)
    return render_template("login.html", next=target, wrong=False)
