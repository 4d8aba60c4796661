"""Pages of the site as a whole, and what all templates use."""

import re

from flask import Blueprint, Flask, Response, render_template, request
from markupsafe import Markup, escape

from mien import drawing
from mien.labels import Expression
from mien.web import api
from mien.web.config import is_loopback
from mien.web.services import services

blueprint = Blueprint("pages", __name__)


def init_app(app: Flask) -> None:
    """Add the pages, and the functions and filters of the templates."""
    app.register_blueprint(blueprint)
    app.jinja_env.filters["clock"] = _clock
    app.jinja_env.filters["local_time"] = _local_time
    app.jinja_env.filters["code"] = _with_code
    app.context_processor(_template_context)


def _with_code(text: str) -> Markup:
    """Text whose parts between backticks are marked as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _clock(seconds: float) -> str:
    """Minutes and seconds to a hundredth, as forms accept them."""
    hundredths = round(100 * seconds)
    return f"{hundredths // 6000}:{hundredths % 6000 / 100:05.2f}"


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
def about() -> str:
    """What the numbers mean."""
    return render_template("about.html")


@blueprint.get("/docs")
def docs() -> str:
    """The API, from its OpenAPI description."""
    return render_template("docs.html", api=api.description())


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
    response.headers["Cache-Control"] = "max-age=86400"
    return response
