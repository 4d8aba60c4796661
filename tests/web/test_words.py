"""The pages in several languages: nothing is untranslated, and each visitor gets their own."""

import ast
import importlib.util
import io
import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from flask import Flask
from flask.testing import FlaskClient

from mien import drawing
from mien.errors import InputError
from mien.labels import Expression, exact_label
from mien.media.images import open_image, read_image
from mien.media.video import VideoSource
from mien.web import error_words, pages, words
from mien.web.errors import sentence

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "src/mien/web/templates").glob("*.html"))
TRANSLATED = [code for code in words.LANGUAGES if code != "en"]
RUN_THE_TOOL = "run python tools/write_catalogs.py, and translate what it adds"

spec = importlib.util.spec_from_file_location("write_catalogs", ROOT / "tools/write_catalogs.py")
assert spec
assert spec.loader
write_catalogs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_catalogs)


@pytest.fixture
def app(shared_app: Callable[..., Flask]) -> Flask:
    return shared_app()


def texts(message: Message) -> tuple[list[str], list[str]]:
    """The English and the translated forms of a message."""
    source, translated = message.id, message.string
    forms = [source] if isinstance(source, str) else [str(one) for one in source or ()]
    return forms, [translated] if isinstance(translated, str) else [
        str(t) for t in translated or ()
    ]


def messages(catalog: Catalog) -> list[Message]:
    return [message for message in catalog if message.id]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s|%%|</?\w+>|&\w+;", text))


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogs_have_the_messages_of_the_pages(code: str) -> None:
    written = (words.CATALOGS / f"{code}.po").read_text(encoding="utf-8")
    assert written == write_catalogs.catalog_text(code), RUN_THE_TOOL


@pytest.mark.parametrize("code", TRANSLATED)
def test_everything_is_translated(code: str) -> None:
    missing = [m.id for m in messages(words.catalog(code)) if not all(texts(m)[1])]
    assert not missing, RUN_THE_TOOL
    assert not [m.id for m in messages(words.catalog(code)) if m.fuzzy]


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_have_the_placeholders_of_the_source(code: str) -> None:
    for message in messages(words.catalog(code)):
        sources, forms = texts(message)
        for form in forms:
            if len(sources) == 1:
                assert placeholders(form) == placeholders(sources[0]), form
            else:
                # A language may have a word for one and two.
                assert placeholders(form) <= placeholders(sources[1]), form
        if len(sources) > 1:
            assert "%(num)s" in forms[-1]


def unmarked(template: str) -> list[str]:
    """Words of a template outside of messages."""
    text = re.sub(r"\{#.*?#\}|<(style|script|pre|code).*?</\1>|\|\S+?\{", " ", template, flags=re.S)
    attributes = re.findall(r'\b(?:aria-label|title|alt|placeholder)="([^"{]*)', text)
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "\x00", text, flags=re.S)
    found = [*attributes, *re.split(r"<[^<>]*>|\x00", text)]
    known = r"mien|API|JSON|ms|px|CC BY.*|Face Research Lab London Set.*|[A-Z]"
    return [
        part.strip()
        for part in found
        if re.search(r"[A-Za-z]", part) and not re.fullmatch(rf"\W*({known})\W*", part.strip())
    ]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_no_text_outside_of_messages(path: Path) -> None:
    if path.name != "docs.html":  # the API is described in English
        assert unmarked(path.read_text(encoding="utf-8")) == []


def test_unmarked_text_is_found() -> None:
    assert unmarked('<p title="Some help">{{ x }} frames</p>') == ["Some help", "frames"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "client/src").glob("*.ts")), ids=lambda path: path.name
)
def test_scripts_have_no_text_outside_of_messages(path: Path) -> None:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"\b(?:tn?|Error|warn)\(\s*[\"`].*?[\"`]", "", text, flags=re.S)
    assert re.findall(r'"[A-Z][a-z]+ [a-z][^"\n]*"|`[A-Z][a-z]+ [^`]*`', text) == []


def page(client: FlaskClient, address: str = "/about", **headers: str) -> str:
    return client.get(address, headers={"Accept": "text/html", **headers}).text


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("zh-CN", "zh-Hans"),
        ("ar", "ar"),
        ("nl, fr;q=0.8", "fr"),
        ("nl", "en"),
        ("", "en"),
        ("*", "en"),
        ("x" * 500, "en"),
    ],
)
def test_the_browser_chooses_the_language(client: FlaskClient, accepted: str, tag: str) -> None:
    headers = {"Accept-Language": accepted}
    assert f'<html lang="{tag}" dir=' in page(client, **headers)


def test_a_choice_is_kept(client: FlaskClient) -> None:
    answer = client.get("/about?lang=ar", headers={"Accept-Language": "de"})
    assert '<html lang="ar" dir="rtl"' in answer.text
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert answer.headers["Content-Language"] == "ar"
    assert {"Accept-Language", "Cookie"} <= set(answer.vary)
    headers = {"Accept-Language": "de"}
    assert '<html lang="ar"' in page(client, **headers)
    assert '<html lang="en" dir="ltr">' in page(client, "/about?lang=en", **headers)


def test_a_choice_keeps_the_other_parameters(client: FlaskClient) -> None:
    text = page(client, "/sessions?q=a%26b%22&lang=ar&lang=fr&page=2&q=c")
    assert '<a href="?q=a%26b%22&amp;q=c&amp;page=2&amp;lang=de" lang="de"' in text


def test_unknown_languages_are_ignored(client: FlaskClient) -> None:
    answer = client.get("/about?lang=../../x")
    assert '<html lang="en"' in answer.text
    assert "lang=" not in answer.headers.get("Set-Cookie", "")
    assert client.get("/words/xx.json").status_code == 404
    assert '<html lang="de"' in client.get("/about?lang=DE-at").text


def test_scripts_get_their_messages(client: FlaskClient) -> None:
    address = re.search(r'data-words="([^"]+)"', page(client, "/?lang=de"))
    assert address
    answer = client.get(address[1])
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.json
    assert answer.json["anger"] == "Ärger"
    assert answer.json["%(num)s face"] == {"one": "%(num)s Gesicht", "other": "%(num)s Gesichter"}
    again = client.get(address[1], headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert client.get("/words/de.json?v=old").headers["Cache-Control"] == "no-cache"
    arabic = client.get("/words/ar.json").json
    assert arabic
    assert set(arabic["%(num)s face"]) == {"zero", "one", "two", "few", "many", "other"}


def test_expressions_have_words_and_programs_their_names(client: FlaskClient) -> None:
    for code in TRANSLATED:
        for expression in Expression:
            assert words.catalog(code)[expression.value].string
    problem = client.get("/api/v1/none", headers={"Accept-Language": "de"}).json
    assert problem
    assert problem["error"]["message"].startswith("There is no page")
    assert "Seite nicht gefunden" in page(client, "/none", **{"Accept-Language": "de"})


def test_every_error_has_words() -> None:
    """Of every code that an error of the server has, wherever it is made."""
    found = set(error_words.CODES.values())
    for path in sorted((ROOT / "src/mien/web").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                name = getattr(call.func, "id", getattr(call.func, "attr", ""))
                place = {"ProblemError": 1, "_send_error": 0}.get(name)
                code = None if place is None else call.args[place]
                if isinstance(code, ast.Constant):
                    found.add(str(code.value))
    assert len(found) > 30
    assert found - set(error_words.WORDS) == set()


def test_errors_are_in_the_language_of_the_page(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    german = {"Accept-Language": "de", "Accept": "text/html"}
    form: dict[str, Any] = {"image": (io.BytesIO(b"no picture"), "a.jpg")}
    text = client.post("/photo", data=form, headers=german).text
    assert "Diese Datei ist kein Bild." in text
    assert "Das wurde nicht gefunden" in client.get("/samples/none.jpg", headers=german).text
    answer: Any = client.get("/words/de.json").json
    assert set(error_words.WORDS) <= set(answer)
    for address, more in (("/?" + "x" * 5000, {}), ("/", {"X-Long": "x" * 9000})):
        refused = client.get(address, headers={**german, **more})
        assert refused.status_code in {414, 431}
        assert '<html lang="de"' in refused.text
    # A message that is translated has no words before it.
    missing = client.get(f"/sessions/{'x' * 22}", headers=german).text
    assert "wurde gelöscht" in missing
    assert "(\u2068" not in missing
    # Pages without scripts do not load the messages of scripts.
    built: dict[str, dict[str, Any]] = {"src/upload.ts": {"file": "upload.js"}}
    monkeypatch.setattr(pages, "_manifest", lambda: built)
    assert ['rel="preload"' in page(client, f"{one}?lang=de") for one in ("/about", "/photo")] == [
        False,
        True,
    ]


def test_what_the_library_says_of_files_has_words(app: Flask, tmp_path: Path) -> None:
    """Of files that visitors choose by mistake or that are damaged, as the library says it."""
    photo = (ROOT / "src/mien/samples/person-a-neutral.jpg").read_bytes()
    clip = (ROOT / "src/mien/web/static/sample.mp4").read_bytes()
    start, end = clip.index(b"moov") - 4, clip.index(b"mdat") - 4
    sound = io.BytesIO()
    with wave.open(sound, "wb") as written:
        written.setparams((1, 2, 8000, 0, "NONE", ""))
        written.writeframes(bytes(16000))
    files = {
        "text": (b"no video " * 20, "kann nicht als Video gelesen", "ist kein Bild"),
        "sound": (sound.getvalue(), "nur Ton", "ist kein Bild"),
        "no index": (clip[:start] + clip[end:], "Index fehlt", "ist ein Video"),
        "no picture": (photo[:300], "", "beschädigt und kann nicht"),
    }
    for name, (content, as_video, as_photo) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        for read, expected in ((VideoSource, as_video), (read_image, as_photo)):
            if expected:
                with pytest.raises(InputError) as raised:
                    read(path)
                with app.test_request_context("/?lang=de"):
                    assert expected in words._said(sentence(str(raised.value)))
    path.write_bytes(photo[: len(photo) // 2])
    with app.test_request_context("/?lang=de"):
        (said,) = map(words._said, open_image(path).warnings)
    assert re.fullmatch(r"Die Datei ist beschädigt: \d\d Prozent des Bildes .*", said)


def test_numbers_have_the_form_of_the_language(client: FlaskClient) -> None:
    written = {}
    for code in ("en", "de", "ar"):
        with client.application.test_request_context(f"/?lang={code}"):
            signed = words._decimal(-1.25, 2, signed=True)
            written[code] = (words._percent(0.5), words._decimal(0.25, 2), signed)
    assert written["en"] == ("50\u202f%", "0.25", "-1.25")
    assert written["de"] == ("50\xa0%", "0,25", "-1,25")
    # Isolated, so that signs do not move to the other side of numbers.
    assert all(text[0] + text[-1] == "\u2066\u2069" for text in written["ar"])
    assert written["ar"][0][1:].startswith("50")


def test_own_labels_have_the_colors_of_pictures(app: Flask, client: FlaskClient) -> None:
    """client/tests/labels.test.ts has the same for the scripts."""
    color = app.jinja_env.filters["color"]
    expected = ["x-happiness", "x-own-2", "x-own-0", "x-own-3", "x-own-0"]
    assert [color(name) for name in ("happiness", "bored", "a_b", "done", "müde 疲れ")] == expected
    styles = client.get("/colors.css").text
    assert all(f".{name} {{" in styles for name in expected)
    assert f"--x-own-2: rgb{drawing.expression_color(exact_label('bored'))};" in styles


def test_scripts_know_the_same_expressions() -> None:
    text = (ROOT / "client/src/words.ts").read_text(encoding="utf-8")
    found = re.search(r"new Set\(\s*\[(.*?)\]", text, re.S)
    assert found
    assert re.findall(r'"(\w+)"', found[1]) == [one.value for one in Expression]
    page = (ROOT / "client/src/page.ts").read_text(encoding="utf-8")
    assert f"OWN_COLORS = {len(drawing.OWN_COLORS)};" in page


@pytest.mark.parametrize(
    ("seconds", "digits", "text"),
    [(59.96, 1, "1:00.0"), (59.94, 1, "0:59.9"), (0.005, 2, "0:00.01"), (3661.5, 2, "61:01.50")],
)
def test_clock_never_shows_sixty_seconds(
    app: Flask, seconds: float, digits: int, text: str
) -> None:
    assert app.jinja_env.filters["clock"](seconds, digits) == text


def test_timelines_are_in_the_language_of_the_page(app: Flask) -> None:
    show = app.jinja_env.filters["chart"]
    drawn = (
        '<svg aria-label="Timeline of person 3"><title>happiness, uncertain, 0:01.0 to 0:02.0'
        "</title><title>a_b &amp; c, 0:02.0 to 0:03.0</title></svg>"
    )
    with app.test_request_context("/?lang=en"):
        assert show(drawn) == drawn
    with app.test_request_context("/?lang=de"):
        assert show(drawn) == (
            '<svg aria-label="Zeitleiste von Person 3"><title>Freude, unsicher, 0:01.0 bis 0:02.0'
            "</title><title>a_b &amp; c, 0:02.0 bis 0:03.0</title></svg>"
        )
