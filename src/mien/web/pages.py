"""Pages of the site as a whole, and what all templates use, such as the built client."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, render_template, request
from markupsafe import Markup, escape

from mien import drawing
from mien.labels import Expression
from mien.web import api
from mien.web.config import is_loopback
from mien.web.services import services

blueprint = Blueprint("pages", __name__)
_DIST = Path(__file__).parent / "static" / "dist"


def init_app(app: Flask) -> None:
    """Add the pages, and the functions and filters of the templates."""
    app.register_blueprint(blueprint)
    app.jinja_env.globals.update(
        script=_script, styles=_styles, client_is_built=lambda: bool(_manifest())
    )
    app.jinja_env.filters["percent"] = lambda share: f"{100 * share:.0f}\u202f%"
    app.jinja_env.filters["code"] = _with_code
    app.context_processor(_template_context)


@cache
def _manifest() -> dict[str, dict[str, Any]]:
    """Vite's manifest of the browser client; empty where the client was not built."""
    path = _DIST / ".vite" / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _script(name: str) -> str | None:
    """The script of a page, below `static/`; None where the client was not built."""
    entry = _manifest().get(f"src/{name}.ts")
    return f"dist/{entry['file']}" if entry else None


def _styles(name: str) -> list[str]:
    """The style sheets of a page's script and of its imports, below `static/`."""
    sheets: list[str] = []
    pending = [f"src/{name}.ts"]
    while pending:
        entry: dict[str, Any] = _manifest().get(pending.pop(), {})
        sheets += entry.get("css", [])
        pending += entry.get("imports", [])
    return [f"dist/{sheet}" for sheet in sheets]


def _with_code(text: str) -> Markup:
    """Text whose parts between backticks are marked as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


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
    response.headers["Cache-Control"] = "max-age=3600"
    return response
