"""The languages of the pages: which one a visitor reads, its messages, and its form of numbers."""

import hashlib
import io
import json
import re
from dataclasses import dataclass
from functools import cache
from gettext import c2py
from html import escape, unescape
from pathlib import Path
from urllib.parse import urlencode

from babel import Locale, numbers
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import Blueprint, Flask, Response, abort, g, request, url_for
from flask_babel import Babel, Domain
from markupsafe import Markup

from mien.drawing import own_color
from mien.labels import Expression
from mien.web import error_words, errors, file_words

CATALOGS = Path(__file__).parent / "translations"

_LABELS = tuple(expression.value for expression in Expression)

# Names from results and jobs, which pages show as words; programs get them as they are.
WORDS = (
    *_LABELS,
    *("small", "blurred", "dark", "bright", "turned", "tilted", "cut off", "unclear", "covered"),
    *("eyes covered", "nose covered", "mouth covered"),
    *("queued", "running", "done", "failed", "cancelled", "done, with warnings", "not better"),
    *("comes into view", "leaves", "eyes closed", "blink", "yawn", "scene cut"),
    *("uncertain", "not visible"),
    *("derived from probabilities", "group", "person", "smiling"),
    *dict.fromkeys(error_words.WORDS.values()),
    *file_words.SENTENCES,
    "There is no page at this address. Check its spelling; the page may have been deleted.",
    "This server cannot read pictures of this kind. Choose a JPEG or PNG file.",
    "Expected a time such as 1:02.5 and a note of 1 to 200 characters.",
    "Expected a time up to %(end)s, the end of the recording.",
    "the labels cannot be distinguished better than by chance",
    "nothing is gained over the model as it is",
    "There is no such job, or it was deleted.",
    "There is no such session, or it was deleted.",
    "This link has expired, or was revoked.",
)

_COOKIE = "lang"
_YEAR_S = 365 * 86400

_STRETCH = re.compile(r"<title>([^<]*), (\S+) to (\S+)</title>")
_NAME = re.compile(r'aria-label="Timeline of person (\d+)"')

blueprint = Blueprint("words", __name__)


@dataclass(frozen=True)
class Language:
    """A language of the pages.

    Args:
        code: in addresses and names of catalogs.
        name: in the language itself.
        tag: for HTML, by BCP 47.
        direction: ``"ltr"`` or ``"rtl"``.
    """

    code: str
    name: str
    tag: str
    direction: str = "ltr"

    @property
    def words(self) -> str:
        """The address of the messages for scripts; empty for English, which needs none."""
        if self.code == "en":
            return ""
        return url_for("words.messages", code=self.code, v=_version(self.code))

    @property
    def address(self) -> str:
        """Of the page in this language, with its other parameters."""
        others = [(name, value) for name, value in request.args.items(True) if name != "lang"]
        return "?" + urlencode([*others, ("lang", self.code)])


LANGUAGES = {
    one.code: one
    for one in (
        Language("en", "English", "en"),
        Language("de", "Deutsch", "de"),
        Language("fr", "Français", "fr"),
        Language("es", "Español", "es"),
        Language("ar", "العربية", "ar", "rtl"),
        Language("zh", "中文", "zh-Hans"),
    )
}


def init_app(app: Flask) -> None:
    """Choose the language of each page, and add what templates need to write in it."""
    babel = Babel()
    # In place of Flask-Babel's compiled files.
    babel.domain_instance = _Catalogs()
    babel.init_app(app, locale_selector=lambda: language().code)
    app.register_blueprint(blueprint)
    filters = {"label": _label, "color": _color, "message": message, "chart": _chart}
    app.jinja_env.filters.update(
        filters,
        problem=_problem,
        said=_said,
        word=_word,
        percent=_percent,
        decimal=_decimal,
        clock=clock,
    )
    app.context_processor(lambda: {"language": language(), "languages": LANGUAGES.values()})
    app.after_request(_set_headers)


def language() -> Language:
    """The language of the request: the visitor's choice, or else what the browser asks for."""
    if "language" not in g:
        asked = (_chosen(), request.cookies.get(_COOKIE))
        preferred = request.accept_languages.best_match(LANGUAGES, "en")
        g.language = next(LANGUAGES[code] for code in (*asked, preferred) if code in LANGUAGES)
    found: Language = g.language
    return found


def _chosen() -> str:
    """The language that the address names: "DE" and "de-AT" are German."""
    return request.args.get("lang", "").lower().partition("-")[0]


def message(text: object) -> str:
    """A message of the server in the language of the page; unknown ones as they are."""
    plain = str(text or "")
    # The empty message is the header of a catalog.
    return str(_translations(language().code).ugettext(plain)) if plain else ""


def _said(text: str) -> str:
    """What the library or the server says of a file, as a sentence of the page where it has one."""
    found = file_words.sentence_of(text)
    if found is None:
        return message(text)
    numbers = {
        name: _decimal(float(value), len(value.partition(".")[2])) if "." in value else value
        for name, value in found[1].items()
    }
    return message(found[0]) % numbers


def _problem(problem: errors.ProblemError) -> str:
    """What a visitor reads of an error.

    That is its message, or the words of its code before it where no catalog has the message.
    """
    own = _said(problem.message)
    if language().code == "en" or own != problem.message:
        return own
    # In isolates, as the direction of the message is another than that of the words.
    return f"{message(error_words.WORDS[problem.code])} (\u2068{problem.message}\u2069)"


def _word(name: object) -> str:
    """A name that results and jobs have, such as a state or a reason, as words of the page."""
    return message(str(name or "").replace("_", " "))


def _label(name: object) -> str:
    """One of the eight expressions in the language of the page; a model's own label as it is."""
    return message(name) if name in _LABELS else str(name or "")


def _color(label: object) -> str:
    """The class that gives an element the color of a label."""
    return f"x-{label}" if label in _LABELS else f"x-own-{own_color(str(label))}"


def _chart(svg: str) -> Markup:
    """A timeline of :mod:`mien.report` with its texts in the language of the page."""
    if language().code == "en":
        return Markup(svg)
    known = {*_LABELS, "uncertain", "not visible"}

    def stretch(found: re.Match[str]) -> str:
        parts = unescape(found[1]).split(", ")
        what = message(", ").join(message(one) if one in known else one for one in parts)
        times = message("%(from)s to %(to)s") % {"from": found[2], "to": found[3]}
        return f"<title>{escape(what + message(', ') + times)}</title>"

    def name(found: re.Match[str]) -> str:
        text = message("Timeline of person %(id)s") % {"id": found[1]}
        return f'aria-label="{escape(text)}"'

    return Markup(_NAME.sub(name, _STRETCH.sub(stretch, svg)))


def _percent(share: float) -> str:
    """A share in [0, 1] in percent, without decimals."""
    code = language().code
    if code == "en":
        return f"{100 * share:.0f}\u202f%"
    return _isolated(numbers.format_percent(share, locale=code))


def _decimal(value: float, digits: int = 1, *, signed: bool = False) -> str:
    """A number with a fixed count of decimals."""
    if language().code == "en":
        return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    pattern = "0." + "0" * digits
    pattern = f"+{pattern};-{pattern}" if signed else pattern
    return _isolated(numbers.format_decimal(value, format=pattern, locale=language().code))


def _isolated(number: str) -> str:
    """A number that keeps its sign on its side in a text from right to left."""
    return f"\u2066{number}\u2069" if language().direction == "rtl" else number


def clock(seconds: float, digits: int = 2) -> str:
    """Minutes and seconds with decimals, as forms accept them."""
    minutes, rest = divmod(round(seconds, digits), 60)
    return f"{minutes:.0f}:{rest:0{3 + digits if digits else 2}.{digits}f}"


@blueprint.get("/words/<code>.json")
def _messages(code: str) -> Response:
    """The messages of the pages' scripts in one language."""
    if code not in LANGUAGES:
        abort(404)
    response = Response(_client_messages(code), mimetype="application/json")
    fresh = request.args.get("v") == _version(code)
    response.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if fresh else "no-cache"
    )
    response.set_etag(_version(code))
    response.make_conditional(request)
    return response


def _set_headers(response: Response) -> Response:
    # Only what was written in a language; reports and results are the same in all.
    if "language" not in g or response.mimetype != "text/html":
        return response
    response.vary.update(["Accept-Language", "Cookie"])
    response.content_language.add(language().tag)
    if _chosen() == language().code:
        response.set_cookie(
            _COOKIE,
            language().code,
            max_age=_YEAR_S,
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    return response


class _Catalogs(Domain):  # type: ignore[misc,unused-ignore]
    """The catalogs as they are written, so that nothing must be compiled before it runs."""

    def get_translations(self) -> Translations:
        return _translations(language().code)


@cache
def catalog(code: str) -> Catalog:
    """The messages of a language, empty for English, which is the source."""
    if code == "en":
        return Catalog(locale="en")
    with (CATALOGS / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


@cache
def _translations(code: str) -> Translations:
    compiled = io.BytesIO()
    write_mo(compiled, catalog(code))
    compiled.seek(0)
    return Translations(compiled)


@cache
def _client_messages(code: str) -> str:
    """Texts by their English ones; those with a number by the plural categories of CLDR."""
    known = catalog(code)
    category_of, form_of = Locale.parse(code).plural_form, c2py(known.plural_expr)
    # Which of the catalog's forms has which category, as browsers name them.
    forms = {category_of(n): form_of(n) for n in (*range(201), 10**6)}
    texts: dict[str, str | dict[str, str]] = {}
    for message in known:
        text, translated = message.id, message.string
        used = any(path.startswith("client/") for path, _line in message.locations)
        if isinstance(text, str) and isinstance(translated, str):
            if text and translated and (used or text in WORDS):
                texts[text] = translated
        elif used and translated:
            texts[text[0]] = {name: translated[k] for name, k in forms.items()}
    # Scripts have the code of an error, and not the words of it.
    if code != "en":
        texts |= {name: str(known[text].string) for name, text in error_words.WORDS.items()}
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@cache
def _version(code: str) -> str:
    return hashlib.sha256(_client_messages(code).encode()).hexdigest()[:10]
